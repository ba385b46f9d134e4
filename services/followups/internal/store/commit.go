package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

const commitTries = 4

// Done is the result of one item.
type Done struct {
	// Item as claimed.
	Item Item
	// Effect is what it amounts to.
	Effect followup.Effect
	// Trace are the rules that led to it.
	Trace []followup.Check
	// Zone of the workspace, or nil when unknown.
	Zone *time.Location
}

// Commit is one batch's results.
type Commit struct {
	// Run is the receipt that they count in.
	Run uuid.UUID
	// Token is the batch's.
	Token uuid.UUID
	// Done are the results; Release are items that were not worked on.
	Done    []Done
	Release []Item
	// Try bounds the tries of refusals that arrive with the commit.
	Try followup.Try
}

// Commit applies the results of a batch in one transaction: enrollments, tasks, run items and totals. Items whose lease
// was lost meanwhile are left out; the run that took them over asks sync for the same message again.
func (s *Store) Commit(ctx context.Context, c Commit) error {
	slices.SortFunc(c.Done, func(a, b Done) int {
		return cmp.Or(cmp.Compare(a.Item.Enrollment.Workspace.String(), b.Item.Enrollment.Workspace.String()),
			cmp.Compare(a.Item.Enrollment.ID.String(), b.Item.Enrollment.ID.String()))
	})
	var err error
	for range commitTries { // two batches that cancel each other's enrollments can deadlock; the loser repeats
		err = s.system(ctx, func(q *db.Queries, _ pgx.Tx) error { return commit(ctx, q, c) })
		if !postgres.IsRetryable(err) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("commit batch: %w", err)
	}
	return nil
}

func commit(ctx context.Context, q *db.Queries, c Commit) error {
	held, err := lockLeased(ctx, q, c)
	if err != nil {
		return err
	}
	items := db.AddRunItemsParams{RunID: c.Run, Now: c.Try.Now}
	decided := newDecisions(c.Run, c.Try.Now)
	for _, done := range c.Done {
		e, ok := held[done.Item.Enrollment.ID]
		if !ok {
			continue
		}
		if was := done.Item.Enrollment; e.State == followup.Paused && was.State == followup.Paused && e.Reason == was.Reason {
			e = e.GoOn(c.Try.Now) // it was claimed to see whether the pause is over: the effect tells
		}
		effect, err := apply(ctx, q, e, done, c.Try)
		if err != nil {
			return err
		}
		if effect.Move == followup.EndLead {
			endHeld(held, e, effect.Reason, c.Try.Now)
		}
		if err := decided.add(done.Item.Enrollment, effect, done.Trace); err != nil {
			return err
		}
		items.WorkspaceIds = append(items.WorkspaceIds, e.Workspace)
		items.Ids = append(items.Ids, newID())
		items.EnrollmentIds = append(items.EnrollmentIds, e.ID)
		items.LeadIds = append(items.LeadIds, e.Lead)
		items.Positions = append(items.Positions, int32(done.Item.Enrollment.Position))
		items.Outcomes = append(items.Outcomes, string(effect.Result))
		items.Reasons = append(items.Reasons, effect.Reason)
		items.Messages = append(items.Messages, effect.Message)
	}
	if len(items.Ids) > 0 {
		if err := q.AddRunItems(ctx, items); err != nil {
			return fmt.Errorf("add run items: %w", err)
		}
	}
	if err := decided.save(ctx, q); err != nil {
		return err
	}
	return release(ctx, q, c)
}

// endHeld ends what the batch holds of the lead, as endLead did in the database, so that a later item does not revive it.
func endHeld(held map[uuid.UUID]followup.Enrollment, of followup.Enrollment, reason string, now time.Time) {
	for id, e := range held {
		if e.Workspace != of.Workspace || e.Lead != of.Lead {
			continue
		}
		if ended, err := e.Cancel(reason, now); err == nil {
			held[id] = ended
		}
	}
}

func workspacesOf(c Commit) map[uuid.UUID][]uuid.UUID {
	out := map[uuid.UUID][]uuid.UUID{}
	for _, done := range c.Done {
		out[done.Item.Enrollment.Workspace] = append(out[done.Item.Enrollment.Workspace], done.Item.Enrollment.ID)
	}
	for _, item := range c.Release {
		out[item.Enrollment.Workspace] = append(out[item.Enrollment.Workspace], item.Enrollment.ID)
	}
	return out
}

func lockLeased(ctx context.Context, q *db.Queries, c Commit) (map[uuid.UUID]followup.Enrollment, error) {
	held := map[uuid.UUID]followup.Enrollment{}
	byWorkspace := workspacesOf(c)
	for _, workspace := range sortedKeys(byWorkspace) {
		rows, err := q.LockLeased(ctx, db.LockLeasedParams{WorkspaceID: workspace, Ids: byWorkspace[workspace], LeaseToken: c.Token})
		if err != nil {
			return nil, fmt.Errorf("lock leased enrollments: %w", err)
		}
		for _, row := range rows {
			held[row.ID] = toEnrollment(row)
		}
	}
	return held, nil
}

func release(ctx context.Context, q *db.Queries, c Commit) error {
	byWorkspace := workspacesOf(c)
	for _, workspace := range sortedKeys(byWorkspace) {
		err := q.ReleaseLease(ctx, db.ReleaseLeaseParams{WorkspaceID: workspace, Ids: byWorkspace[workspace], LeaseToken: c.Token})
		if err != nil {
			return fmt.Errorf("release leases: %w", err)
		}
	}
	return nil
}

func sortedKeys(m map[uuid.UUID][]uuid.UUID) []uuid.UUID {
	keys := make([]uuid.UUID, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b uuid.UUID) int { return cmp.Compare(a.String(), b.String()) })
	return keys
}

// apply moves one locked enrollment by its effect and records the step.
func apply(ctx context.Context, q *db.Queries, e followup.Enrollment, done Done, try followup.Try) (followup.Effect, error) {
	effect, step := done.Effect, done.Item.Step
	if step == nil {
		return effect, save(ctx, q, e.Apply(effect, nil, done.Zone, try.Now), try.Now)
	}
	key := done.Item.Key()
	try.Policy, try.Channel = done.Item.Policy(), key.Channel
	if effect.Move == followup.Await {
		// The outcome may have come while the batch was under way.
		plan, err := q.GetPlan(ctx, db.GetPlanParams{WorkspaceID: key.Workspace, RequestID: key.RequestID()})
		if err != nil && !postgres.IsNoRows(err) {
			return effect, fmt.Errorf("read plan: %w", err)
		}
		if plan.Settled != nil {
			effect = followup.Settle(*plan.Settled, e, try)
			effect.Message = cmp.Or(plan.SettledMessage, done.Effect.Message)
		}
	}
	if done.Item.Settings.DailyCap > 0 {
		if err := leavePlace(ctx, q, key, effect); err != nil {
			return effect, err
		}
	}
	return effect, record(ctx, q, recording{Before: e, Key: key, Effect: effect, Next: done.Item.Next, Zone: done.Zone, Now: try.Now})
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

// record saves the moved enrollment, its task, and for an opt-out the end of the lead's other enrollments.
func record(ctx context.Context, q *db.Queries, r recording) error {
	e, effect := r.Before, r.Effect
	if err := save(ctx, q, e.Apply(effect, r.Next, r.Zone, r.Now), r.Now); err != nil {
		return err
	}
	if effect.Task != "" {
		var suggested followup.Content
		if effect.Suggested != nil {
			suggested = *effect.Suggested
		}
		err := q.InsertTask(ctx, db.InsertTaskParams{
			Subject: suggested.Subject, Body: suggested.Body,
			WorkspaceID: e.Workspace, ID: newID(), LeadID: e.Lead, EnrollmentID: e.ID, Version: int32(e.Version), Position: int32(r.Key.Position),
			Part: int32(r.Key.Part), Channel: string(r.Key.Channel), State: string(effect.Task), Reason: effect.Reason,
			Message: effect.Message, Now: r.Now,
		})
		if err != nil {
			return fmt.Errorf("insert task: %w", err)
		}
	}
	if effect.Move == followup.Advance || effect.NewPart {
		err := q.EmptyPlan(ctx, db.EmptyPlanParams{WorkspaceID: e.Workspace, RequestID: r.Key.RequestID()})
		if err != nil {
			return fmt.Errorf("empty plan: %w", err)
		}
	}
	if effect.Move == followup.EndLead {
		return endLead(ctx, q, e, effect.Reason, r.Now)
	}
	return nil
}

// endLead cancels every running enrollment and pending task of a lead.
func endLead(ctx context.Context, q *db.Queries, e followup.Enrollment, reason string, now time.Time) error {
	rows, err := q.LockLeadEnrollments(ctx, db.LockLeadEnrollmentsParams{WorkspaceID: e.Workspace, LeadID: e.Lead})
	if err != nil {
		return fmt.Errorf("lock enrollments of lead: %w", err)
	}
	for _, row := range rows {
		ended, err := toEnrollment(row).Cancel(reason, now)
		if err != nil {
			continue
		}
		if err := save(ctx, q, ended, now); err != nil {
			return err
		}
	}
	err = q.CancelPendingTasks(ctx, db.CancelPendingTasksParams{WorkspaceID: e.Workspace, LeadID: e.Lead})
	if err != nil {
		return fmt.Errorf("cancel tasks: %w", err)
	}
	return nil
}
