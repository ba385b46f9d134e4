package store

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// Sequence is a stored sequence.
type Sequence struct {
	followup.Sequence
	// Workspace owns it.
	Workspace uuid.UUID
	// Created and Updated are business times.
	Created, Updated time.Time
}

// Page bounds a listing by id.
type Page struct {
	// After is the last id of the page before; for runs, which go backwards, the last one too.
	After uuid.UUID
	// Size is the most rows.
	Size int
}

// CreateSequence stores a sequence with version 1 of its steps; a request id that was used answers its sequence.
// Error: ErrNameTaken.
func (s *Store) CreateSequence(ctx context.Context, seq Sequence, request uuid.UUID, now time.Time) (Sequence, error) {
	seq.ID, seq.Version, seq.Created, seq.Updated = newID(), 1, now, now
	var out Sequence
	err := s.in(ctx, seq.Workspace, func(q *db.Queries) error {
		if request != uuid.Nil {
			row, err := q.GetSequenceByRequest(ctx, db.GetSequenceByRequestParams{WorkspaceID: seq.Workspace, RequestID: &request})
			if err == nil {
				out, err = withSteps(ctx, q, row)
				return err
			}
			if !postgres.IsNoRows(err) {
				return err
			}
		}
		err := q.InsertSequence(ctx, db.InsertSequenceParams{
			WorkspaceID: seq.Workspace, ID: seq.ID, DisplayName: seq.DisplayName, Active: seq.Active,
			Trigger: string(seq.Trigger), RequestID: optionalID(request), Now: now,
		})
		if err != nil {
			return err
		}
		out = seq
		return insertSteps(ctx, q, seq)
	})
	switch {
	case postgres.IsUnique(err, "sequence_request_once"): // the other call with this id won the race
		return s.CreateSequence(ctx, seq, request, now)
	case postgres.IsUnique(err, "sequence_name_once"):
		return Sequence{}, ErrNameTaken
	case err != nil:
		return Sequence{}, fmt.Errorf("create sequence: %w", err)
	}
	return out, nil
}

func insertSteps(ctx context.Context, q *db.Queries, seq Sequence) error {
	for i, step := range seq.Steps {
		err := q.InsertStep(ctx, db.InsertStepParams{
			WorkspaceID: seq.Workspace, SequenceID: seq.ID, Version: int32(seq.Version), Position: int32(i + 1),
			Channel: string(step.Channel), DelayDays: int32(step.DelayDays), DelayMinutes: int32(step.DelayMinutes),
			SubjectTemplate: step.SubjectTemplate, BodyTemplate: step.BodyTemplate,
		})
		if err != nil {
			return fmt.Errorf("insert step %d: %w", i+1, err)
		}
	}
	return nil
}

func withSteps(ctx context.Context, q *db.Queries, row db.Sequence) (Sequence, error) {
	steps, err := q.ListSteps(ctx, db.ListStepsParams{WorkspaceID: row.WorkspaceID, SequenceID: row.ID, Version: row.Version})
	if err != nil {
		return Sequence{}, fmt.Errorf("list steps: %w", err)
	}
	seq := Sequence{
		Workspace: row.WorkspaceID, Created: row.CreateTime.UTC(), Updated: row.UpdateTime.UTC(),
		Sequence: followup.Sequence{
			ID: row.ID, DisplayName: row.DisplayName, Active: row.Active, Trigger: followup.Trigger(row.Trigger), Version: int(row.Version),
		},
	}
	for _, step := range steps {
		seq.Steps = append(seq.Steps, toStep(step))
	}
	return seq, nil
}

// GetSequence reads a sequence with its newest steps. Error: ErrNotFound.
func (s *Store) GetSequence(ctx context.Context, workspace, id uuid.UUID) (out Sequence, err error) {
	err = s.in(ctx, workspace, func(q *db.Queries) error {
		row, err := q.GetSequence(ctx, db.GetSequenceParams{WorkspaceID: workspace, ID: id})
		if err != nil {
			return found(err)
		}
		out, err = withSteps(ctx, q, row)
		return err
	})
	return out, err
}

// ListSequences lists sequences, oldest first.
func (s *Store) ListSequences(ctx context.Context, workspace uuid.UUID, page Page) (out []Sequence, err error) {
	err = s.in(ctx, workspace, func(q *db.Queries) error {
		rows, err := q.ListSequences(ctx, db.ListSequencesParams{WorkspaceID: workspace, AfterID: page.After, PageSize: int32(page.Size)})
		if err != nil {
			return fmt.Errorf("list sequences: %w", err)
		}
		for _, row := range rows {
			seq, err := withSteps(ctx, q, row)
			if err != nil {
				return err
			}
			out = append(out, seq)
		}
		return nil
	})
	return out, err
}

// UpdateSequence changes a sequence by change, which sees the stored one under a lock and may refuse. Other steps than
// before make a new version; activating resumes what had paused because the sequence was inactive. Errors: ErrNotFound,
// ErrNameTaken, and those of change.
func (s *Store) UpdateSequence(ctx context.Context, workspace, id uuid.UUID, now time.Time, change func(*followup.Sequence) error) (Sequence, error) {
	var out Sequence
	err := s.in(ctx, workspace, func(q *db.Queries) error {
		row, err := q.LockSequence(ctx, db.LockSequenceParams{WorkspaceID: workspace, ID: id})
		if err != nil {
			return found(err)
		}
		before, err := withSteps(ctx, q, row)
		if err != nil {
			return err
		}
		out = before
		if err := change(&out.Sequence); err != nil {
			return err
		}
		return saveSequence(ctx, q, before, &out, now)
	})
	if postgres.IsUnique(err, "sequence_name_once") {
		return Sequence{}, ErrNameTaken
	}
	return out, err
}

func saveSequence(ctx context.Context, q *db.Queries, before Sequence, after *Sequence, now time.Time) error {
	for i := range after.Steps {
		after.Steps[i].Position = i + 1
	}
	after.Updated = now
	if len(before.Steps)+len(after.Steps) > 0 && !reflect.DeepEqual(before.Steps, after.Steps) {
		after.Version++
		if err := insertSteps(ctx, q, *after); err != nil {
			return err
		}
	}
	if after.Active && !before.Active {
		err := q.ResumePausedSequence(ctx, db.ResumePausedSequenceParams{
			WorkspaceID: after.Workspace, SequenceID: after.ID, Reason: followup.ReasonSequenceInactive, Now: now,
		})
		if err != nil {
			return fmt.Errorf("resume enrollments: %w", err)
		}
	}
	err := q.UpdateSequence(ctx, db.UpdateSequenceParams{
		WorkspaceID: after.Workspace, ID: after.ID, DisplayName: after.DisplayName, Active: after.Active,
		Trigger: string(after.Trigger), Version: int32(after.Version), Now: now,
	})
	if err != nil {
		return fmt.Errorf("update sequence: %w", err)
	}
	return nil
}

// DeleteSequence removes a sequence without running enrollments; its history stays. Errors: ErrNotFound,
// ErrStillRunning.
func (s *Store) DeleteSequence(ctx context.Context, workspace, id uuid.UUID, now time.Time) error {
	return s.in(ctx, workspace, func(q *db.Queries) error {
		if _, err := q.LockSequence(ctx, db.LockSequenceParams{WorkspaceID: workspace, ID: id}); err != nil {
			return found(err)
		}
		running, err := q.CountRunning(ctx, db.CountRunningParams{WorkspaceID: workspace, SequenceID: id})
		if err != nil {
			return fmt.Errorf("count enrollments: %w", err)
		}
		if running > 0 {
			return ErrStillRunning
		}
		return q.DeleteSequence(ctx, db.DeleteSequenceParams{WorkspaceID: workspace, ID: id, Now: now})
	})
}
