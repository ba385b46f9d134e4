package once

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/token"
)

// Later is why a call is not made yet.
type Later struct {
	Refusal sending.Refusal
	// Wait is when trying again makes sense; zero for what a person has to mend.
	Wait time.Duration
}

// tokenWait is how long a call waits for an access token that is being refreshed.
const tokenWait = 5 * time.Second

// Open gives the account and the lead of a call, read before any claim so that no lease is spent on it.
func (f Frame) Open(ctx context.Context, of Subject) (account provider.Account, who db.Lead, later *Later, err error) {
	account, state, err := f.Accounts.AccountOf(ctx, of.Workspace, of.Provider)
	switch {
	case errors.Is(err, token.ErrNone):
		state, err = sending.NotConnected, nil
	case errors.Is(err, token.ErrNotReady):
		meta := map[string]string{"provider": string(of.Provider), "cause": "token_refresh"}
		return account, who, &Later{sending.Refusal{Reason: sending.ProviderUnavailable, Meta: meta}, tokenWait}, nil
	}
	if err != nil {
		return account, who, nil, fmt.Errorf("open account: %w", err)
	}
	if refusal := sending.SetupRefusal(string(of.Provider), state, false); refusal != nil {
		return account, who, &Later{Refusal: *refusal}, nil
	}
	err = f.Store.Workspace(ctx, of.Workspace, func(tx *store.Tx) (err error) {
		who, err = tx.Lead(ctx, db.LeadParams{WorkspaceID: of.Workspace, ID: of.Lead})
		return err
	})
	if err != nil {
		return account, who, nil, fmt.Errorf("read lead: %w", err)
	}
	return account, who, nil, nil
}

// Connected tells why a provider cannot be called for a workspace, nil when it can. It is asked before anything is planned: what a
// person has to mend is not worth a row.
func Connected(ctx context.Context, tx *store.Tx, of Subject) (*sending.Refusal, error) {
	state := sending.NotConnected
	connection, err := tx.ConnectionOf(ctx, db.ConnectionOfParams{WorkspaceID: of.Workspace, Provider: string(of.Provider)})
	if err == nil {
		state = sending.ConnectionState(connection.State)
	} else if !postgres.IsNoRows(err) {
		return nil, err
	}
	return sending.SetupRefusal(string(of.Provider), state, false), nil
}

// Permit takes a permit before the claim, so that no lease is spent on waiting for one.
func (f Frame) Permit(ctx context.Context, key budget.Key, class budget.Class) (*budget.Permit, *Later, error) {
	permit, err := f.Budget.Take(ctx, key, class)
	var exceeded *budget.ExceededError
	if errors.As(err, &exceeded) {
		v := classify.Limited(string(exceeded.Window), max(exceeded.Retry, time.Second))
		return nil, &Later{v.Refusal, v.Wait}, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("take permit: %w", err)
	}
	return permit, nil, nil
}

// Spent is why a claim's call is not made whose permit ended before it.
func Spent() Later {
	v := classify.Limited("burst", time.Second)
	return Later{v.Refusal, v.Wait}
}
