package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

// settledFor keeps the backstop away from sends that their caller or job is working on.
const settledFor = 15 * time.Second

func (d Deps) wakeDue(ctx context.Context) error {
	err := d.Store.System(ctx, func(tx *store.Tx) error {
		due, err := tx.DueIntents(ctx, db.DueIntentsParams{Now: tx.Now, Settled: tx.Now.Add(-settledFor)})
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
