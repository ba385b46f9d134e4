package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store/db"
)

// Settled is what one SettleUnconfigured did.
type Settled struct {
	// Count is how many workspaces were settled; Changed are those of which something else was last reported.
	Count   int
	Changed []slots.Key
	// More tells that there may be others.
	More bool
}

// SettleUnconfigured stores the result, which has no slots, for at most batch workspaces that are due, have no default link
// and are not held by anybody. Its cost is that of a few statements, however many there are.
func (s *Store) SettleUnconfigured(ctx context.Context, now time.Time, result Result, batch int) (Settled, error) {
	var settled Settled
	var done []uuid.UUID
	// Also after an error: the commit may have come through.
	defer func() {
		for _, workspace := range done {
			s.changed(workspace)
		}
	}()
	err := s.system(ctx, func(q *db.Queries) error {
		if err := q.ByIndexOnly(ctx); err != nil {
			return err
		}
		locked, err := q.LockUnconfigured(ctx, db.LockUnconfiguredParams{Now: now, Batch: int32(batch)})
		if err != nil || len(locked) == 0 {
			return err
		}
		before := make(map[uuid.UUID]string, len(locked))
		ids := make([]uuid.UUID, 0, len(locked))
		for _, row := range locked {
			before[row.WorkspaceID] = row.Reported
			ids = append(ids, row.WorkspaceID)
		}
		done, err = q.SettleUnconfigured(ctx, db.SettleUnconfiguredParams{
			State: string(result.State), Reason: string(result.Reason), Reported: result.reported(), DueTime: result.Due, WorkspaceIds: ids,
		})
		settled.More = len(locked) == batch && len(done) > 0
		for _, workspace := range done {
			if before[workspace] != result.reported() {
				settled.Changed = append(settled.Changed, slots.Default(workspace))
			}
		}
		return err
	})
	if err != nil {
		return Settled{}, wrap("settle unconfigured workspaces", err)
	}
	settled.Count = len(done)
	return settled, nil
}
