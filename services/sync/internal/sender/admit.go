package sender

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/token"
)

// Budget gives the permits that sends need.
type Budget interface {
	Take(ctx context.Context, key budget.Key, class budget.Class) (*budget.Permit, error)
}

// Accounts opens the credentials of a workspace.
type Accounts interface {
	// AccountOf gives a token that can be used now, refreshing it where that is needed.
	AccountOf(ctx context.Context, workspace uuid.UUID, kind provider.Kind) (provider.Account, sending.ConnectionState, error)
	// Open decrypts the credentials of a row.
	Open(row db.Connection) (provider.Account, error)
}

// admit takes a permit before the claim, so that no lease is spent on waiting for one. A workspace that cannot send gets
// none; the gate says why. A decision means "not now".
func (s *Sender) admit(ctx context.Context, row db.SendIntent, byJob bool) (*budget.Permit, *sending.Decision, error) {
	account, state, err := s.Accounts.AccountOf(ctx, row.WorkspaceID, provider.Kind(row.Provider))
	if errors.Is(err, token.ErrNone) || (err == nil && state != sending.Connected) {
		return nil, nil, nil
	}
	if errors.Is(err, token.ErrNotReady) {
		return nil, notReady(), nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open account: %w", err)
	}
	permit, err := s.Budget.Take(ctx, account.Budget(), classOf(ctx, byJob))
	var exceeded *budget.ExceededError
	if errors.As(err, &exceeded) {
		return nil, limited(exceeded), nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("take permit: %w", err)
	}
	return permit, nil, nil
}

// tokenWait is how long a send waits for an access token that is being refreshed.
const tokenWait = 5 * time.Second

func notReady() *sending.Decision {
	meta := map[string]string{"provider": "ghl", "cause": "token_refresh"}
	return &sending.Decision{Refusal: &sending.Refusal{Reason: sending.ProviderUnavailable, Meta: meta}, Retry: tokenWait}
}

// classOf tells whether a person waits for the send.
func classOf(ctx context.Context, byJob bool) budget.Class {
	p, ok := principal.FromContext(ctx)
	if ok && !byJob && (p.Kind == principal.KindUser || p.Kind == principal.KindAdmin) {
		return budget.Interactive
	}
	return budget.Automated
}

func limited(e *budget.ExceededError) *sending.Decision {
	v := classify.Limited(string(e.Window), max(e.Retry, time.Second))
	return &sending.Decision{Refusal: &v.Refusal, Retry: v.Wait}
}

func isLimited(err error) bool { _, ok := ghl.RateLimited(err); return ok }

// limitedRead puts a send off because the reads before it have no budget.
func limitedRead(err error) *sending.Decision {
	v, _ := ghl.RateLimited(err)
	return &sending.Decision{Refusal: &v.Refusal, Retry: v.Wait}
}

// spend uses the permit at the last moment. When it ended meanwhile, or is of another account than the claim's, a new one is
// asked for; a decision means that there is none.
func (s *Sender) spend(ctx context.Context, permit *budget.Permit, account ghl.Account, byJob bool) (*sending.Decision, error) {
	if permit != nil && permit.Covers(account.Budget()) && permit.Use() {
		return nil, nil
	}
	for {
		fresh, err := s.Budget.Take(ctx, account.Budget(), classOf(ctx, byJob))
		var exceeded *budget.ExceededError
		if errors.As(err, &exceeded) {
			return limited(exceeded), nil
		}
		if err != nil {
			return nil, fmt.Errorf("take permit: %w", err)
		}
		if fresh.Use() {
			return nil, nil
		}
	}
}

// postpone is T1 before any claim: a new time, no attempt used.
func (s *Sender) postpone(ctx context.Context, row db.SendIntent, d sending.Decision) (Outcome, error) {
	var out Outcome
	err := s.Store.Workspace(ctx, row.WorkspaceID, func(tx *store.Tx) error {
		if _, err := tx.LockLead(ctx, db.LockLeadParams{WorkspaceID: row.WorkspaceID, ID: row.LeadID}); err != nil {
			return err
		}
		now, err := tx.LockIntent(ctx, db.LockIntentParams{WorkspaceID: row.WorkspaceID, ID: row.ID})
		if err != nil {
			return err
		}
		if !sending.State(now.State).Claimable() || now.NextTime.After(tx.Now) {
			out = outcomeOf(now, tx.Now)
			return nil
		}
		out, err = closeUnsent(ctx, tx, now, d)
		return err
	})
	if err != nil {
		return Outcome{}, fmt.Errorf("postpone send: %w", err)
	}
	return out, nil
}
