package jobs

import (
	"context"
	"fmt"

	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

func (d Deps) wakeDue(ctx context.Context) error {
	err := d.Store.System(ctx, func(tx *store.Tx) error {
		// Not what its caller or job is working on.
		due, err := tx.DueIntents(ctx, db.DueIntentsParams{Now: tx.Now, Settled: tx.Now.Add(-d.Timing.Sweep() * 3 / 2)})
		if err != nil {
			return err
		}
		for _, row := range due {
			job := work.ResumeSend{Workspace: row.WorkspaceID.String(), Intent: row.ID.String()}
			if err := tx.Enqueue(ctx, job, 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("wake due sends: %w", err)
	}
	return nil
}
