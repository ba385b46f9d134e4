package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/lateness"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Visible watches assumption A2 on one accepted send: both lists of the provider must show it within V. It tells when to
// look again, and zero when it is done: seen in both, or V is over. A message that does not show in time lengthens V; one that
// somebody deleted at the provider looks the same, and costs only patience: lateness is bounded and forgotten.
func (r *Reconciler) Visible(ctx context.Context, workspace, intent uuid.UUID) (time.Duration, error) {
	var row db.SendIntent
	var seconds float64
	err := r.Store.Workspace(ctx, workspace, func(tx *store.Tx) (err error) {
		if row, err = tx.Intent(ctx, db.IntentParams{WorkspaceID: workspace, ID: intent}); err != nil {
			return err
		}
		seconds, err = tx.StateAge(ctx, db.StateAgeParams{WorkspaceID: workspace, ID: intent})
		return err
	})
	if postgres.IsNoRows(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("watch visibility: %w", err)
	}
	account, usable, err := r.account(ctx, workspace, provider.Kind(row.Provider))
	if err != nil || !usable || row.ProviderMessageID == nil || sending.State(row.State) != sending.Accepted {
		return 0, err // delivered meanwhile, or nobody to ask: it is a sample
	}
	age := time.Duration(seconds * float64(time.Second))
	shown, err := r.shown(ctx, row, account)
	assumed := r.Assumed.Timing(row.Provider).Visible
	switch {
	case err == nil && shown:
		r.metrics.visible.Record(ctx, age.Seconds())
		return 0, nil
	case age < assumed:
		// Not yet, or it could not be read: doubling the age keeps it at ten reads or so.
		return min(max(age, time.Second), assumed-age+time.Second), nil
	case err != nil:
		return 0, nil //nolint:nilerr // never read in all that time: that says nothing about the lists
	}
	r.metrics.hidden.Add(ctx, 1)
	r.logger.ErrorContext(ctx, "the provider's lists do not show an accepted message in the time assumed: absence counts later now",
		"intent", intent.String(), "provider", row.Provider, "after", age.String(), "assumed", assumed.String())
	if err := r.hidden(ctx, row, age); err != nil {
		return 0, err
	}
	// How much later it shows, if it does, lengthens V further.
	if assumed = r.Assumed.Timing(row.Provider).Visible; age < assumed {
		return min(age, assumed-age+time.Second), nil
	}
	return 0, nil
}

// hidden stores that a list did not show a message for so long.
func (r *Reconciler) hidden(ctx context.Context, row db.SendIntent, age time.Duration) error {
	err := r.Store.System(ctx, func(tx *store.Tx) error {
		if err := r.Assumed.Note(ctx, tx, lateness.Sighting{Provider: row.Provider, Assumption: lateness.Visible, Seen: age}); err != nil {
			return err
		}
		return r.Assumed.Load(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("watch visibility: %w", err)
	}
	return nil
}

// shown reports whether both lists show the message of an accepted send.
func (r *Reconciler) shown(ctx context.Context, row db.SendIntent, account ghl.Account) (bool, error) {
	s := &subject{row: row, account: account}
	if err := r.describe(ctx, s); err != nil {
		return false, err
	}
	for _, list := range r.lists(row) {
		s.seen = map[string]bool{}
		// What is claimed is passed over by sift, but counted as seen.
		if err := list(ctx, s, &sending.Sighting{}); err != nil {
			return false, err
		}
		if !s.seen[*row.ProviderMessageID] {
			return false, nil
		}
	}
	return true, nil
}
