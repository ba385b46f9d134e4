package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// Update says how a sequence is changed.
type Update struct {
	// Now is the business time.
	Now time.Time
	// Change sees the stored sequence under a lock and may refuse.
	Change func(*followup.Sequence) error
	// Migrate moves running enrollments of older versions to the newest; Moves as in followup.Migration.
	Migrate bool
	Moves   map[string]string
	// DryRun does all of it and takes it back.
	DryRun bool
}

// Move is what a migration did to the enrollments that stand at one step of one version.
type Move struct {
	followup.Moved
	// FromVersion and ToVersion are the versions; the same when HeldBack.
	FromVersion, ToVersion int
	// HeldBack says why they stay; empty when they moved.
	HeldBack string
	// Enrollments that it holds for.
	Enrollments []uuid.UUID
}

// InvalidMovesError lists what is wrong with the moves of an Update.
type InvalidMovesError struct {
	// Violations is never empty.
	Violations []followup.Violation
}

// Error tells how many there are.
func (e *InvalidMovesError) Error() string {
	return fmt.Sprintf("%d invalid step moves", len(e.Violations))
}

// errTakenBack rolls a dry run back.
var errTakenBack = errors.New("dry run")

// Why an enrollment is held back: its current step may leave, or wait for a person, under the identity of its version.
const (
	heldInProgress = "send_in_progress"
	heldApproval   = followup.ReasonAwaitingApproval
)

// migrate moves the running enrollments of older versions of seq, in order of their step.
func migrate(ctx context.Context, q *db.Queries, seq Sequence, update Update) ([]Move, error) {
	rows, err := q.LockMigrating(ctx, db.LockMigratingParams{WorkspaceID: seq.Workspace, SequenceID: seq.ID, Version: int32(seq.Version)})
	if err != nil {
		return nil, fmt.Errorf("lock enrollments: %w", err)
	}
	migrations := map[int32]followup.Migration{}
	inUse := map[string]bool{}
	var moves []Move
	for _, row := range rows {
		migration, known := migrations[row.SequenceVersion]
		if !known {
			if migration, err = migrationFrom(ctx, q, seq, row.SequenceVersion, update.Moves); err != nil {
				return nil, err
			}
			migrations[row.SequenceVersion] = migration
		}
		moved := migration.Move(int(row.Position))
		inUse[moved.From] = true
		add(&moves, Move{Moved: moved, FromVersion: int(row.SequenceVersion), ToVersion: seq.Version, HeldBack: heldBack(row)}, row.ID)
	}
	check := followup.Migration{To: seq.Steps, Moves: update.Moves}
	if violations := check.CheckMoves(inUse); len(violations) > 0 {
		return nil, &InvalidMovesError{Violations: violations}
	}
	for _, move := range moves {
		if err := moveGroup(ctx, q, seq, move, update.Now); err != nil {
			return nil, err
		}
	}
	return moves, nil
}

func migrationFrom(ctx context.Context, q *db.Queries, seq Sequence, version int32, moves map[string]string) (followup.Migration, error) {
	out := followup.Migration{To: seq.Steps, Moves: moves}
	rows, err := q.ListSteps(ctx, db.ListStepsParams{WorkspaceID: seq.Workspace, SequenceID: seq.ID, Version: version})
	if err != nil {
		return out, fmt.Errorf("list steps of version %d: %w", version, err)
	}
	for _, row := range rows {
		out.From = append(out.From, toStep(row))
	}
	return out, nil
}

func heldBack(row db.LockMigratingRow) string {
	switch {
	case row.State == string(followup.Paused) && row.Reason == followup.ReasonAwaitingApproval:
		return heldApproval
	case row.State == string(followup.Awaiting) || row.Leased || row.Planned:
		return heldInProgress
	}
	return ""
}

// add counts an enrollment with those that make the same move.
func add(moves *[]Move, move Move, enrollment uuid.UUID) {
	if move.HeldBack != "" {
		move.ToVersion, move.To, move.Position, move.SameTime = move.FromVersion, move.From, 0, true
	}
	i := slices.IndexFunc(*moves, func(m Move) bool {
		return m.Moved == move.Moved && m.FromVersion == move.FromVersion && m.HeldBack == move.HeldBack
	})
	if i < 0 {
		*moves = append(*moves, move)
		i = len(*moves) - 1
	}
	(*moves)[i].Enrollments = append((*moves)[i].Enrollments, enrollment)
}

func moveGroup(ctx context.Context, q *db.Queries, seq Sequence, move Move, now time.Time) error {
	var err error
	switch {
	case move.HeldBack != "":
		return nil
	case move.Position == 0:
		err = q.CompleteMigrated(ctx, db.CompleteMigratedParams{
			WorkspaceID: seq.Workspace, Ids: move.Enrollments, Reason: followup.ReasonMigrated, Now: now,
		})
	default:
		err = q.MoveEnrollments(ctx, db.MoveEnrollmentsParams{
			WorkspaceID: seq.Workspace, Ids: move.Enrollments, Version: int32(seq.Version), Position: int32(move.Position),
			SameTime: move.SameTime, Now: now,
		})
	}
	if err != nil {
		return fmt.Errorf("move enrollments of version %d: %w", move.FromVersion, err)
	}
	return nil
}
