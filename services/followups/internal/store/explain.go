package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// Case is all that the database knows of one enrollment.
type Case struct {
	// Item is the enrollment as a run would claim it.
	Item Item
	// Steps are all of its version, in order.
	Steps []followup.Step
	// Records are its stored decisions, oldest first.
	Records []followup.Record
}

// GetCase reads an enrollment with what explains it. Error: ErrNotFound.
func (s *Store) GetCase(ctx context.Context, workspace, id uuid.UUID) (out Case, err error) {
	err = s.in(ctx, workspace, func(q *db.Queries) error {
		row, err := q.GetEnrollment(ctx, db.GetEnrollmentParams{WorkspaceID: workspace, ID: id})
		if err != nil {
			return found(err)
		}
		items := []Item{{Enrollment: toEnrollment(row)}}
		if err := fill(ctx, q, []uuid.UUID{workspace}, items); err != nil {
			return err
		}
		out.Item = items[0]
		steps, err := q.ListSteps(ctx, db.ListStepsParams{
			WorkspaceID: workspace, SequenceID: row.SequenceID, Version: row.SequenceVersion,
		})
		if err != nil {
			return fmt.Errorf("list steps: %w", err)
		}
		for _, step := range steps {
			out.Steps = append(out.Steps, toStep(step))
		}
		records, err := q.ListDecisions(ctx, db.ListDecisionsParams{WorkspaceID: workspace, EnrollmentID: id})
		if err != nil {
			return fmt.Errorf("list decisions: %w", err)
		}
		for _, row := range records {
			record, err := toRecord(row)
			if err != nil {
				return err
			}
			out.Records = append(out.Records, record)
		}
		return nil
	})
	return out, err
}
