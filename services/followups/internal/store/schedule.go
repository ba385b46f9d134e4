package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// Schedule is a one-off follow-up that a person sets.
type Schedule struct {
	// Workspace and Lead are whom it is about.
	Workspace, Lead uuid.UUID
	// Plan is what the domain makes of the date or window that was given.
	Plan followup.OneOff
	// Channel of the follow-up, if it is known; Note is kept with the tasks.
	Channel followup.Channel
	Note    string
}

// ScheduleFollowUp makes the tasks of a one-off follow-up and holds the lead's sequences until then, in one transaction. A
// new date replaces the one before.
func (s *Store) ScheduleFollowUp(ctx context.Context, in Schedule, now time.Time) (out []Task, err error) {
	err = s.in(ctx, in.Workspace, func(q *db.Queries) error {
		for _, task := range in.Plan.Tasks {
			if err := putLeadTask(ctx, q, in, task, now); err != nil {
				return err
			}
		}
		if in.Plan.Until.IsZero() {
			return nil
		}
		err := q.CancelTasks(ctx, db.CancelTasksParams{
			WorkspaceID: in.Workspace, LeadID: in.Lead, Kind: string(TaskClarification), LeastPart: 0, Now: now,
		})
		if err != nil {
			return fmt.Errorf("cancel clarification: %w", err)
		}
		return snooze(ctx, q, in, now)
	})
	if err != nil {
		return nil, fmt.Errorf("schedule follow-up: %w", err)
	}
	tasks, err := s.ListTasks(ctx, in.Workspace, Filter{Lead: in.Lead, State: followup.TaskPending}, Page{Size: maxLeadTasks})
	for _, task := range tasks {
		if task.Kind != TaskStep {
			out = append(out, task)
		}
	}
	return out, err
}

const maxLeadTasks = 500

func putLeadTask(ctx context.Context, q *db.Queries, in Schedule, task followup.OneOffTask, now time.Time) error {
	part := 0
	if TaskKind(task.Kind) == TaskClarification {
		asked, err := q.CountTasks(ctx, db.CountTasksParams{WorkspaceID: in.Workspace, LeadID: in.Lead, Kind: task.Kind})
		if err != nil {
			return fmt.Errorf("count clarifications: %w", err)
		}
		part = int(asked) + 1
		task.Title = fmt.Sprintf("%s (#%d)", task.Title, part)
	}
	var channel *string
	if in.Channel != "" {
		text := string(in.Channel)
		channel = &text
	}
	err := q.PutLeadTask(ctx, db.PutLeadTaskParams{
		WorkspaceID: in.Workspace, ID: newID(), LeadID: in.Lead, Part: int32(part), Channel: channel, Reason: task.Reason,
		Kind: task.Kind, Title: task.Title, DueTime: optional(task.Due), Note: in.Note, Now: now,
	})
	if err != nil {
		return fmt.Errorf("put task: %w", err)
	}
	return nil
}

func snooze(ctx context.Context, q *db.Queries, in Schedule, now time.Time) error {
	rows, err := q.LockLeadEnrollments(ctx, db.LockLeadEnrollmentsParams{WorkspaceID: in.Workspace, LeadID: in.Lead})
	if err != nil {
		return fmt.Errorf("lock enrollments of lead: %w", err)
	}
	for _, row := range rows {
		moved, changed := toEnrollment(row).Snooze(in.Plan.Until, now)
		if !changed {
			continue
		}
		if err := save(ctx, q, moved, now); err != nil {
			return err
		}
	}
	return nil
}
