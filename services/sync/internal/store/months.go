package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// monthly are the tables that are kept by month.
func monthly() []string { return []string{"send_attempt", "send_look", "outbox"} }

// monthsAhead is how far ahead months are made.
const monthsAhead = 2

// MakeMonths makes this month and the next ones of every table that is kept by month, by both clocks: the database's stamps
// attempts and looks, the business clock events. It tells how many were missing.
func (s *Store) MakeMonths(ctx context.Context) (int, error) {
	made := 0
	err := postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		// One makes months at a time: of two, the second would meet the tables of the first.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('relance sync months'))`); err != nil {
			return err
		}
		q := db.New(tx)
		physical, err := q.DatabaseTime(ctx)
		if err != nil {
			return err
		}
		for _, now := range []time.Time{physical, s.clock.Now()} {
			for _, table := range monthly() {
				n, err := q.EnsureMonths(ctx, db.EnsureMonthsParams{Parent: table, First: now, Last: now.AddDate(0, monthsAhead, 0)})
				if err != nil {
					return err
				}
				made += int(n)
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("make months: %w", err)
	}
	return made, nil
}

// DropMonths drops the months that ended more than the given number of months ago, and tells how many. 0 keeps all.
func (s *Store) DropMonths(ctx context.Context, keep int) (int, error) {
	if keep == 0 {
		return 0, nil
	}
	dropped := 0
	for _, table := range monthly() {
		err := postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
			n, err := db.New(tx).DropMonths(ctx, db.DropMonthsParams{Parent: table, Keep: int32(keep)})
			dropped += int(n)
			return err
		})
		if err != nil {
			return dropped, fmt.Errorf("drop months of %s: %w", table, err)
		}
	}
	return dropped, nil
}
