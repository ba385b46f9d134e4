package store

import (
	"context"
	"encoding/json"
	"errors"
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
	seq.Sequence = seq.WithDefaults()
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
			WorkspaceID: seq.Workspace, ID: seq.ID, DisplayName: seq.DisplayName, Description: seq.Description, Active: seq.Active,
			Trigger: string(seq.Trigger.Kind), TriggerMinutes: minutes(seq.Trigger.After), TriggerTag: seq.Trigger.Tag,
			TriggerChannel: string(seq.Trigger.Channel), ReEnroll: string(seq.Trigger.ReEnroll),
			ReEnrollAfterDays: int32(seq.Trigger.ReEnrollAfterDays), Refusals: fromPolicy(seq.Refusals), ContinueOnReply: seq.ContinueOnReply,
			RequestID: optionalID(request), Now: now,
		})
		if err != nil {
			return err
		}
		out = seq
		return insertVersion(ctx, q, seq, now)
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

// insertVersion writes the steps of seq.Version and seals them.
func insertVersion(ctx context.Context, q *db.Queries, seq Sequence, now time.Time) error {
	version := int32(seq.Version)
	err := q.InsertVersion(ctx, db.InsertVersionParams{WorkspaceID: seq.Workspace, SequenceID: seq.ID, Version: version, Now: now})
	if err != nil {
		return fmt.Errorf("insert version %d: %w", version, err)
	}
	for _, step := range seq.Steps {
		err := q.InsertStep(ctx, db.InsertStepParams{
			WorkspaceID: seq.Workspace, SequenceID: seq.ID, Version: version, Position: int32(step.Position),
			StepID: step.ID, Channel: string(step.Channel), DelayDays: int32(step.DelayDays), DelayMinutes: int32(step.DelayMinutes),
			Anchor: string(step.Anchor), Condition: string(step.Condition), Expression: step.Expression,
			RequiresApproval: step.RequiresApproval, SendWithinMinutes: minutes(step.SendWithin),
			SubjectTemplate: step.SubjectTemplate, BodyTemplate: step.BodyTemplate, Refusals: fromPolicy(step.Refusals),
		})
		if err != nil {
			return fmt.Errorf("insert step %d: %w", step.Position, err)
		}
	}
	err = q.SealVersion(ctx, db.SealVersionParams{WorkspaceID: seq.Workspace, SequenceID: seq.ID, Version: version})
	if err != nil {
		return fmt.Errorf("seal version %d: %w", version, err)
	}
	return nil
}

func minutes(d time.Duration) int32 { return int32(d / time.Minute) }

func toStep(row db.SequenceStep) followup.Step {
	return followup.Step{
		Position: int(row.Position), ID: row.StepID, Channel: followup.Channel(row.Channel),
		DelayDays: int(row.DelayDays), DelayMinutes: int(row.DelayMinutes), Anchor: followup.Anchor(row.Anchor),
		Condition: followup.Condition(row.Condition), Expression: row.Expression, RequiresApproval: row.RequiresApproval,
		SendWithin:      time.Duration(row.SendWithinMinutes) * time.Minute,
		SubjectTemplate: row.SubjectTemplate, BodyTemplate: row.BodyTemplate, Refusals: toPolicy(row.Refusals),
	}
}

func toTrigger(row db.Sequence) followup.Trigger {
	return followup.Trigger{
		Kind: followup.TriggerKind(row.Trigger), After: time.Duration(row.TriggerMinutes) * time.Minute, Tag: row.TriggerTag,
		Channel: followup.Channel(row.TriggerChannel), ReEnroll: followup.ReEnroll(row.ReEnroll),
		ReEnrollAfterDays: int(row.ReEnrollAfterDays),
	}
}

// fromPolicy and toPolicy keep a layer of the refusal policy as JSON. What cannot be read is no override: the defaults
// are the safe side.
func fromPolicy(policy followup.Policy) []byte {
	if len(policy) == 0 {
		return []byte("{}")
	}
	text, err := json.Marshal(policy)
	if err != nil {
		panic(err) // a map of strings to strings and numbers
	}
	return text
}

func toPolicy(text []byte) followup.Policy {
	var policy followup.Policy
	if json.Unmarshal(text, &policy) != nil || len(policy) == 0 {
		return nil
	}
	return policy
}

func withSteps(ctx context.Context, q *db.Queries, row db.Sequence) (Sequence, error) {
	steps, err := q.ListSteps(ctx, db.ListStepsParams{WorkspaceID: row.WorkspaceID, SequenceID: row.ID, Version: row.Version})
	if err != nil {
		return Sequence{}, fmt.Errorf("list steps: %w", err)
	}
	seq := Sequence{
		Workspace: row.WorkspaceID, Created: row.CreateTime.UTC(), Updated: row.UpdateTime.UTC(),
		Sequence: followup.Sequence{
			ID: row.ID, DisplayName: row.DisplayName, Description: row.Description, Active: row.Active,
			Trigger: toTrigger(row), Refusals: toPolicy(row.Refusals), ContinueOnReply: row.ContinueOnReply, Version: int(row.Version),
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

// UpdateSequence changes a sequence. Other steps than before make a new version; activating resumes what had paused because
// the sequence was inactive. Errors: ErrNotFound, ErrNameTaken, *InvalidMovesError, and those of update.Change.
func (s *Store) UpdateSequence(ctx context.Context, workspace, id uuid.UUID, update Update) (out Sequence, moves []Move, err error) {
	for range commitTries { // a migration and a run can lock the same enrollments in another order; the loser repeats
		err = s.in(ctx, workspace, func(q *db.Queries) error {
			out, moves, err = updateSequence(ctx, q, db.LockSequenceParams{WorkspaceID: workspace, ID: id}, update)
			if err == nil && update.DryRun {
				return errTakenBack
			}
			return err
		})
		if !postgres.IsRetryable(err) {
			break
		}
	}
	if errors.Is(err, errTakenBack) {
		return out, moves, nil
	}
	if postgres.IsUnique(err, "sequence_name_once") {
		err = ErrNameTaken
	}
	return out, moves, err
}

func updateSequence(ctx context.Context, q *db.Queries, key db.LockSequenceParams, update Update) (Sequence, []Move, error) {
	row, err := q.LockSequence(ctx, key)
	if err != nil {
		return Sequence{}, nil, found(err)
	}
	before, err := withSteps(ctx, q, row)
	if err != nil {
		return Sequence{}, nil, err
	}
	after := before
	if err := update.Change(&after.Sequence); err != nil {
		return Sequence{}, nil, err
	}
	if err := saveSequence(ctx, q, before, &after, update.Now); err != nil || !update.Migrate {
		return after, nil, err
	}
	moves, err := migrate(ctx, q, after, update)
	return after, moves, err
}

func saveSequence(ctx context.Context, q *db.Queries, before Sequence, after *Sequence, now time.Time) error {
	after.Sequence = after.WithDefaults()
	after.Updated = now
	if len(before.Steps)+len(after.Steps) > 0 && !reflect.DeepEqual(before.Steps, after.Steps) {
		after.Version++
		if err := insertVersion(ctx, q, *after, now); err != nil {
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
		WorkspaceID: after.Workspace, ID: after.ID, DisplayName: after.DisplayName, Description: after.Description,
		Active: after.Active, Trigger: string(after.Trigger.Kind), TriggerMinutes: minutes(after.Trigger.After),
		TriggerTag: after.Trigger.Tag, TriggerChannel: string(after.Trigger.Channel), ReEnroll: string(after.Trigger.ReEnroll),
		ReEnrollAfterDays: int32(after.Trigger.ReEnrollAfterDays), Refusals: fromPolicy(after.Refusals), ContinueOnReply: after.ContinueOnReply,
		Version: int32(after.Version), Now: now,
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
