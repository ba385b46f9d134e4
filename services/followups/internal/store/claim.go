package store

import (
	"bytes"
	"cmp"
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
	// Token fences the lease: the result is taken only while it is the row's token.
	Token uuid.UUID
	// SequenceActive tells whether the sequence may send.
	SequenceActive bool
	// ContinueOnReply tells that a reply does not pause the sequence.
	ContinueOnReply bool
	// Step is due; Next follows it. Nil when there is none.
	Step, Next *followup.Step
	// Planned is the message of an earlier try, or nil.
	Planned *followup.Content
	// Settings of the workspace.
	Settings followup.Settings
	// Refusals of the sequence.
	Refusals followup.Policy
	// Meeting is when the lead's last appointment is; zero for none, and for sequences that begin with one.
	Meeting time.Time
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
	// Last is the workspace whose turn was last, for the next claim's After.
	Last uuid.UUID
	// Items in order of time.
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
	// Shares bounds the items of single workspaces; those with 0 are passed over.
	Shares map[uuid.UUID]int
	// Others bounds the items of every workspace that is not in Shares; 0 means Size.
	Others int
}

// share is the most items of a workspace, when that many take part.
func (c Claim) share(workspace uuid.UUID, among int) int {
	most := c.Size / among // at least 1: there are no more workspaces than places
	if share, ok := c.Shares[workspace]; ok {
		return min(most, share)
	}
	if c.Others > 0 {
		return min(most, c.Others)
	}
	return most
}

// full are the workspaces that are passed over.
func (c Claim) full() []uuid.UUID {
	out := []uuid.UUID{}
	for workspace, share := range c.Shares {
		if share == 0 {
			out = append(out, workspace)
		}
	}
	return out
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
    WHERE e.workspace_id = walk.workspace_id AND walk.workspace_id <> ALL ($4::uuid[]) AND e.next_time <= $1
      AND (e.lease_until IS NULL OR e.lease_until < clock_timestamp())
    ORDER BY e.next_time LIMIT 1
) AS first
LIMIT $2`

// lockDue takes each workspace's fair share, oldest first; rows that another run has locked are passed over.
const lockDue = `
SELECT due.workspace_id, due.id
FROM unnest($1::uuid[], $3::integer[]) AS w(workspace_id, share)
CROSS JOIN LATERAL (
    SELECT e.workspace_id, e.id FROM enrollment AS e
    WHERE e.workspace_id = w.workspace_id AND e.next_time <= $2
      AND (e.lease_until IS NULL OR e.lease_until < clock_timestamp())
    ORDER BY e.next_time, e.id
    LIMIT w.share
    FOR UPDATE SKIP LOCKED
) AS due`

// Claim leases due enrollments, fairly over the workspaces. An empty batch means that nothing is due that is not in
// somebody else's hands.
func (s *Store) Claim(ctx context.Context, claim Claim) (Batch, error) {
	batch, token := Batch{}, newID()
	err := s.system(ctx, func(q *db.Queries, tx pgx.Tx) error {
		workspaces, of, ids, err := lock(ctx, tx, claim)
		if err != nil || len(ids) == 0 {
			return err
		}
		batch.Last = workspaces[len(workspaces)-1]
		rows, err := q.LeaseDue(ctx, db.LeaseDueParams{
			LeaseToken: token, LeaseSeconds: claim.Lease.Seconds(), WorkspaceIds: of, Ids: ids,
		})
		if err != nil {
			return fmt.Errorf("lease: %w", err)
		}
		for _, row := range rows {
			batch.Items = append(batch.Items, Item{Enrollment: toEnrollment(row), Token: token})
		}
		slices.SortFunc(batch.Items, func(a, b Item) int { // looks ahead take them in the same order
			return cmp.Or(a.Enrollment.Next.Compare(b.Enrollment.Next), bytes.Compare(a.Enrollment.ID[:], b.Enrollment.ID[:]))
		})
		return fill(ctx, q, workspaces, batch.Items)
	})
	if err != nil {
		return Batch{}, fmt.Errorf("claim due enrollments: %w", err)
	}
	return batch, nil
}

// lock gives the workspaces whose turn it is, and the locked enrollments with the workspace of each.
func lock(ctx context.Context, tx pgx.Tx, claim Claim) (workspaces, of, ids []uuid.UUID, err error) {
	for _, after := range []uuid.UUID{claim.After, uuid.Nil} { // to the end, and round from the beginning
		turn, err := queryIDs(ctx, tx, dueWorkspaces, claim.Now, claim.Size-len(workspaces), after, claim.full())
		if err != nil {
			return nil, nil, nil, err
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
		return nil, nil, nil, nil
	}
	shares := make([]int32, len(workspaces))
	for i, workspace := range workspaces {
		shares[i] = int32(claim.share(workspace, len(workspaces)))
	}
	rows, err := tx.Query(ctx, lockDue, workspaces, claim.Now, shares)
	if err != nil {
		return nil, nil, nil, err
	}
	var workspace, id uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&workspace, &id}, func() error {
		of, ids = append(of, workspace), append(ids, id)
		return nil
	})
	return workspaces, of, ids, err
}

func queryIDs(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}
