package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// decisions collects the records of one commit.
type decisions struct {
	params db.RecordDecisionsParams
}

func newDecisions(run uuid.UUID, now time.Time) *decisions {
	return &decisions{params: db.RecordDecisionsParams{RunID: optionalID(run), Now: now}}
}

// add takes the effect on the enrollment as it stood before.
func (d *decisions) add(e followup.Enrollment, effect followup.Effect, trace []followup.Check) error {
	checks, err := json.Marshal(trace)
	if err != nil {
		return fmt.Errorf("encode checks: %w", err)
	}
	p := &d.params
	p.WorkspaceIds = append(p.WorkspaceIds, e.Workspace)
	p.EnrollmentIds = append(p.EnrollmentIds, e.ID)
	p.Versions = append(p.Versions, int32(e.Version))
	p.Positions = append(p.Positions, int32(e.Position))
	p.Parts = append(p.Parts, int32(e.Part))
	p.Moves = append(p.Moves, string(effect.Move))
	p.Reasons = append(p.Reasons, effect.Reason)
	p.Outcomes = append(p.Outcomes, string(effect.Result))
	p.UntilTimes = append(p.UntilTimes, effect.Until.UTC())
	p.Messages = append(p.Messages, effect.Message)
	p.Checks = append(p.Checks, string(checks))
	return nil
}

func (d *decisions) save(ctx context.Context, q *db.Queries) error {
	if len(d.params.EnrollmentIds) == 0 {
		return nil
	}
	if err := q.RecordDecisions(ctx, d.params); err != nil {
		return fmt.Errorf("record decisions: %w", err)
	}
	return nil
}

func toRecord(row db.Decision) (followup.Record, error) {
	out := followup.Record{
		Version: int(row.SequenceVersion), Position: int(row.Position), Part: int(row.Part),
		Result: followup.Result(row.Outcome), Move: followup.Move(row.Move), Reason: row.Reason, Until: value(row.UntilTime),
		Message: row.Message, Times: int(row.Times), First: row.FirstTime.UTC(), Last: row.LastTime.UTC(),
	}
	if row.RunID != nil {
		out.Run = *row.RunID
	}
	if err := json.Unmarshal(row.Checks, &out.Checks); err != nil {
		return out, fmt.Errorf("read checks: %w", err)
	}
	return out, nil
}

// DeleteOldDecisions removes records last confirmed before the time, at most limit of them, and tells how many.
func (s *Store) DeleteOldDecisions(ctx context.Context, before time.Time, limit int) (deleted int, err error) {
	err = s.system(ctx, func(q *db.Queries, _ pgx.Tx) error {
		rows, err := q.DeleteOldDecisions(ctx, db.DeleteOldDecisionsParams{Before: before, PageSize: int32(limit)})
		deleted = int(rows)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete old decisions: %w", err)
	}
	return deleted, nil
}
