package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// silenceOutcome is what became of an enrollment that a trigger asked for; the database knows the same words.
type silenceOutcome string

const (
	silenceEnrolled silenceOutcome = "enrolled"
	silenceRunning  silenceOutcome = "already_running"
	silenceNotAgain silenceOutcome = "re_enroll_rule"
	silenceBooked   silenceOutcome = "meeting_booked"
	silenceInactive silenceOutcome = "sequence_inactive"
)

// Silences are the leads that did not answer in the time that a sequence gives them, as a run found them.
type Silences struct {
	// Enabled tells that an active sequence waited for silence when the run ended.
	Enabled bool
	// Workspaces had a silence that came to its end; Checked are those, one for each lead and sequence.
	Workspaces, Checked int
	// Enrolled are the enrollments that were made.
	Enrolled int
	// Reasons count why the others were not.
	Reasons map[string]int
}

func readSilences(ctx context.Context, q *db.Queries, run db.Run) (Silences, error) {
	out := Silences{Enabled: run.SilenceEnabled, Reasons: map[string]int{}}
	rows, err := q.CountRunSilences(ctx, run.ID)
	if err != nil {
		return Silences{}, fmt.Errorf("count silences: %w", err)
	}
	for _, row := range rows {
		out.Checked += int(row.Watches)
		if silenceOutcome(row.Outcome) == silenceEnrolled {
			out.Enrolled = int(row.Watches)
			continue
		}
		out.Reasons[row.Outcome] = int(row.Watches)
	}
	workspaces, err := q.CountRunSilenceWorkspaces(ctx, run.ID)
	if err != nil {
		return Silences{}, fmt.Errorf("count workspaces of silences: %w", err)
	}
	out.Workspaces = int(workspaces)
	return out, nil
}

// FireSilences enrolls the leads whose silence has lasted, up to size of them, and reports how many watches came to their
// end. Each is taken out in the transaction that enrolls: overlapping calls share them and none fires twice.
// The receipt of the run counts, in the same transaction, what became of those that waited for an answer.
func (s *Store) FireSilences(ctx context.Context, run uuid.UUID, now time.Time, size int) (fired int, err error) {
	for range commitTries {
		err = s.system(ctx, func(q *db.Queries, _ pgx.Tx) error {
			rows, err := q.LockDueSilences(ctx, db.LockDueSilencesParams{Now: now, Size: int32(size)})
			if err != nil {
				return err
			}
			for _, row := range rows {
				if err := fire(ctx, q, run, row, now); err != nil {
					return err
				}
			}
			fired = len(rows)
			return nil
		})
		if !postgres.IsRetryable(err) {
			break
		}
	}
	if err != nil {
		return 0, fmt.Errorf("fire silences: %w", err)
	}
	return fired, nil
}

func fire(ctx context.Context, q *db.Queries, run uuid.UUID, row db.SilenceWatch, now time.Time) error {
	seq, err := q.ShareSequence(ctx, db.ShareSequenceParams{WorkspaceID: row.WorkspaceID, ID: row.SequenceID})
	if err != nil && !postgres.IsNoRows(err) {
		return fmt.Errorf("read sequence: %w", err)
	}
	past, errPast := q.PastOfLead(ctx, db.PastOfLeadParams{WorkspaceID: row.WorkspaceID, LeadID: row.LeadID})
	if errPast != nil {
		return fmt.Errorf("read enrollments of lead: %w", errPast)
	}
	trigger := toTrigger(seq)
	if quiet := past.LastEnd.Add(trigger.After); trigger.Kind == followup.TriggerReactivation && !past.Running &&
		quiet.After(now) {
		// Another sequence wrote to the lead meanwhile: its silence begins when that ended.
		return q.PostponeSilence(ctx, db.PostponeSilenceParams{
			WorkspaceID: row.WorkspaceID, LeadID: row.LeadID, SequenceID: row.SequenceID, DueTime: quiet,
		})
	}
	outcome := silenceInactive
	switch {
	case err != nil || !seq.Active || !trigger.Kind.WaitsForSilence():
	case past.Running:
		outcome = silenceRunning // a lead that another sequence runs for is not silent to us
	default:
		in := Enrolling{Workspace: row.WorkspaceID, Lead: row.LeadID, Since: row.Since}
		if outcome, err = enrollAgain(ctx, q, in, seq, now); err != nil {
			return err
		}
	}
	if trigger.Kind == followup.TriggerNoResponse {
		err := q.AddRunSilence(ctx, db.AddRunSilenceParams{RunID: run, WorkspaceID: row.WorkspaceID, Outcome: string(outcome)})
		if err != nil {
			return fmt.Errorf("count silence: %w", err)
		}
	}
	return q.DeleteSilence(ctx, db.DeleteSilenceParams{WorkspaceID: row.WorkspaceID, LeadID: row.LeadID, SequenceID: row.SequenceID})
}
