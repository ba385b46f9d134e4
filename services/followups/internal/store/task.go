package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// ErrNotPending is returned for a task that is over.
var ErrNotPending = errors.New("task is not pending")

// TaskKind says what a task is for.
type TaskKind string

// Kinds of tasks.
const (
	// TaskStep is the record of a step, or the part of it that a person does.
	TaskStep TaskKind = "step"
	// TaskReschedule asks to make a cancelled appointment anew.
	TaskReschedule TaskKind = "reschedule"
	// TaskScheduled is a follow-up at a date that a person set.
	TaskScheduled TaskKind = "scheduled"
	// TaskWindowNotice tells the lead that it is written to later; TaskRecontact is that later.
	TaskWindowNotice TaskKind = "window_notice"
	TaskRecontact    TaskKind = "recontact"
	// TaskClarification asks the lead for a date.
	TaskClarification TaskKind = "clarification"
)

// Task is something that was, or is to be, done for a lead.
type Task struct {
	// ID and Lead name it; Enrollment is nil-valued for one that is no step.
	ID, Lead, Enrollment uuid.UUID
	// Kind says what it is for.
	Kind TaskKind
	// Position and Channel of the step; Channel may be empty for other kinds.
	Position int
	Channel  followup.Channel
	// State, Reason and Message tell what became of it.
	State           followup.TaskState
	Reason, Message string
	// Title, Subject and Body are what a person is to do and say.
	Title, Subject, Body string
	// Assignee does it; Note is what people wrote to it.
	Assignee, Note string
	// Due is when it is to be done; zero for at once. Created and Finished are business times.
	Due, Created, Finished time.Time
}

func toTask(row db.Task) Task {
	out := Task{
		ID: row.ID, Lead: row.LeadID, Kind: TaskKind(row.Kind), State: followup.TaskState(row.State), Reason: row.Reason,
		Message: row.Message, Title: row.Title, Subject: row.Subject, Body: row.Body, Assignee: row.Assignee, Note: row.Note,
		Due: value(row.DueTime), Created: row.CreateTime.UTC(), Finished: value(row.FinishTime),
	}
	if row.EnrollmentID != nil {
		out.Enrollment = *row.EnrollmentID
	}
	if row.Position != nil {
		out.Position = int(*row.Position)
	}
	if row.Channel != nil {
		out.Channel = followup.Channel(*row.Channel)
	}
	return out
}

// ListTasks lists tasks, oldest first.
func (s *Store) ListTasks(ctx context.Context, workspace uuid.UUID, filter Filter, page Page) (out []Task, err error) {
	var state *string
	if filter.State != "" {
		text := string(filter.State)
		state = &text
	}
	err = s.page(ctx, workspace, func(q *db.Queries) error {
		rows, err := q.ListTasks(ctx, db.ListTasksParams{
			WorkspaceID: workspace, AfterID: page.After, LeadID: optionalID(filter.Lead), State: state, PageSize: int32(page.Size),
		})
		for _, row := range rows {
			out = append(out, toTask(row))
		}
		return err
	})
	return out, err
}

// Finish is what a person did with a task.
type Finish struct {
	// Workspace and Task name it.
	Workspace, Task uuid.UUID
	// Done tells done from skipped.
	Done bool
	// Note is kept with it.
	Note string
	// Zone of the lead, for the next step.
	Zone *time.Location
}

// FinishTask ends a pending task. A sequence that waited for it goes on in the same transaction: an approved message is
// sent by the next run, a step that a person did or skipped is over. Finishing it again in the same way changes nothing.
// Errors: ErrNotFound, ErrNotPending.
func (s *Store) FinishTask(ctx context.Context, f Finish, now time.Time) (out Task, err error) {
	state, reason := followup.TaskCompleted, ""
	if !f.Done {
		state, reason = followup.TaskSkipped, followup.ReasonSkippedByHand
	}
	err = s.in(ctx, f.Workspace, func(q *db.Queries) error {
		row, err := q.LockTask(ctx, db.LockTaskParams{WorkspaceID: f.Workspace, ID: f.Task})
		if err != nil {
			return found(err)
		}
		if out = toTask(row); row.State == string(state) {
			return nil
		}
		if row.State != string(followup.TaskPending) {
			return ErrNotPending
		}
		row, err = q.FinishTask(ctx, db.FinishTaskParams{
			WorkspaceID: f.Workspace, ID: f.Task, State: string(state), Reason: reason, Note: f.Note, Now: now,
		})
		if err != nil {
			return fmt.Errorf("finish task: %w", err)
		}
		out = toTask(row)
		return goOn(ctx, q, row, f, now)
	})
	return out, err
}

// goOn moves the enrollment that waited for the task.
func goOn(ctx context.Context, q *db.Queries, task db.Task, f Finish, now time.Time) error {
	if task.EnrollmentID == nil || task.Position == nil {
		return nil
	}
	row, err := q.LockEnrollment(ctx, db.LockEnrollmentParams{WorkspaceID: f.Workspace, ID: *task.EnrollmentID})
	if err != nil {
		return fmt.Errorf("lock enrollment: %w", err)
	}
	e := toEnrollment(row)
	if e.Position != int(*task.Position) || task.Version == nil || e.Version != int(*task.Version) {
		return nil
	}
	step, err := stepAt(ctx, q, e)
	if err != nil || step == nil {
		return err
	}
	following := e
	following.Position++
	next, err := stepAt(ctx, q, following)
	if err != nil {
		return err
	}
	moved, changed := e.TaskFinished(f.Done, *step, followup.Ahead{Next: next, Zone: f.Zone}, now)
	if !changed {
		return nil
	}
	return save(ctx, q, moved, now)
}

// AssignTask says who does a pending task; an empty assignee is nobody. Errors: ErrNotFound, ErrNotPending.
func (s *Store) AssignTask(ctx context.Context, workspace, id uuid.UUID, assignee string) (out Task, err error) {
	err = s.in(ctx, workspace, func(q *db.Queries) error {
		if _, err := q.LockTask(ctx, db.LockTaskParams{WorkspaceID: workspace, ID: id}); err != nil {
			return found(err)
		}
		row, err := q.AssignTask(ctx, db.AssignTaskParams{WorkspaceID: workspace, ID: id, Assignee: assignee})
		if postgres.IsNoRows(err) {
			return ErrNotPending
		}
		out = toTask(row)
		return err
	})
	return out, err
}

// GetTask reads one. Error: ErrNotFound.
func (s *Store) GetTask(ctx context.Context, workspace, id uuid.UUID) (out Task, err error) {
	err = s.in(ctx, workspace, func(q *db.Queries) error {
		row, err := q.LockTask(ctx, db.LockTaskParams{WorkspaceID: workspace, ID: id})
		out = toTask(row)
		return found(err)
	})
	return out, err
}
