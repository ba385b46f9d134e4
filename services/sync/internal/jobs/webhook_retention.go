package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

const (
	// dropPage is small, so that a batch's locks are short beside a webhook's.
	dropPage = 500
	// dropBudget ends a run well before its job is; what is left is the next run's.
	dropBudget = 15 * time.Second
)

// dropBodies drops the bodies of webhooks that were processed longer ago than they are kept, a batch per transaction. Replicas
// that run it together take different rows.
func (d Deps) dropBodies(ctx context.Context) error {
	if d.WebhookRetention <= 0 {
		return nil
	}
	end := clock.System().Now().Add(dropBudget)
	var dropped int64
	for clock.System().Now().Before(end) {
		var n int64
		err := d.Store.System(ctx, func(tx *store.Tx) (err error) {
			n, err = tx.DropBodies(ctx, db.DropBodiesParams{Before: tx.Now.Add(-d.WebhookRetention), Page: dropPage})
			return err
		})
		if err != nil {
			return fmt.Errorf("drop bodies of webhooks: %w", err)
		}
		if dropped += n; n < dropPage {
			break
		}
	}
	if dropped > 0 {
		d.Logger.InfoContext(ctx, "bodies of webhooks dropped", "dropped", dropped)
	}
	return nil
}
