package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// pull enrolls the lead of an event into the sequences whose trigger it pulls, and starts or ends the watch over the
// lead's silence. It runs in the transaction that records the event, after its other effects, so that a booking ends the
// sequences before it and starts those that it is for.
func pull(ctx context.Context, q *db.Queries, event Event, now time.Time) error {
	signals, err := signalsOf(ctx, q, event)
	if err != nil {
		return err
	}
	for _, signal := range signals {
		if err := enrollPulled(ctx, q, event, signal, now); err != nil {
			return err
		}
	}
	return watch(ctx, q, event)
}

// signalsOf are the triggers that an event pulls.
func signalsOf(ctx context.Context, q *db.Queries, event Event) ([]followup.Signal, error) {
	switch event.Type {
	case LeadCreated:
		return []followup.Signal{{Kind: followup.TriggerLeadCreated}}, nil
	case LeadBooked:
		return []followup.Signal{{Kind: followup.TriggerMeetingSelected}}, nil
	case HumanOutbound:
		// The event itself is recorded already, so the first one counts one.
		n, err := q.CountLeadEvents(ctx, db.CountLeadEventsParams{WorkspaceID: event.Workspace, LeadID: event.Lead, Type: string(HumanOutbound)})
		if err != nil || n != 1 {
			return nil, err
		}
		return []followup.Signal{{Kind: followup.TriggerSetterReply, Channel: event.Channel}}, nil
	case DNDChanged:
		if event.DNDActive {
			return []followup.Signal{{Kind: followup.TriggerDNDSet, Channel: event.Channel}}, nil
		}
		return []followup.Signal{{Kind: followup.TriggerDNDCleared, Channel: event.Channel}}, nil
	case TagsChanged:
		var signals []followup.Signal
		for _, tag := range event.AddedTags {
			signals = append(signals, followup.Signal{Kind: followup.TriggerTagAdded, Tag: tag})
		}
		return signals, nil
	}
	return nil, nil
}

func enrollPulled(ctx context.Context, q *db.Queries, event Event, signal followup.Signal, now time.Time) error {
	sequences, err := q.LockTriggered(ctx, db.LockTriggeredParams{WorkspaceID: event.Workspace, Triggers: []string{string(signal.Kind)}})
	if err != nil {
		return fmt.Errorf("list triggered sequences: %w", err)
	}
	for _, seq := range sequences {
		if !toTrigger(seq).Pulls(signal) {
			continue
		}
		in := Enrolling{Workspace: event.Workspace, Lead: event.Lead, Zone: event.Zone, RepliedSince: event.Time}
		if err := enrollAgain(ctx, q, in, seq, now); err != nil {
			return err
		}
	}
	return nil
}

// enrollAgain enrolls as far as the sequence's rule of re-enrollment allows; the index over running enrollments decides
// when two events race.
func enrollAgain(ctx context.Context, q *db.Queries, in Enrolling, seq db.Sequence, now time.Time) error {
	row, err := q.PastEnrollments(ctx, db.PastEnrollmentsParams{WorkspaceID: in.Workspace, LeadID: in.Lead, SequenceID: seq.ID})
	if err != nil {
		return fmt.Errorf("read earlier enrollments: %w", err)
	}
	past := followup.Past{Running: row.Running, Count: int(row.Enrollments), LastEnd: row.LastEnd}
	if !toTrigger(seq).Allows(past, now) {
		return nil
	}
	if err := notBooked(ctx, q, in, seq, now); err != nil {
		if errors.Is(err, ErrBooked) {
			return nil
		}
		return err
	}
	in.Sequence = seq.ID
	_, _, err = enroll(ctx, q, in, seq, now)
	return err
}

// watch starts, renews or ends the watch over a lead's silence.
func watch(ctx context.Context, q *db.Queries, event Event) error {
	silence := []string{string(followup.TriggerNoResponse), string(followup.TriggerReactivation)}
	switch event.Type {
	case HumanOutbound:
		return watchFrom(ctx, q, event, silence)
	case LeadReplied:
		if err := forget(ctx, q, event, silence[:1]); err != nil {
			return err
		}
		return watchFrom(ctx, q, event, silence[1:])
	case LeadBooked, LeadOptedOut, LeadBlocked:
		return forget(ctx, q, event, silence)
	}
	return nil
}

func watchFrom(ctx context.Context, q *db.Queries, event Event, kinds []string) error {
	sequences, err := q.LockTriggered(ctx, db.LockTriggeredParams{WorkspaceID: event.Workspace, Triggers: kinds})
	if err != nil {
		return fmt.Errorf("list sequences that wait for silence: %w", err)
	}
	for _, seq := range sequences {
		trigger := toTrigger(seq)
		if !trigger.Pulls(followup.Signal{Kind: trigger.Kind, Channel: event.Channel}) {
			continue
		}
		err := q.WatchSilence(ctx, db.WatchSilenceParams{
			WorkspaceID: event.Workspace, LeadID: event.Lead, SequenceID: seq.ID, Since: event.Time, DueTime: event.Time.Add(trigger.After),
		})
		if err != nil {
			return fmt.Errorf("watch silence: %w", err)
		}
	}
	return nil
}

func forget(ctx context.Context, q *db.Queries, event Event, kinds []string) error {
	err := q.ForgetSilence(ctx, db.ForgetSilenceParams{WorkspaceID: event.Workspace, LeadID: event.Lead, Until: event.Time, Triggers: kinds})
	if err != nil {
		return fmt.Errorf("end watch over silence: %w", err)
	}
	return nil
}

// FireSilences enrolls the leads whose silence has lasted, up to size of them, and reports how many watches came to their
// end. Each is taken out in the transaction that enrolls: overlapping calls share them and none fires twice.
func (s *Store) FireSilences(ctx context.Context, now time.Time, size int) (fired int, err error) {
	for range commitTries {
		err = s.system(ctx, func(q *db.Queries, _ pgx.Tx) error {
			rows, err := q.LockDueSilences(ctx, db.LockDueSilencesParams{Now: now, Size: int32(size)})
			if err != nil {
				return err
			}
			for _, row := range rows {
				if err := fire(ctx, q, row, now); err != nil {
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

func fire(ctx context.Context, q *db.Queries, row db.SilenceWatch, now time.Time) error {
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
	// A lead that another sequence runs for is not silent to us.
	if err == nil && seq.Active && trigger.Kind.WaitsForSilence() && !past.Running {
		in := Enrolling{Workspace: row.WorkspaceID, Lead: row.LeadID, Since: row.Since}
		if err := enrollAgain(ctx, q, in, seq, now); err != nil {
			return err
		}
	}
	return q.DeleteSilence(ctx, db.DeleteSilenceParams{WorkspaceID: row.WorkspaceID, LeadID: row.LeadID, SequenceID: row.SequenceID})
}
