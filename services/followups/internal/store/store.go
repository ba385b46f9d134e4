// Package store keeps sequences, enrollments, tasks, runs and settings in PostgreSQL. Each exported method is one
// transaction; nothing remote is called inside one. Rules live in package followup: the store only applies them to
// locked rows.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Schema is the service's schema and the name of its role.
const Schema = "followups"

// Migrations are what the service's database needs: its tables and River's.
func Migrations() postgres.Migrations {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the directory is embedded above
	}
	return postgres.Migrations{Service: Schema, FS: files, River: true}
}

// Errors that callers branch on.
var (
	// ErrNotFound: no such row in the workspace.
	ErrNotFound = errors.New("not found")
	// ErrNameTaken: another sequence of the workspace has the display name.
	ErrNameTaken = errors.New("display name is taken")
	// ErrBooked: the lead has an appointment ahead.
	ErrBooked = errors.New("lead has an appointment ahead")
	// ErrInactive: the sequence does not take enrollments.
	ErrInactive = errors.New("sequence is inactive")
	// ErrStillRunning: the sequence has enrollments that have not ended.
	ErrStillRunning = errors.New("enrollments are running")
)

// AlreadyEnrolledError names the running enrollment of the lead in the sequence.
type AlreadyEnrolledError struct {
	// Enrollment is the one that runs.
	Enrollment uuid.UUID
}

// Error tells that there is one already.
func (e *AlreadyEnrolledError) Error() string { return "already enrolled: " + e.Enrollment.String() }

// RequestReusedError says that a request id enrolled something else.
type RequestReusedError struct {
	// Fields are the parts that differ.
	Fields []string
}

// Error names the parts.
func (e *RequestReusedError) Error() string {
	return "request id used with other " + strings.Join(e.Fields, ",")
}

// Store is safe for concurrent use.
type Store struct {
	pool *pgxpool.Pool
}

// New makes a store on a pool of the service's role.
func New(pool *pgxpool.Pool) *Store { return &Store{pool: pool} }

func (s *Store) in(ctx context.Context, workspace uuid.UUID, fn func(*db.Queries) error) error {
	return postgres.InWorkspace(ctx, s.pool, workspace.String(), func(tx pgx.Tx) error { return fn(db.New(tx)) })
}

// page is in for a page of a list (postgres.PageWorkspace).
func (s *Store) page(ctx context.Context, workspace uuid.UUID, fn func(*db.Queries) error) error {
	return postgres.PageWorkspace(ctx, s.pool, workspace.String(), func(tx pgx.Tx) error { return fn(db.New(tx)) })
}

func (s *Store) system(ctx context.Context, fn func(*db.Queries, pgx.Tx) error) error {
	return postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error { return fn(db.New(tx), tx) })
}

// found turns "no rows" into ErrNotFound.
func found(err error) error {
	if postgres.IsNoRows(err) {
		return ErrNotFound
	}
	return err
}

// newID makes a UUIDv7, so that ids sort by creation.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func value(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func optionalID(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

func toEnrollment(row db.Enrollment) followup.Enrollment {
	return followup.Enrollment{
		ID: row.ID, Workspace: row.WorkspaceID, Lead: row.LeadID, Sequence: row.SequenceID, Version: int(row.SequenceVersion),
		State: followup.State(row.State), Reason: row.Reason, Position: int(row.Position),
		Base: row.BaseTime.UTC(), Due: value(row.DueTime), Next: value(row.NextTime),
		Start: row.StartTime.UTC(), End: value(row.EndTime), RepliedSince: row.RepliedSince.UTC(),
		Attempts: int(row.Attempts), HeldBack: int(row.HeldBack), Part: int(row.Part), Approved: row.Approved, WakeOn: row.WakeOn, HoldUntil: value(row.HoldUntil),
	}
}

// save writes one enrollment and leaves its lease as it is.
func save(ctx context.Context, q *db.Queries, e followup.Enrollment, now time.Time) error {
	return saveAll(ctx, q, []followup.Enrollment{e}, now, false)
}

// saveAll writes enrollments in one statement; release ends their leases with it. The pending tasks of those that ended early
// end with them.
func saveAll(ctx context.Context, q *db.Queries, all []followup.Enrollment, now time.Time, release bool) error {
	if len(all) == 0 {
		return nil
	}
	p, ended := db.SaveEnrollmentsParams{Now: now, Release: release}, db.CancelTasksOfEnrollmentsParams{Now: now}
	for _, e := range all {
		p.WorkspaceIds, p.Ids = append(p.WorkspaceIds, e.Workspace), append(p.Ids, e.ID)
		p.States, p.Reasons = append(p.States, string(e.State)), append(p.Reasons, e.Reason)
		p.Positions, p.Parts = append(p.Positions, int32(e.Position)), append(p.Parts, int32(e.Part))
		p.BaseTimes, p.DueTimes = append(p.BaseTimes, e.Base.UTC()), append(p.DueTimes, e.Due.UTC())
		p.NextTimes, p.EndTimes = append(p.NextTimes, e.Next.UTC()), append(p.EndTimes, e.End.UTC())
		p.RepliedSinces, p.HoldUntils = append(p.RepliedSinces, e.RepliedSince.UTC()), append(p.HoldUntils, e.HoldUntil.UTC())
		p.HeldBacks = append(p.HeldBacks, int32(e.HeldBack))
		p.Attempts, p.Approved = append(p.Attempts, int32(e.Attempts)), append(p.Approved, e.Approved)
		p.WakeOns = append(p.WakeOns, e.WakeOn)
		if e.EndedEarly() {
			ended.WorkspaceIds, ended.EnrollmentIds = append(ended.WorkspaceIds, e.Workspace), append(ended.EnrollmentIds, e.ID)
		}
	}
	if err := q.SaveEnrollments(ctx, p); err != nil {
		return fmt.Errorf("save enrollments: %w", err)
	}
	if len(ended.EnrollmentIds) == 0 {
		return nil
	}
	if err := q.CancelTasksOfEnrollments(ctx, ended); err != nil {
		return fmt.Errorf("cancel tasks of ended enrollments: %w", err)
	}
	return nil
}
