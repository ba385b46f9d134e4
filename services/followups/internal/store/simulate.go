package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// Simulated is what a simulation needs of the database.
type Simulated struct {
	// Sequence with its newest steps, and the settings of its workspace.
	Sequence Sequence
	Settings Settings
}

// reading runs fn in a transaction that the database lets read only.
func (s *Store) reading(ctx context.Context, workspace uuid.UUID, fn func(*db.Queries) error) error {
	return postgres.InWorkspace(ctx, s.pool, workspace.String(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET TRANSACTION READ ONLY`); err != nil {
			return fmt.Errorf("set read only: %w", err)
		}
		return fn(db.New(tx))
	})
}

// GetSimulated reads a sequence and its settings, and nothing can write in its transaction. Error: ErrNotFound.
func (s *Store) GetSimulated(ctx context.Context, workspace, sequence uuid.UUID) (out Simulated, err error) {
	err = s.reading(ctx, workspace, func(q *db.Queries) error {
		row, err := q.GetSequence(ctx, db.GetSequenceParams{WorkspaceID: workspace, ID: sequence})
		if err != nil {
			return found(err)
		}
		if out.Sequence, err = withSteps(ctx, q, row); err != nil {
			return err
		}
		out.Settings.Settings = followup.DefaultSettings()
		settings, err := q.GetSettings(ctx, workspace)
		if postgres.IsNoRows(err) {
			return nil
		}
		if err == nil {
			out.Settings = toSettings(settings)
		}
		return err
	})
	return out, err
}

// ListRunning lists running enrollments of a sequence in order of id, as a run would claim them but without claiming them;
// page.After is the last id of the page before.
func (s *Store) ListRunning(ctx context.Context, workspace, sequence uuid.UUID, page Page) (items []Item, err error) {
	err = s.reading(ctx, workspace, func(q *db.Queries) error {
		rows, err := q.ListRunning(ctx, db.ListRunningParams{
			WorkspaceID: workspace, SequenceID: sequence, AfterID: page.After, PageSize: int32(page.Size),
		})
		if err != nil {
			return fmt.Errorf("list running enrollments: %w", err)
		}
		for _, row := range rows {
			items = append(items, Item{Enrollment: toEnrollment(row)})
		}
		return fill(ctx, q, []uuid.UUID{workspace}, items)
	})
	return items, err
}

// CountRunning counts running enrollments of a sequence.
func (s *Store) CountRunning(ctx context.Context, workspace, sequence uuid.UUID) (n int, err error) {
	err = s.reading(ctx, workspace, func(q *db.Queries) error {
		count, err := q.CountRunning(ctx, db.CountRunningParams{WorkspaceID: workspace, SequenceID: sequence})
		n = int(count)
		return err
	})
	return n, err
}

// GetVersion reads the steps of one version of a sequence.
func (s *Store) GetVersion(ctx context.Context, workspace, sequence uuid.UUID, version int) (steps []followup.Step, err error) {
	err = s.reading(ctx, workspace, func(q *db.Queries) error {
		rows, err := q.ListSteps(ctx, db.ListStepsParams{WorkspaceID: workspace, SequenceID: sequence, Version: int32(version)})
		for _, row := range rows {
			steps = append(steps, toStep(row))
		}
		return err
	})
	return steps, err
}

// ListBeside lists the running enrollments of leads in other sequences than the one named, as a run would claim them but
// without claiming them.
func (s *Store) ListBeside(ctx context.Context, workspace, sequence uuid.UUID, leads []uuid.UUID) (items []Item, err error) {
	err = s.reading(ctx, workspace, func(q *db.Queries) error {
		rows, err := q.ListRunningBeside(ctx, db.ListRunningBesideParams{WorkspaceID: workspace, LeadIds: leads, SequenceID: sequence})
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			items = append(items, Item{Enrollment: toEnrollment(row)})
		}
		return fill(ctx, q, []uuid.UUID{workspace}, items)
	})
	if err != nil {
		return nil, fmt.Errorf("list enrollments beside: %w", err)
	}
	return items, nil
}

// ListConnected tells which of the leads have a LinkedIn task that a person completed.
func (s *Store) ListConnected(ctx context.Context, workspace uuid.UUID, leads []uuid.UUID) (map[uuid.UUID]bool, error) {
	items := make([]Item, len(leads))
	for i, lead := range leads {
		items[i].Enrollment.Workspace, items[i].Enrollment.Lead = workspace, lead
	}
	err := s.reading(ctx, workspace, func(q *db.Queries) error { return fillConnected(ctx, q, items) })
	out := map[uuid.UUID]bool{}
	for _, item := range items {
		out[item.Enrollment.Lead] = item.LinkedInConnected
	}
	return out, err
}
