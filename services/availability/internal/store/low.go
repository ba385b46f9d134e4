package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/relance/relance/services/availability/internal/store/db"
)

// Low is a workspace with few free times.
type Low struct {
	Workspace uuid.UUID
	// Left are its free times in the next 7 days, fewer than Threshold.
	Left, Threshold int
}

// TellLow gives at most batch workspaces that have few free times and were not told of since week, the Monday that the week
// began with. Each is given once a week, by one replica. Only what was read after freshSince counts.
func (s *Store) TellLow(ctx context.Context, now, week, freshSince time.Time, batch int) ([]Low, error) {
	var out []Low
	err := s.system(ctx, func(q *db.Queries) error {
		rows, err := q.TellLow(ctx, db.TellLowParams{Now: now, Week: date(week), FreshSince: freshSince, Batch: int32(batch)})
		out = make([]Low, 0, len(rows))
		for _, row := range rows {
			out = append(out, Low{Workspace: row.WorkspaceID, Left: int(row.LeftWeek), Threshold: int(row.LowThreshold)})
		}
		return err
	})
	return out, wrap("find workspaces with few free times", err)
}

// CountLow counts the workspaces that were told of in the week.
func (s *Store) CountLow(ctx context.Context, week time.Time) (int, error) {
	var count int64
	err := s.system(ctx, func(q *db.Queries) (err error) {
		count, err = q.CountLow(ctx, date(week))
		return err
	})
	return int(count), wrap("count workspaces with few free times", err)
}

func date(day time.Time) pgtype.Date { return pgtype.Date{Time: day.UTC(), Valid: true} }
