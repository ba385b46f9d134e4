package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/token"
)

// recheckConnections tries connections that may have come back by themselves: a paused location, a token refused by a
// provider in trouble. Each is asked with one read; what it says is logged only when it changes something.
func (d Deps) recheckConnections(ctx context.Context) error {
	var due []db.ClaimChecksRow
	var open []db.CountBreakersRow
	err := d.Store.System(ctx, func(tx *store.Tx) (err error) {
		if open, err = tx.CountBreakers(ctx); err != nil {
			return err
		}
		due, err = tx.ClaimChecks(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("recheck connections: %w", err)
	}
	recordBreakers(ctx, open)
	var failed error
	for _, c := range due {
		failed = errors.Join(failed, d.recheck(ctx, c))
	}
	return failed
}

func (d Deps) recheck(ctx context.Context, c db.ClaimChecksRow) error {
	account, state, err := d.Accounts.Recheck(ctx, c.WorkspaceID, provider.Kind(c.Provider))
	switch {
	case errors.Is(err, token.ErrNone), errors.Is(err, token.ErrNotReady), state == sending.ReconnectNeeded:
		return nil // its next check is set
	case err != nil:
		return fmt.Errorf("recheck connection: %w", err)
	}
	if state != sending.Connected && !answers(ctx, d, account) {
		return nil
	}
	err = d.Store.Workspace(ctx, c.WorkspaceID, func(tx *store.Tx) error {
		changed, err := token.Recovered(ctx, tx, c)
		if err == nil && (changed || state == sending.Connected) {
			d.Logger.InfoContext(ctx, "provider connection works again", "workspace", c.WorkspaceID.String(), "provider", c.Provider)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("recheck connection: %w", err)
	}
	return nil
}

// answers reports whether the provider takes the account's token; why not is no matter here, the next check is set.
func answers(ctx context.Context, d Deps, account ghl.Account) bool {
	if mail, ok := d.Mail[account.Kind]; ok {
		return mail.Probe(ctx, account) == nil
	}
	if account.Kind == provider.Calendly {
		return d.Calendly.Probe(ctx, account) == nil
	}
	return d.Client.Probe(ctx, account) == nil
}
