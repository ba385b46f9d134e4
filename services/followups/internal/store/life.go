package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// live applies to all running enrollments of a lead what happened to it.
func live(ctx context.Context, q *db.Queries, event Event, now time.Time) error {
	if event.Type == LeadReplied { // the second question about a date is answered by any reply
		err := q.CancelTasks(ctx, db.CancelTasksParams{
			WorkspaceID: event.Workspace, LeadID: event.Lead, Kind: string(TaskClarification), LeastPart: 2, Now: now,
		})
		if err != nil {
			return fmt.Errorf("cancel clarification: %w", err)
		}
	}
	rows, err := q.LockLeadEnrollments(ctx, db.LockLeadEnrollmentsParams{WorkspaceID: event.Workspace, LeadID: event.Lead})
	if err != nil {
		return fmt.Errorf("lock enrollments of lead: %w", err)
	}
	return applyTo(ctx, q, rows, event, now)
}

// applyTo applies to running enrollments of a lead, which are locked, what happened to it.
func applyTo(ctx context.Context, q *db.Queries, rows []db.Enrollment, event Event, now time.Time) (err error) {
	goesOn := map[uuid.UUID]bool{}
	if event.Type == LeadReplied {
		if goesOn, err = continuing(ctx, q, event.Workspace, rows); err != nil {
			return err
		}
	}
	for _, row := range rows {
		if goesOn[row.SequenceID] && event.Snooze.IsZero() {
			continue
		}
		moved, changed, err := change(ctx, q, toEnrollment(row), event, now)
		if err != nil {
			return err
		}
		if !changed {
			continue
		}
		if err := save(ctx, q, moved, now); err != nil {
			return err
		}
	}
	return nil
}

// continuing are the sequences of the enrollments that a reply does not pause.
func continuing(ctx context.Context, q *db.Queries, workspace uuid.UUID, of []db.Enrollment) (map[uuid.UUID]bool, error) {
	ids := make([]uuid.UUID, len(of))
	for i, row := range of {
		ids[i] = row.SequenceID
	}
	rows, err := q.ListSequenceTriggers(ctx, db.ListSequenceTriggersParams{WorkspaceID: workspace, Ids: ids})
	if err != nil {
		return nil, fmt.Errorf("list sequences: %w", err)
	}
	out := map[uuid.UUID]bool{}
	for _, row := range rows {
		out[row.ID] = row.ContinueOnReply
	}
	return out, nil
}

// booked completes what a booking completes: all but the sequences that begin with one. It reports whether the appointment is
// a new one: a word of one that is known, such as a new time, starts nothing, and an old word changes nothing.
func booked(ctx context.Context, q *db.Queries, event Event, now time.Time) (isNew bool, err error) {
	latest, isNew, err := saveBooking(ctx, q, event, bookingBooked)
	if err != nil || !latest {
		return false, err
	}
	err = endWhere(ctx, q, event, func(e followup.Enrollment, trigger followup.TriggerKind) (followup.Enrollment, bool) {
		done, err := e.Complete(followup.ReasonBooked, now)
		return done, err == nil && trigger != followup.TriggerMeetingSelected
	}, now)
	return isNew, err
}

// endWhere ends the running enrollments of the lead that end tells to.
func endWhere(ctx context.Context, q *db.Queries, event Event,
	end func(followup.Enrollment, followup.TriggerKind) (followup.Enrollment, bool), now time.Time,
) error {
	rows, err := q.LockLeadEnrollments(ctx, db.LockLeadEnrollmentsParams{WorkspaceID: event.Workspace, LeadID: event.Lead})
	if err != nil {
		return fmt.Errorf("lock enrollments of lead: %w", err)
	}
	sequences := make([]uuid.UUID, len(rows))
	for i, row := range rows {
		sequences[i] = row.SequenceID
	}
	found, err := q.ListSequenceTriggers(ctx, db.ListSequenceTriggersParams{WorkspaceID: event.Workspace, Ids: sequences})
	if err != nil {
		return fmt.Errorf("list triggers: %w", err)
	}
	triggers := map[uuid.UUID]followup.TriggerKind{}
	for _, row := range found {
		triggers[row.ID] = followup.TriggerKind(row.Trigger)
	}
	for _, row := range rows {
		ended, ends := end(toEnrollment(row), triggers[row.SequenceID])
		if !ends {
			continue
		}
		if err := save(ctx, q, ended, now); err != nil {
			return err
		}
	}
	return nil
}

const (
	bookingBooked    = "booked"
	bookingCancelled = "cancelled"
)

// saveBooking keeps the newest state of an appointment. It reports whether the event is it, and whether it changes it.
func saveBooking(ctx context.Context, q *db.Queries, event Event, state string) (latest, changed bool, err error) {
	key := db.GetBookingParams{WorkspaceID: event.Workspace, LeadID: event.Lead, BookingID: event.Booking}
	before, err := q.GetBooking(ctx, key)
	if err != nil && !postgres.IsNoRows(err) {
		return false, false, fmt.Errorf("read booking: %w", err)
	}
	err = q.SaveBooking(ctx, db.SaveBookingParams{
		WorkspaceID: event.Workspace, LeadID: event.Lead, BookingID: event.Booking, State: state,
		BookingTime: optional(event.BookingTime), EventTime: event.Time,
	})
	if err != nil {
		return false, false, fmt.Errorf("save booking: %w", err)
	}
	row, err := q.GetBooking(ctx, key)
	if err != nil {
		return false, false, fmt.Errorf("read booking: %w", err)
	}
	return row.State == state, before.State != row.State, nil
}

// change is what the event makes of one enrollment; the rules are the domain's.
func change(ctx context.Context, q *db.Queries, e followup.Enrollment, event Event, now time.Time) (followup.Enrollment, bool, error) {
	switch event.Type {
	case LeadReplied:
		moved, changed := e.Replied(event.Time)
		// One that began, was answered or was resumed after the reply is left alone, as by the reply itself.
		if !event.Snooze.IsZero() && e.RepliedSince.Before(event.Time) {
			var snoozed bool
			if moved, snoozed = moved.Snooze(event.Snooze, event.Time); snoozed {
				changed = true
			}
		}
		return moved, changed, nil
	case HumanOutbound:
		step, err := stepAt(ctx, q, e)
		if err != nil {
			return e, false, err
		}
		moved, changed := e.Outbound(step, event.Zone, event.Time)
		return moved, changed, nil
	case LeadUpdated:
		if woken, ok := e.Wake(followup.WakeLeadChanged.On(""), now); ok {
			return woken, true, nil
		}
		if moved, changed := e.Recheck(now); changed {
			return moved, true, nil
		}
		step, err := stepAt(ctx, q, e)
		if err != nil {
			return e, false, err
		}
		moved, changed := e.Enriched(step, event.Known, now)
		return moved, changed, nil
	case DNDChanged:
		if event.DNDActive {
			return e, false, nil // the next send asks sync, which knows the flag
		}
		moved, changed := e.DNDCleared(event.Channel, now)
		return moved, changed, nil
	}
	return e, false, nil
}

// unbooked keeps that an appointment was cancelled, ends the sequences that began with it, and asks a person to make it anew.
// What the booking completed stays so.
func unbooked(ctx context.Context, q *db.Queries, event Event, now time.Time) error {
	latest, _, err := saveBooking(ctx, q, event, bookingCancelled)
	if err != nil || !latest {
		return err
	}
	err = endWhere(ctx, q, event, func(e followup.Enrollment, trigger followup.TriggerKind) (followup.Enrollment, bool) {
		ended, err := e.Cancel(followup.ReasonUnbooked, now)
		return ended, err == nil && trigger == followup.TriggerMeetingSelected
	}, now)
	if err != nil {
		return err
	}
	err = q.CancelBookings(ctx, db.CancelBookingsParams{WorkspaceID: event.Workspace, LeadID: event.Lead, EventTime: event.Time})
	if err != nil {
		return fmt.Errorf("cancel bookings before: %w", err)
	}
	title := "The meeting was cancelled: follow up to find a new time"
	if !event.BookingTime.IsZero() {
		title = "The meeting of " + event.BookingTime.UTC().Format(time.RFC3339) + " was cancelled: follow up to find a new time"
	}
	err = q.PutLeadTask(ctx, db.PutLeadTaskParams{
		WorkspaceID: event.Workspace, ID: newID(), LeadID: event.Lead, Reason: "meeting_cancelled", Kind: string(TaskReschedule),
		About: event.Booking, Title: title, DueTime: &now, Now: now,
	})
	if err != nil {
		return fmt.Errorf("put task: %w", err)
	}
	return nil
}
