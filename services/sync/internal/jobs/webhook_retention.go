package jobs

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/google/uuid"

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

// Retention is how long bodies of webhooks are kept after they were dealt with; 0 keeps all.
type Retention struct {
	// Processed is for those that had their effects, Aside for those that nobody acted on: ignored, or of no workspace.
	Processed, Aside time.Duration
}

// dropBodies drops the bodies of webhooks that are not kept any more, a batch per transaction. Replicas that run it together take
// different rows.
func (d Deps) dropBodies(ctx context.Context) error {
	end := clock.System().Now().Add(dropBudget)
	dropped := 0
	for _, kind := range []struct {
		kept   time.Duration
		states []string
	}{
		{d.WebhookRetention.Processed, []string{"PROCESSED"}},
		{d.WebhookRetention.Aside, []string{"IGNORED", "UNROUTED"}},
	} {
		for more := kind.kept > 0; more && clock.System().Now().Before(end); {
			n, err := d.dropPage(ctx, kind.kept, kind.states)
			if err != nil {
				return fmt.Errorf("drop bodies of webhooks: %w", err)
			}
			dropped += n
			more = n == dropPage
		}
	}
	if dropped > 0 {
		d.Logger.InfoContext(ctx, "bodies of webhooks dropped", "dropped", dropped)
	}
	return nil
}

// dropPage drops a page and leaves the digests of what was dropped. A body that cannot be opened any more has none.
func (d Deps) dropPage(ctx context.Context, kept time.Duration, states []string) (n int, err error) {
	err = d.Store.System(ctx, func(tx *store.Tx) error {
		rows, err := tx.OutdatedBodies(ctx, db.OutdatedBodiesParams{States: states, Before: tx.Now.Add(-kept), Page: dropPage})
		if n = len(rows); err != nil || n == 0 {
			return err
		}
		ids, digests := make([]uuid.UUID, n), make([][]byte, n)
		for i, row := range rows {
			ids[i], digests[i] = row.ID, []byte{}
			if raw, err := d.Store.Open(row.BodyEnc, BodyPlace(row.ID)); err == nil {
				sum := sha256.Sum256([]byte(raw))
				digests[i] = sum[:]
			}
		}
		return tx.DropBodies(ctx, db.DropBodiesParams{Ids: ids, Digests: digests})
	})
	return n, err
}
