package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// Item is one due enrollment with all that the database knows for its decision.
type Item struct {
	// Enrollment is leased by the batch.
	Enrollment followup.Enrollment
	// SequenceActive tells whether the sequence may send.
	SequenceActive bool
	// Step is due; Next follows it. Nil when there is none.
	Step, Next *followup.Step
	// Planned is the message of an earlier try, or nil.
	Planned *followup.Content
	// Settings of the workspace.
	Settings followup.Settings
	// Refusals of the sequence.
	Refusals followup.Policy
	// LinkedInConnected tells that a person completed a LinkedIn task of the lead.
	LinkedInConnected bool
}

// Policy is what refusals mean for the step.
func (i Item) Policy() followup.Layers {
	layers := followup.Layers{Workspace: i.Settings.Refusals, Sequence: i.Refusals}
	if i.Step != nil {
		layers.Step = i.Step.Refusals
	}
	return layers
}

// Key is the derived identity of the step's message.
func (i Item) Key() followup.StepKey {
	return followup.StepKey{
		Workspace: i.Enrollment.Workspace, Enrollment: i.Enrollment.ID, Version: i.Enrollment.Version,
		Position: i.Enrollment.Position, Channel: i.Step.Channel, Part: i.Enrollment.Part,
	}
}

// Batch is a set of leased items.
type Batch struct {
	// Token fences the lease: results are taken only while it is the row's token.
	Token uuid.UUID
	// Last is the workspace whose turn was last, for the next claim's After.
	Last uuid.UUID
	// Items in order of workspace and time.
	Items []Item
}

// Claim bounds a claim.
type Claim struct {
	// Now is the business time.
	Now time.Time
	// Size is the most items.
	Size int
	// Lease is how long they stay claimed, by the database's clock.
	Lease time.Duration
	// After is the workspace that was served last: its turn comes after all others'. uuid.Nil begins anywhere.
	After uuid.UUID
}

// dueWorkspaces walks the index from workspace to workspace, beginning after the one that was served last, and stops
// when it has found enough that have something due. So one with a million due rows costs as much as one with three, and
// each gets its turn before any gets a second one.
const dueWorkspaces = `
WITH RECURSIVE walk AS (
    (SELECT workspace_id FROM enrollment WHERE next_time IS NOT NULL AND workspace_id > $3 ORDER BY workspace_id LIMIT 1)
    UNION ALL
    SELECT (SELECT e.workspace_id FROM enrollment AS e WHERE e.next_time IS NOT NULL AND e.workspace_id > walk.workspace_id
            ORDER BY e.workspace_id LIMIT 1)
    FROM walk WHERE walk.workspace_id IS NOT NULL
)
SELECT walk.workspace_id
FROM walk
CROSS JOIN LATERAL (
    SELECT 1 FROM enrollment AS e
    WHERE e.workspace_id = walk.workspace_id AND e.next_time <= $1
      AND (e.lease_until IS NULL OR e.lease_until < clock_timestamp())
    ORDER BY e.next_time LIMIT 1
) AS first
LIMIT $2`

// lockDue takes each workspace's fair share, oldest first; rows that another run has locked are passed over.
const lockDue = `
SELECT due.workspace_id, due.id
FROM unnest($1::uuid[]) AS w(workspace_id)
CROSS JOIN LATERAL (
    SELECT e.workspace_id, e.id FROM enrollment AS e
    WHERE e.workspace_id = w.workspace_id AND e.next_time <= $2
      AND (e.lease_until IS NULL OR e.lease_until < clock_timestamp())
    ORDER BY e.next_time, e.id
    LIMIT $3
    FOR UPDATE SKIP LOCKED
) AS due`

// Claim leases due enrollments, fairly over the workspaces. An empty batch means that nothing is due that is not in
// somebody else's hands.
func (s *Store) Claim(ctx context.Context, claim Claim) (Batch, error) {
	batch := Batch{Token: newID()}
	err := s.system(ctx, func(q *db.Queries, tx pgx.Tx) error {
		workspaces, ids, err := lock(ctx, tx, claim)
		if err != nil || len(ids) == 0 {
			return err
		}
		batch.Last = workspaces[len(workspaces)-1]
		rows, err := q.LeaseDue(ctx, db.LeaseDueParams{
			LeaseToken: batch.Token, LeaseSeconds: claim.Lease.Seconds(), WorkspaceIds: workspaces, Ids: ids,
		})
		if err != nil {
			return fmt.Errorf("lease: %w", err)
		}
		for _, row := range rows {
			batch.Items = append(batch.Items, Item{Enrollment: toEnrollment(row)})
		}
		return fill(ctx, q, workspaces, batch.Items)
	})
	if err != nil {
		return Batch{}, fmt.Errorf("claim due enrollments: %w", err)
	}
	return batch, nil
}

func lock(ctx context.Context, tx pgx.Tx, claim Claim) (workspaces, ids []uuid.UUID, err error) {
	for _, after := range []uuid.UUID{claim.After, uuid.Nil} { // to the end, and round from the beginning
		turn, err := queryIDs(ctx, tx, dueWorkspaces, claim.Now, claim.Size-len(workspaces), after)
		if err != nil {
			return nil, nil, err
		}
		for _, id := range turn {
			if !slices.Contains(workspaces, id) {
				workspaces = append(workspaces, id)
			}
		}
		if len(workspaces) >= claim.Size || claim.After == uuid.Nil {
			break
		}
	}
	if len(workspaces) == 0 {
		return nil, nil, nil
	}
	share := (claim.Size + len(workspaces) - 1) / len(workspaces)
	rows, err := tx.Query(ctx, lockDue, workspaces, claim.Now, share)
	if err != nil {
		return nil, nil, err
	}
	var workspace, id uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&workspace, &id}, func() error {
		ids = append(ids, id)
		return nil
	})
	return workspaces, ids, err
}

func queryIDs(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

// fill adds steps, sequences, plans and settings to the items, with one query each.
func fill(ctx context.Context, q *db.Queries, workspaces []uuid.UUID, items []Item) error {
	ids := make([]uuid.UUID, 0, len(items))
	sequences := make([]uuid.UUID, 0, len(items))
	byID := make(map[uuid.UUID]*Item, len(items))
	for i := range items {
		e := items[i].Enrollment
		ids, sequences, byID[e.ID] = append(ids, e.ID), append(sequences, e.Sequence), &items[i]
	}
	steps, err := q.ListBatchSteps(ctx, db.ListBatchStepsParams{WorkspaceIds: workspaces, Ids: ids})
	if err != nil {
		return fmt.Errorf("list steps: %w", err)
	}
	for _, row := range steps {
		item, step := byID[row.EnrollmentID], toStep(row.SequenceStep)
		if step.Position == item.Enrollment.Position {
			item.Step = &step
		} else {
			item.Next = &step
		}
	}
	states, err := q.ListSequenceStates(ctx, db.ListSequenceStatesParams{WorkspaceIds: workspaces, Ids: sequences})
	if err != nil {
		return fmt.Errorf("list sequences: %w", err)
	}
	active, refusals := map[uuid.UUID]bool{}, map[uuid.UUID]followup.Policy{}
	for _, row := range states {
		active[row.ID], refusals[row.ID] = row.Active, toPolicy(row.Refusals)
	}
	settings, err := q.ListSettings(ctx, workspaces)
	if err != nil {
		return fmt.Errorf("list settings: %w", err)
	}
	byWorkspace := map[uuid.UUID]followup.Settings{}
	for _, row := range settings {
		byWorkspace[row.WorkspaceID] = toSettings(row).Settings
	}
	for i := range items {
		items[i].SequenceActive = active[items[i].Enrollment.Sequence]
		items[i].Refusals = refusals[items[i].Enrollment.Sequence]
		items[i].Settings = followup.DefaultSettings()
		if set, ok := byWorkspace[items[i].Enrollment.Workspace]; ok {
			items[i].Settings = set
		}
	}
	if err := fillConnected(ctx, q, workspaces, items); err != nil {
		return err
	}
	return fillPlans(ctx, q, workspaces, items)
}

func fillConnected(ctx context.Context, q *db.Queries, workspaces []uuid.UUID, items []Item) error {
	leads := make([]uuid.UUID, len(items))
	for i, item := range items {
		leads[i] = item.Enrollment.Lead
	}
	rows, err := q.ListConnectedLeads(ctx, db.ListConnectedLeadsParams{WorkspaceIds: workspaces, LeadIds: leads})
	if err != nil {
		return fmt.Errorf("list LinkedIn connections: %w", err)
	}
	for i, item := range items {
		items[i].LinkedInConnected = slices.Contains(rows, db.ListConnectedLeadsRow{
			WorkspaceID: item.Enrollment.Workspace, LeadID: item.Enrollment.Lead,
		})
	}
	return nil
}

func fillPlans(ctx context.Context, q *db.Queries, workspaces []uuid.UUID, items []Item) error {
	byRequest := map[uuid.UUID]*Item{}
	var requests []uuid.UUID
	for i := range items {
		if items[i].Step != nil {
			id := items[i].Key().RequestID()
			byRequest[id], requests = &items[i], append(requests, id)
		}
	}
	plans, err := q.ListPlans(ctx, db.ListPlansParams{WorkspaceIds: workspaces, RequestIds: requests})
	if err != nil {
		return fmt.Errorf("list plans: %w", err)
	}
	for _, plan := range plans {
		byRequest[plan.RequestID].Planned = &followup.Content{Subject: plan.Subject, Body: plan.Body, HTML: plan.Html}
	}
	return nil
}

// Plan is a message that is about to be asked for.
type Plan struct {
	// Key is the step.
	Key followup.StepKey
	// Content as rendered now.
	Content followup.Content
}

// SavePlans keeps rendered messages before sync is asked for them, so that a repetition after a crash asks for the same
// content.
func (s *Store) SavePlans(ctx context.Context, plans []Plan, now time.Time) error {
	if len(plans) == 0 {
		return nil
	}
	err := s.system(ctx, func(q *db.Queries, _ pgx.Tx) error {
		for _, plan := range plans {
			err := q.InsertPlan(ctx, db.InsertPlanParams{
				WorkspaceID: plan.Key.Workspace, RequestID: plan.Key.RequestID(), EnrollmentID: plan.Key.Enrollment,
				Version: int32(plan.Key.Version), Position: int32(plan.Key.Position), Part: int32(plan.Key.Part),
				Subject: plan.Content.Subject, Body: plan.Content.Body, Html: plan.Content.HTML, Now: now,
			})
			if err != nil {
				return fmt.Errorf("insert plan: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("save plans: %w", err)
	}
	return nil
}
