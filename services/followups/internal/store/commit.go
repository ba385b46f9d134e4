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
	"github.com/relance/relance/services/followups/internal/crashpoint"
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
	// Zone is that of the next delay, or nil when unknown.
	Zone *time.Location
	// Try bounds the tries of refusals that arrive with the commit; its Now is when the item was taken up.
	Try followup.Try
}

// Commit is what is recorded together.
type Commit struct {
	// Run is the receipt that they count in.
	Run uuid.UUID
	// Now is the business time of the records.
	Now time.Time
	// Done are the results; Release are items that were not worked on.
	Done    []Done
	Release []Item
}

// Commit applies results in one transaction: enrollments, tasks, run items, totals and decision records. Items whose lease
// was lost meanwhile are left out; the run that took them over asks sync for the same message again. The number of
// statements does not grow with the number of items.
func (s *Store) Commit(ctx context.Context, c Commit) error {
	var err error
	for range commitTries { // two commits that end each other's enrollments can deadlock; the loser repeats
		err = s.system(ctx, func(q *db.Queries, _ pgx.Tx) error {
			if err := commit(ctx, q, c); err != nil {
				return err
			}
			crashpoint.At(crashpoint.K5)
			return nil
		})
		if !postgres.IsRetryable(err) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("commit outcomes: %w", err)
	}
	return nil
}

func commit(ctx context.Context, q *db.Queries, c Commit) error {
	held, err := lockLeased(ctx, q, c.Done)
	if err != nil {
		return err
	}
	settled, err := settledMeanwhile(ctx, q, c.Done)
	if err != nil {
		return err
	}
	if err := wakeMissed(ctx, q, c.Done); err != nil {
		return err
	}
	written := newWrites(c.Now)
	items := db.AddRunItemsParams{RunID: c.Run, Now: c.Now}
	decided := newDecisions(c.Run, c.Now)
	for _, done := range c.Done {
		e, ok := held[lease{done.Item.Enrollment.ID, done.Item.Token}]
		if !ok {
			continue
		}
		if overtaken(done.Item.Enrollment, e) {
			c.Release = append(c.Release, done.Item)
			continue
		}
		if was := done.Item.Enrollment; e.State == followup.Paused && was.State == followup.Paused && e.Reason == was.Reason {
			e = e.GoOn(done.Try.Now) // it was claimed to see whether the pause is over: the effect tells
		}
		effect := apply(written, e, done, settled)
		if effect.Move == followup.EndLead {
			endHeld(held, e, effect.Reason, c.Now)
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
	if err := written.flush(ctx, q, true); err != nil {
		return err
	}
	if len(items.Ids) > 0 {
		if err := q.AddRunItems(ctx, items); err != nil {
			return fmt.Errorf("add run items: %w", err)
		}
	}
	if err := decided.save(ctx, q); err != nil {
		return err
	}
	return release(ctx, q, c.Release)
}

// overtaken tells that the step of a claim is over already: the outcome that a look asked sync for came by event meanwhile
// and has moved the enrollment on. The look's answer is of the step before; taken for the present one, it would pass over it.
func overtaken(was, is followup.Enrollment) bool {
	return was.Version != is.Version || was.Position != is.Position || was.Part != is.Part
}

// lease is one claim of one enrollment.
type lease struct{ enrollment, token uuid.UUID }

// endHeld ends what the commit holds of the lead, as endLead does in the database, so that a later item does not revive it.
func endHeld(held map[lease]followup.Enrollment, of followup.Enrollment, reason string, now time.Time) {
	for key, e := range held {
		if e.Workspace != of.Workspace || e.Lead != of.Lead {
			continue
		}
		if ended, err := e.Cancel(reason, now); err == nil {
			held[key] = ended
		}
	}
}

// lockLeased locks what is still held, always in the same order.
func lockLeased(ctx context.Context, q *db.Queries, all []Done) (map[lease]followup.Enrollment, error) {
	if len(all) == 0 {
		return nil, nil
	}
	var params db.LockLeasedParams
	for _, done := range all {
		params.WorkspaceIds = append(params.WorkspaceIds, done.Item.Enrollment.Workspace)
		params.Ids, params.Tokens = append(params.Ids, done.Item.Enrollment.ID), append(params.Tokens, done.Item.Token)
	}
	rows, err := q.LockLeased(ctx, params)
	if err != nil {
		return nil, fmt.Errorf("lock leased enrollments: %w", err)
	}
	held := make(map[lease]followup.Enrollment, len(rows))
	for _, row := range rows {
		if row.LeaseToken != nil {
			held[lease{row.ID, *row.LeaseToken}] = toEnrollment(row)
		}
	}
	return held, nil
}

// settledMeanwhile gives the outcomes that came while the items were under way. It reads after the enrollments are locked,
// so that none can come between.
func settledMeanwhile(ctx context.Context, q *db.Queries, all []Done) (map[uuid.UUID]db.StepPlan, error) {
	var params db.ListPlansParams
	for _, done := range all {
		if done.Item.Step != nil && done.Effect.Move == followup.Await {
			key := done.Item.Key()
			params.WorkspaceIds, params.RequestIds = append(params.WorkspaceIds, key.Workspace), append(params.RequestIds, key.RequestID())
		}
	}
	if len(params.RequestIds) == 0 {
		return nil, nil
	}
	rows, err := q.ListPlans(ctx, params)
	if err != nil {
		return nil, fmt.Errorf("read plans: %w", err)
	}
	settled := map[uuid.UUID]db.StepPlan{}
	for _, row := range rows {
		if row.Settled != nil {
			settled[row.RequestID] = row
		}
	}
	return settled, nil
}

// wakeMissed ends holds that begin with this commit although what they wait for came while the step was under way: the event
// found nothing to wake. It reads after the enrollments are locked, so that none can come between.
func wakeMissed(ctx context.Context, q *db.Queries, all []Done) error {
	var params db.ListMissedWakesParams
	for _, done := range all {
		if done.Effect.WakeOn == "" || done.Effect.Result == followup.Waiting {
			continue
		}
		e := done.Item.Enrollment
		params.WorkspaceIds, params.LeadIds = append(params.WorkspaceIds, e.Workspace), append(params.LeadIds, e.Lead)
		params.EnrollmentIds, params.WakeOns = append(params.EnrollmentIds, e.ID), append(params.WakeOns, done.Effect.WakeOn)
		params.Sinces = append(params.Sinces, done.Try.Now)
	}
	if len(params.EnrollmentIds) == 0 {
		return nil
	}
	missed, err := q.ListMissedWakes(ctx, params)
	if err != nil {
		return fmt.Errorf("look for missed events: %w", err)
	}
	for i, done := range all {
		if slices.Contains(missed, done.Item.Enrollment.ID) {
			all[i].Effect = done.Effect.Woken(done.Try.Now)
		}
	}
	return nil
}

func release(ctx context.Context, q *db.Queries, items []Item) error {
	if len(items) == 0 {
		return nil
	}
	var params db.ReleaseLeasesParams
	for _, item := range items {
		params.WorkspaceIds = append(params.WorkspaceIds, item.Enrollment.Workspace)
		params.Ids, params.Tokens = append(params.Ids, item.Enrollment.ID), append(params.Tokens, item.Token)
	}
	if err := q.ReleaseLeases(ctx, params); err != nil {
		return fmt.Errorf("release leases: %w", err)
	}
	return nil
}

// apply moves one locked enrollment by its effect and gives the effect as it is recorded.
func apply(written *writes, e followup.Enrollment, done Done, settled map[uuid.UUID]db.StepPlan) followup.Effect {
	effect, try := done.Effect, done.Try
	if done.Item.Step == nil {
		written.enrollments = append(written.enrollments, e.Apply(effect, nil, done.Zone, try.Now))
		return effect
	}
	key := done.Item.Key()
	try.Policy, try.Channel = done.Item.Policy(), key.Channel
	if plan, ok := settled[key.RequestID()]; ok {
		effect = followup.Settle(*plan.Settled, e, try)
		effect.Message = cmp.Or(plan.SettledMessage, done.Effect.Message)
	}
	if done.Item.Settings.DailyCap > 0 && leavesPlace(effect) {
		written.leavePlace(key)
	}
	written.add(recording{Before: e, Key: key, Effect: effect, Next: done.Item.Next, Zone: done.Zone, Now: try.Now})
	return effect
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
