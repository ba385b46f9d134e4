package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/relance/relance/platform/postgres"
)

// ChangesKept is how long changes of conversations can be read on.
const ChangesKept = 7 * 24 * time.Hour

// GivePositions numbers committed changes that have no position yet, and nudges whoever watches. One writer at a time does
// so, hence positions become visible in their order, without a gap; within them, the changes of one conversation keep the
// order of their commits, since seq is drawn under the conversation's lock. It reports how many it numbered, 0 also when
// another is at it.
func (s *Store) GivePositions(ctx context.Context) (int64, error) {
	var n int64
	err := s.System(ctx, func(tx *Tx) error {
		waiting, err := tx.WaitingChanges(ctx)
		if err != nil || !waiting {
			return err
		}
		last, err := tx.LockPosition(ctx)
		if postgres.IsNoRows(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if n, err = tx.GivePositions(ctx, last); err != nil || n == 0 {
			return err
		}
		if err := tx.RaisePosition(ctx, last+n); err != nil {
			return err
		}
		return tx.NotifyChanges(ctx)
	})
	if err != nil {
		return 0, fmt.Errorf("number changes: %w", err)
	}
	return n, nil
}

// NumberChanges numbers changes until none waits, or another numbers them.
func (s *Store) NumberChanges(ctx context.Context) error {
	for ctx.Err() == nil {
		n, err := s.GivePositions(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
	}
	return fmt.Errorf("number changes: %w", ctx.Err())
}

// PruneChanges drops changes older than ChangesKept. What nobody has numbered is numbered first, so that a reader whose
// place is gone can tell.
func (s *Store) PruneChanges(ctx context.Context) error {
	if err := s.NumberChanges(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		var n int64
		err := s.System(ctx, func(tx *Tx) error {
			gone, err := tx.PruneChanges(ctx, pgtype.Interval{Days: int32(ChangesKept / (24 * time.Hour)), Valid: true})
			if err != nil || gone.N == 0 {
				return err
			}
			n = gone.N
			return tx.RaiseFloor(ctx, gone.Floor)
		})
		if err != nil {
			return fmt.Errorf("prune changes: %w", err)
		}
		if n == 0 {
			return nil
		}
	}
	return ctx.Err()
}
