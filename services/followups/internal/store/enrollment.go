package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// Enrolling starts a lead on a sequence.
type Enrolling struct {
	// Workspace, Lead and Sequence say who and on what.
	Workspace, Lead, Sequence uuid.UUID
	// Request is the caller's id, or uuid.Nil.
	Request uuid.UUID
	// Zone of the workspace, or nil when it could not be learned.
	Zone *time.Location
	// RepliedSince is the newest inbound message that is known already; later ones pause.
	RepliedSince time.Time
	// Since, if set, replaces the start as the time since which a reply pauses: the lead was silent from then on.
	Since time.Time
}

// Enroll starts a lead. A request id that was used answers its enrollment. Errors: ErrNotFound for the sequence,
// ErrInactive, *AlreadyEnrolledError, *RequestReusedError.
func (s *Store) Enroll(ctx context.Context, in Enrolling, now time.Time) (out followup.Enrollment, err error) {
	err = s.in(ctx, in.Workspace, func(q *db.Queries) error {
		if in.Request != uuid.Nil {
			row, err := q.GetEnrollmentByRequest(ctx, db.GetEnrollmentByRequestParams{WorkspaceID: in.Workspace, RequestID: &in.Request})
			if err == nil {
				out = toEnrollment(row)
				return in.differs(out)
			}
			if !postgres.IsNoRows(err) {
				return fmt.Errorf("find request: %w", err)
			}
		}
		seq, err := q.ShareSequence(ctx, db.ShareSequenceParams{WorkspaceID: in.Workspace, ID: in.Sequence})
		if err != nil {
			return found(err)
		}
		if !seq.Active {
			return ErrInactive
		}
		if err := notBooked(ctx, q, in, seq, now); err != nil {
			return err
		}
		var inserted bool
		out, inserted, err = enroll(ctx, q, in, seq, now)
		if err != nil || inserted {
			return err
		}
		running, err := q.GetRunningEnrollment(ctx, db.GetRunningEnrollmentParams{
			WorkspaceID: in.Workspace, LeadID: in.Lead, SequenceID: in.Sequence,
		})
		if err != nil {
			return fmt.Errorf("find running enrollment: %w", err)
		}
		if in.Request != uuid.Nil && running.RequestID != nil && *running.RequestID == in.Request {
			out = toEnrollment(running)
			return nil
		}
		return &AlreadyEnrolledError{Enrollment: running.ID}
	})
	return out, err
}

// differs is nil when the request of an enrollment was the same.
func (in Enrolling) differs(e followup.Enrollment) error {
	var fields []string
	if e.Lead != in.Lead {
		fields = append(fields, "lead")
	}
	if e.Sequence != in.Sequence {
		fields = append(fields, "sequence")
	}
	if len(fields) > 0 {
		return &RequestReusedError{Fields: fields}
	}
	return nil
}

func enroll(ctx context.Context, q *db.Queries, in Enrolling, seq db.Sequence, now time.Time) (followup.Enrollment, bool, error) {
	first, err := stepAt(ctx, q, followup.Enrollment{
		Workspace: in.Workspace, Sequence: seq.ID, Version: int(seq.Version), Position: 1,
	})
	if err != nil {
		return followup.Enrollment{}, false, err
	}
	e := followup.Enroll(followup.Enrollment{
		ID: newID(), Workspace: in.Workspace, Lead: in.Lead, Sequence: seq.ID, Version: int(seq.Version),
	}, first, in.Zone, now)
	if in.RepliedSince.After(e.RepliedSince) { // the provider's clock may be ahead of ours
		e.RepliedSince = in.RepliedSince
	}
	if !in.Since.IsZero() {
		e.RepliedSince = in.Since
	}
	rows, err := q.InsertEnrollment(ctx, db.InsertEnrollmentParams{
		WorkspaceID: e.Workspace, ID: e.ID, LeadID: e.Lead, SequenceID: e.Sequence, SequenceVersion: int32(e.Version),
		State: string(e.State), Position: int32(e.Position), BaseTime: e.Base, DueTime: optional(e.Due), NextTime: optional(e.Next),
		StartTime: e.Start, RepliedSince: e.RepliedSince, RequestID: optionalID(in.Request), Now: now,
	})
	if err != nil {
		return followup.Enrollment{}, false, fmt.Errorf("insert enrollment: %w", err)
	}
	return e, rows == 1, nil
}

// notBooked refuses a lead with an appointment ahead, except for sequences that begin with one.
func notBooked(ctx context.Context, q *db.Queries, in Enrolling, seq db.Sequence, now time.Time) error {
	if followup.TriggerKind(seq.Trigger) == followup.TriggerMeetingSelected {
		return nil
	}
	booked, err := q.HasBookingAhead(ctx, db.HasBookingAheadParams{WorkspaceID: in.Workspace, LeadID: in.Lead, Now: now})
	if err != nil {
		return fmt.Errorf("look for a booking: %w", err)
	}
	if booked {
		return ErrBooked
	}
	return nil
}

// stepAt reads the step at the enrollment's position, or nil when none is left.
func stepAt(ctx context.Context, q *db.Queries, e followup.Enrollment) (*followup.Step, error) {
	rows, err := q.GetStep(ctx, db.GetStepParams{
		WorkspaceID: e.Workspace, SequenceID: e.Sequence, Version: int32(e.Version), Position: int32(e.Position),
	})
	if err != nil {
		return nil, fmt.Errorf("read step %d: %w", e.Position, err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	step := toStep(rows[0])
	return &step, nil
}

// GetEnrollment reads one. Error: ErrNotFound.
func (s *Store) GetEnrollment(ctx context.Context, workspace, id uuid.UUID) (out followup.Enrollment, err error) {
	err = s.in(ctx, workspace, func(q *db.Queries) error {
		row, err := q.GetEnrollment(ctx, db.GetEnrollmentParams{WorkspaceID: workspace, ID: id})
		out = toEnrollment(row)
		return found(err)
	})
	return out, err
}

// Filter narrows a listing.
type Filter struct {
	// Lead, if set, is the only lead.
	Lead uuid.UUID
	// State, if set, is the only state of tasks.
	State followup.TaskState
}

// ListEnrollments lists enrollments, oldest first.
func (s *Store) ListEnrollments(ctx context.Context, workspace uuid.UUID, filter Filter, page Page) (out []followup.Enrollment, err error) {
	scope, read := s.page, func(q *db.Queries) ([]db.Enrollment, error) {
		return q.ListEnrollments(ctx, db.ListEnrollmentsParams{WorkspaceID: workspace, AfterID: page.After, PageSize: int32(page.Size)})
	}
	if filter.Lead != uuid.Nil { // few, and sorted
		scope, read = s.in, func(q *db.Queries) ([]db.Enrollment, error) {
			return q.ListLeadEnrollments(ctx, db.ListLeadEnrollmentsParams{
				WorkspaceID: workspace, LeadID: filter.Lead, AfterID: page.After, PageSize: int32(page.Size),
			})
		}
	}
	err = scope(ctx, workspace, func(q *db.Queries) error {
		rows, err := read(q)
		for _, row := range rows {
			out = append(out, toEnrollment(row))
		}
		return err
	})
	return out, err
}

// ChangeEnrollment applies a guarded change to the locked enrollment. When the change is refused, the enrollment as it
// stands is returned beside the error. Errors: ErrNotFound and those of change.
func (s *Store) ChangeEnrollment(ctx context.Context, workspace, id uuid.UUID, now time.Time,
	change func(followup.Enrollment) (followup.Enrollment, error),
) (out followup.Enrollment, err error) {
	err = s.in(ctx, workspace, func(q *db.Queries) error {
		row, err := q.LockEnrollment(ctx, db.LockEnrollmentParams{WorkspaceID: workspace, ID: id})
		if err != nil {
			return found(err)
		}
		if out, err = change(toEnrollment(row)); err != nil {
			return err
		}
		return save(ctx, q, out, now)
	})
	return out, err
}
