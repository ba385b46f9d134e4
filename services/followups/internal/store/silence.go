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
// end. They are taken out in the transaction that enrolls: overlapping calls share them and none fires twice.
// The receipt of the run counts, in the same transaction, what became of those that waited for an answer.
func (s *Store) FireSilences(ctx context.Context, run uuid.UUID, now time.Time, size int) (fired int, err error) {
	for range commitTries {
		err = s.system(ctx, func(q *db.Queries, _ pgx.Tx) error {
			rows, err := q.LockDueSilences(ctx, db.LockDueSilencesParams{Now: now, Size: int32(size)})
			if err != nil {
				return err
			}
			fired = len(rows)
			return fire(ctx, q, run, rows, now)
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

// firing is a page of silences that came to their end. What is asked and written of each is asked and written of all at once, but
// for an enrollment.
type firing struct {
	q   *db.Queries
	now time.Time
	// past is what is known of the leads' enrollments, sequences are those met so far; nil for one that is gone.
	past      map[leadKey]followup.Past
	sequences map[sequenceKey]*db.Sequence
	ended     db.DeleteSilencesParams
	counted   db.AddRunSilencesParams
}

type (
	leadKey     struct{ workspace, lead uuid.UUID }
	sequenceKey struct{ workspace, sequence uuid.UUID }
)

func fire(ctx context.Context, q *db.Queries, run uuid.UUID, rows []db.SilenceWatch, now time.Time) error {
	if len(rows) == 0 {
		return nil
	}
	f := &firing{
		q: q, now: now, past: map[leadKey]followup.Past{}, sequences: map[sequenceKey]*db.Sequence{}, counted: db.AddRunSilencesParams{RunID: run},
	}
	if err := f.look(ctx, rows); err != nil {
		return err
	}
	for _, row := range rows {
		if err := f.one(ctx, row); err != nil {
			return err
		}
	}
	if err := q.AddRunSilences(ctx, f.counted); err != nil {
		return fmt.Errorf("count silences: %w", err)
	}
	return q.DeleteSilences(ctx, f.ended)
}

// look reads what the leads were enrolled in.
func (f *firing) look(ctx context.Context, rows []db.SilenceWatch) error {
	var of db.PastOfLeadsParams
	for _, row := range rows {
		of.WorkspaceIds, of.LeadIds = append(of.WorkspaceIds, row.WorkspaceID), append(of.LeadIds, row.LeadID)
	}
	past, err := f.q.PastOfLeads(ctx, of)
	if err != nil {
		return fmt.Errorf("read enrollments of leads: %w", err)
	}
	for _, p := range past {
		f.past[leadKey{p.WorkspaceID, p.LeadID}] = followup.Past{Running: p.Running, LastEnd: p.LastEnd}
	}
	return nil
}

// sequence locks a sequence against changes, once; nil when it is gone.
func (f *firing) sequence(ctx context.Context, row db.SilenceWatch) (*db.Sequence, error) {
	key := sequenceKey{row.WorkspaceID, row.SequenceID}
	if known, ok := f.sequences[key]; ok {
		return known, nil
	}
	seq, err := f.q.ShareSequence(ctx, db.ShareSequenceParams{WorkspaceID: row.WorkspaceID, ID: row.SequenceID})
	switch {
	case postgres.IsNoRows(err):
		f.sequences[key] = nil
	case err != nil:
		return nil, fmt.Errorf("read sequence: %w", err)
	default:
		f.sequences[key] = &seq
	}
	return f.sequences[key], nil
}

func (f *firing) one(ctx context.Context, row db.SilenceWatch) error {
	seq, err := f.sequence(ctx, row)
	if err != nil {
		return err
	}
	lead := leadKey{row.WorkspaceID, row.LeadID}
	past, outcome, trigger := f.past[lead], silenceInactive, followup.Trigger{}
	if seq != nil {
		trigger = toTrigger(*seq)
	}
	if quiet := past.LastEnd.Add(trigger.After); trigger.Kind == followup.TriggerReactivation && !past.Running && quiet.After(f.now) {
		// Another sequence wrote to the lead meanwhile: its silence begins when that ended.
		return f.q.PostponeSilence(ctx, db.PostponeSilenceParams{
			WorkspaceID: row.WorkspaceID, LeadID: row.LeadID, SequenceID: row.SequenceID, DueTime: quiet,
		})
	}
	switch {
	case seq == nil || !seq.Active || !trigger.Kind.WaitsForSilence():
	case past.Running:
		outcome = silenceRunning // a lead that another sequence runs for is not silent to us
	default:
		in := Enrolling{Workspace: row.WorkspaceID, Lead: row.LeadID, Since: row.Since}
		if outcome, err = enrollAgain(ctx, f.q, in, *seq, f.now); err != nil {
			return err
		}
		// The lead may be in the page once more, for another sequence.
		past.Running = past.Running || outcome == silenceEnrolled
		f.past[lead] = past
	}
	if trigger.Kind == followup.TriggerNoResponse {
		f.counted.WorkspaceIds, f.counted.Outcomes = append(f.counted.WorkspaceIds, row.WorkspaceID), append(f.counted.Outcomes, string(outcome))
	}
	f.ended.WorkspaceIds, f.ended.LeadIds = append(f.ended.WorkspaceIds, row.WorkspaceID), append(f.ended.LeadIds, row.LeadID)
	f.ended.SequenceIds = append(f.ended.SequenceIds, row.SequenceID)
	return nil
}
