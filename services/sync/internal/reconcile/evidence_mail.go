package reconcile

import (
	"context"
	"fmt"
	"regexp"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// marker finds the id of a send in its own email.
var marker = regexp.MustCompile(`rl-([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})`)

// ObserveMail is Observe for a sender of email campaigns, whose webhooks may name an email by another id than the answer to
// its call did: the marker tells whose it is. A send of which nobody knew whether it left is settled (T11, T16).
func (r *Reconciler) ObserveMail(ctx context.Context, tx *store.Tx, e Evidence) (bool, error) {
	found := marker.FindStringSubmatch(e.Text)
	if e.ProviderID == "" || found == nil {
		return false, nil
	}
	id, err := uuid.Parse(found[1])
	if err != nil {
		return false, nil //nolint:nilerr // not a marker of ours
	}
	row, err := tx.Intent(ctx, db.IntentParams{WorkspaceID: e.Workspace, ID: id})
	if postgres.IsNoRows(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("take evidence: %w", err)
	}
	if row.LeadID != e.Lead || !provider.Kind(row.Provider).Mail() {
		return false, nil // A quoted email of ours in somebody else's.
	}
	if from, to := r.window(row); !e.At.IsZero() && (e.At.Before(from) || e.At.After(to)) {
		return false, nil // A later email that quotes it.
	}
	open, err := tx.OpenIntents(ctx, db.OpenIntentsParams{WorkspaceID: e.Workspace, LeadID: e.Lead, Channel: string(sending.Email)})
	if err != nil {
		return false, fmt.Errorf("take evidence: %w", err)
	}
	for _, o := range open {
		if o.ID == row.ID {
			return true, r.settleBy(ctx, tx, row, e)
		}
	}
	return true, nil
}
