package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// fill adds steps, sequences, settings, meetings, LinkedIn connections and plans to the items, with one query each.
func fill(ctx context.Context, q *db.Queries, workspaces []uuid.UUID, items []Item) error {
	for _, part := range []func(context.Context, *db.Queries, []Item) error{fillSteps, fillMeetings, fillConnected, fillPlans} {
		if err := part(ctx, q, items); err != nil {
			return err
		}
	}
	sequences := make([]uuid.UUID, len(items))
	for i, item := range items {
		sequences[i] = item.Enrollment.Sequence
	}
	states, err := q.ListSequenceStates(ctx, db.ListSequenceStatesParams{WorkspaceIds: workspaces, Ids: distinct(sequences)})
	if err != nil {
		return fmt.Errorf("list sequences: %w", err)
	}
	byID := map[uuid.UUID]db.ListSequenceStatesRow{}
	for _, row := range states {
		byID[row.ID] = row
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
		sequence := byID[items[i].Enrollment.Sequence]
		items[i].SequenceActive, items[i].ContinueOnReply, items[i].Refusals = sequence.Active, sequence.ContinueOnReply, toPolicy(sequence.Refusals)
		if followup.TriggerKind(sequence.Trigger) == followup.TriggerMeetingSelected {
			items[i].Meeting = time.Time{} // it is for leads with one
		}
		items[i].Settings = followup.DefaultSettings()
		if set, ok := byWorkspace[items[i].Enrollment.Workspace]; ok {
			items[i].Settings = set
		}
	}
	return nil
}

// fillMeetings adds the leads' appointments. A booking completes what runs; this is for one that came in the moment in which
// its lead was enrolled.
func fillMeetings(ctx context.Context, q *db.Queries, items []Item) error {
	workspaces, leads := leadsOf(items)
	rows, err := q.ListMeetings(ctx, db.ListMeetingsParams{WorkspaceIds: workspaces, LeadIds: leads})
	if err != nil {
		return fmt.Errorf("list meetings: %w", err)
	}
	type lead struct{ workspace, lead uuid.UUID }
	meetings := make(map[lead]time.Time, len(rows))
	for _, row := range rows {
		meetings[lead{row.WorkspaceID, row.LeadID}] = row.MeetingTime.UTC()
	}
	for i, item := range items {
		items[i].Meeting = meetings[lead{item.Enrollment.Workspace, item.Enrollment.Lead}]
	}
	return nil
}

// leadsOf gives the items' leads with their workspaces, in the items' order.
func leadsOf(items []Item) (workspaces, leads []uuid.UUID) {
	for _, item := range items {
		workspaces, leads = append(workspaces, item.Enrollment.Workspace), append(leads, item.Enrollment.Lead)
	}
	return workspaces, leads
}

func distinct(ids []uuid.UUID) []uuid.UUID {
	seen := make(map[uuid.UUID]bool, len(ids))
	var out []uuid.UUID
	for _, id := range ids {
		if !seen[id] {
			seen[id], out = true, append(out, id)
		}
	}
	return out
}

// place names a step. Many items of a batch are at the same one.
type place struct {
	workspace, sequence uuid.UUID
	version, position   int32
}

func placeOf(e followup.Enrollment) place {
	return place{workspace: e.Workspace, sequence: e.Sequence, version: int32(e.Version), position: int32(e.Position)}
}

func (p place) next() place {
	p.position++
	return p
}

func fillSteps(ctx context.Context, q *db.Queries, items []Item) error {
	var params db.ListBatchStepsParams
	steps := map[place]*followup.Step{}
	for _, item := range items {
		at := placeOf(item.Enrollment)
		for _, p := range []place{at, at.next()} {
			if _, known := steps[p]; known {
				continue
			}
			steps[p] = nil
			params.WorkspaceIds, params.SequenceIds = append(params.WorkspaceIds, p.workspace), append(params.SequenceIds, p.sequence)
			params.Versions, params.Positions = append(params.Versions, p.version), append(params.Positions, p.position)
		}
	}
	rows, err := q.ListBatchSteps(ctx, params)
	if err != nil {
		return fmt.Errorf("list steps: %w", err)
	}
	for _, row := range rows {
		step := toStep(row)
		steps[place{workspace: row.WorkspaceID, sequence: row.SequenceID, version: row.Version, position: row.Position}] = &step
	}
	for i, item := range items {
		at := placeOf(item.Enrollment)
		items[i].Step, items[i].Next = steps[at], steps[at.next()]
	}
	return nil
}

func fillConnected(ctx context.Context, q *db.Queries, items []Item) error {
	workspaces, leads := leadsOf(items)
	rows, err := q.ListConnectedLeads(ctx, db.ListConnectedLeadsParams{WorkspaceIds: workspaces, LeadIds: leads})
	if err != nil {
		return fmt.Errorf("list LinkedIn connections: %w", err)
	}
	connected := make(map[db.ListConnectedLeadsRow]bool, len(rows))
	for _, row := range rows {
		connected[row] = true
	}
	for i, item := range items {
		items[i].LinkedInConnected = connected[db.ListConnectedLeadsRow{WorkspaceID: item.Enrollment.Workspace, LeadID: item.Enrollment.Lead}]
	}
	return nil
}

func fillPlans(ctx context.Context, q *db.Queries, items []Item) error {
	byRequest := map[uuid.UUID]*Item{}
	var params db.ListPlansParams
	for i := range items {
		if items[i].Step != nil {
			key := items[i].Key()
			byRequest[key.RequestID()] = &items[i]
			params.WorkspaceIds, params.RequestIds = append(params.WorkspaceIds, key.Workspace), append(params.RequestIds, key.RequestID())
		}
	}
	plans, err := q.ListPlans(ctx, params)
	if err != nil {
		return fmt.Errorf("list plans: %w", err)
	}
	for _, plan := range plans {
		byRequest[plan.RequestID].Planned = &followup.Content{Subject: plan.Subject, Body: plan.Body, HTML: plan.Html, Until: value(plan.ExpireTime)}
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
// content. All or none are kept.
func (s *Store) SavePlans(ctx context.Context, plans []Plan, now time.Time) error {
	if len(plans) == 0 {
		return nil
	}
	params := db.InsertPlansParams{Now: now}
	for _, plan := range plans {
		key := plan.Key
		params.WorkspaceIds, params.RequestIds = append(params.WorkspaceIds, key.Workspace), append(params.RequestIds, key.RequestID())
		params.EnrollmentIds = append(params.EnrollmentIds, key.Enrollment)
		params.Versions, params.Positions = append(params.Versions, int32(key.Version)), append(params.Positions, int32(key.Position))
		params.Parts = append(params.Parts, int32(key.Part))
		params.Subjects, params.Bodies = append(params.Subjects, plan.Content.Subject), append(params.Bodies, plan.Content.Body)
		params.Htmls = append(params.Htmls, plan.Content.HTML)
		params.ExpireTimes = append(params.ExpireTimes, plan.Content.Until.UTC())
	}
	err := s.system(ctx, func(q *db.Queries, _ pgx.Tx) error { return q.InsertPlans(ctx, params) })
	if err != nil {
		return fmt.Errorf("save plans: %w", err)
	}
	return nil
}
