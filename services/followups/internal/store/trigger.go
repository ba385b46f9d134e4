package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// pull enrolls the lead of an event into the sequences whose trigger it pulls, and starts or ends the watch over the
// lead's silence. It runs in the transaction that records the event, after its other effects, so that a booking ends the
// sequences before it and starts those that it is for.
func pull(ctx context.Context, q *db.Queries, event Event, pulls bool, now time.Time) error {
	var signals []followup.Signal
	if pulls {
		var err error
		if signals, err = signalsOf(ctx, q, event); err != nil {
			return err
		}
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
		if _, err := enrollAgain(ctx, q, in, seq, now); err != nil {
			return err
		}
	}
	return nil
}

// enrollAgain enrolls as far as the sequence's rule of re-enrollment allows; the index over running enrollments decides
// when two events race. It tells what became of it.
func enrollAgain(ctx context.Context, q *db.Queries, in Enrolling, seq db.Sequence, now time.Time) (silenceOutcome, error) {
	row, err := q.PastEnrollments(ctx, db.PastEnrollmentsParams{WorkspaceID: in.Workspace, LeadID: in.Lead, SequenceID: seq.ID})
	if err != nil {
		return "", fmt.Errorf("read earlier enrollments: %w", err)
	}
	past := followup.Past{Running: row.Running, Count: int(row.Enrollments), LastEnd: row.LastEnd}
	if !toTrigger(seq).Allows(past, now) {
		if past.Running {
			return silenceRunning, nil
		}
		return silenceNotAgain, nil
	}
	if err := notBooked(ctx, q, in, seq, now); err != nil {
		if errors.Is(err, ErrBooked) {
			return silenceBooked, nil
		}
		return "", err
	}
	in.Sequence = seq.ID
	if _, isNew, err := enroll(ctx, q, in, seq, now); err != nil || !isNew {
		return silenceRunning, err
	}
	return silenceEnrolled, nil
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
