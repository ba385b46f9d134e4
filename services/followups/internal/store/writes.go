package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// writes collects what effects change, so that a commit of many takes as many statements as a commit of one.
type writes struct {
	now         time.Time
	enrollments []followup.Enrollment
	tasks       db.InsertTasksParams
	emptied     db.EmptyPlansParams
	places      db.LeavePlacesParams
	// ended are enrollments whose lead has everything ended.
	ended []ending
}

type ending struct {
	of     followup.Enrollment
	reason string
}

func newWrites(now time.Time) *writes {
	return &writes{now: now, tasks: db.InsertTasksParams{Now: now}}
}

// recording is one effect on one locked enrollment.
type recording struct {
	Before followup.Enrollment
	Key    followup.StepKey
	Effect followup.Effect
	Next   *followup.Step
	Zone   *time.Location
	Now    time.Time
}

// add takes the moved enrollment, its task, and for an opt-out the end of the lead's other enrollments.
func (w *writes) add(r recording) {
	e, effect := r.Before, r.Effect
	w.enrollments = append(w.enrollments, e.Apply(effect, r.Next, r.Zone, r.Now))
	if effect.Task != "" && (effect.Task != followup.TaskPending || !e.State.Ended()) {
		w.task(r) // nobody is asked for what has ended meanwhile
	}
	if effect.Move == followup.Advance || effect.NewPart {
		w.emptied.WorkspaceIds = append(w.emptied.WorkspaceIds, e.Workspace)
		w.emptied.RequestIds = append(w.emptied.RequestIds, r.Key.RequestID())
	}
	if effect.Move == followup.EndLead {
		w.ended = append(w.ended, ending{of: e, reason: effect.Reason})
	}
}

func (w *writes) task(r recording) {
	var suggested followup.Content
	if r.Effect.Suggested != nil {
		suggested = *r.Effect.Suggested
	}
	p, e := &w.tasks, r.Before
	p.WorkspaceIds, p.Ids = append(p.WorkspaceIds, e.Workspace), append(p.Ids, newID())
	p.LeadIds, p.EnrollmentIds = append(p.LeadIds, e.Lead), append(p.EnrollmentIds, e.ID)
	p.Versions, p.Positions = append(p.Versions, int32(e.Version)), append(p.Positions, int32(r.Key.Position))
	p.Parts, p.Channels = append(p.Parts, int32(r.Key.Part)), append(p.Channels, string(r.Key.Channel))
	p.States, p.Reasons = append(p.States, string(r.Effect.Task)), append(p.Reasons, r.Effect.Reason)
	p.Messages = append(p.Messages, r.Effect.Message)
	p.Subjects, p.Bodies = append(p.Subjects, suggested.Subject), append(p.Bodies, suggested.Body)
}

// leavePlace gives the message's place of the lead's day back.
func (w *writes) leavePlace(key followup.StepKey) {
	w.places.WorkspaceIds = append(w.places.WorkspaceIds, key.Workspace)
	w.places.RequestIds = append(w.places.RequestIds, key.RequestID())
}

// flush writes. release ends the leases of the enrollments.
func (w *writes) flush(ctx context.Context, q *db.Queries, release bool) error {
	if err := saveAll(ctx, q, w.enrollments, w.now, release); err != nil {
		return err
	}
	for _, write := range []struct {
		what string
		of   []uuid.UUID
		run  func() error
	}{
		{"insert tasks", w.tasks.Ids, func() error { return q.InsertTasks(ctx, w.tasks) }},
		{"empty plans", w.emptied.RequestIds, func() error { return q.EmptyPlans(ctx, w.emptied) }},
		{"leave places of the day", w.places.RequestIds, func() error { return q.LeavePlaces(ctx, w.places) }},
	} {
		if len(write.of) == 0 {
			continue
		}
		if err := write.run(); err != nil {
			return fmt.Errorf("%s: %w", write.what, err)
		}
	}
	for _, ended := range w.ended { // after the others, so that nothing of this commit revives a lead's enrollment
		if err := endLead(ctx, q, ended.of, ended.reason, w.now); err != nil {
			return err
		}
	}
	return nil
}

// record writes one effect.
func record(ctx context.Context, q *db.Queries, r recording) error {
	w := newWrites(r.Now)
	w.add(r)
	return w.flush(ctx, q, false)
}
