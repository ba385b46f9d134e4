// Package appointment keeps appointments as their providers tell them, whoever tells: a webhook, the poll, or the answer to a
// booking of ours. It tells followups what changes for the lead, and settles the bookings that an appointment proves.
package appointment

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/booking"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

// Grace is how long a cancellation waits for the appointment that may take the place of the cancelled one: a reschedule is
// told as both, in either order.
const Grace = 2 * time.Minute

// Word is what was said of an appointment.
type Word struct {
	Workspace, Lead uuid.UUID
	// Provider is ghl or calendly, ID the provider's id, Calendar its calendar or event type.
	Provider, ID, Calendar string
	Status                 booking.Status
	// Final says that no later word changes the status.
	Final bool
	// Start and End are zero where they were not told.
	Start, End time.Time
	// At is the provider's time of saying it: of two words the later stands.
	At time.Time
}

// Take keeps a word unless a newer one is known, and publishes what it changes. The caller holds the lead's row lock.
func Take(ctx context.Context, tx *store.Tx, w Word) error {
	known, err := tx.LockBooking(ctx, db.LockBookingParams{WorkspaceID: w.Workspace, Provider: w.Provider, ProviderID: w.ID})
	first := postgres.IsNoRows(err)
	if err != nil && !first {
		return err
	}
	if !first && !w.supersedes(known) {
		return nil
	}
	before := booking.Status(known.Status)
	same := !first && (before == w.Status || before.Active() && w.Status.Active())
	moved := !first && known.StartTime != nil && !w.Start.IsZero() && !known.StartTime.Equal(w.Start)
	row := db.UpsertBookingParams{
		WorkspaceID: w.Workspace, Provider: w.Provider, ProviderID: w.ID, LeadID: w.Lead, Calendar: w.Calendar, Status: string(w.Status),
		Final: w.Final, StartTime: store.OptTime(w.Start), EndTime: store.OptTime(w.End), ProviderTime: w.At, Now: tx.Now,
	}
	if w.Status == booking.Cancelled {
		row.SettleTime = known.SettleTime
		if !same {
			row.SettleTime = store.OptTime(tx.Now.Add(Grace))
		}
	}
	if w.Status.Active() {
		row.TakenTime = known.TakenTime
		if !same || moved || row.TakenTime == nil {
			row.TakenTime = &tx.Now
		}
	}
	if err := tx.UpsertBooking(ctx, row); err != nil {
		return err
	}
	if !first && w.Status == booking.Cancelled {
		w.Lead = known.LeadID
	}
	return w.effects(ctx, tx, same && !moved)
}

// effects are what a word changes for others. unchanged says that it tells nothing new.
func (w Word) effects(ctx context.Context, tx *store.Tx, unchanged bool) error {
	if w.Status == booking.Held {
		if err := w.prove(ctx, tx); err != nil {
			return err
		}
	}
	switch {
	case unchanged || w.Status == booking.Moved:
		return nil // A rescheduled appointment is told by the one that took its place.
	case w.Status == booking.Cancelled:
		return tx.Enqueue(ctx, work.SettleCancellations{Workspace: w.Workspace.String(), Lead: w.Lead.String()}, Grace)
	default:
		return tx.Publish(ctx, store.Event{
			Type: store.EventBooked, Workspace: w.Workspace, Lead: w.Lead, At: w.At, Booking: w.ID, BookingTime: w.Start,
		})
	}
}

// prove settles a booking of ours that the appointment is: the lead has what was asked for, whoever made it.
func (w Word) prove(ctx context.Context, tx *store.Tx) error {
	if w.Start.IsZero() {
		return nil
	}
	open, err := tx.OpenBookings(ctx, db.OpenBookingsParams{
		WorkspaceID: w.Workspace, LeadID: w.Lead, StartTime: w.Start, Provider: w.Provider,
	})
	if err != nil {
		return err
	}
	for _, row := range open {
		// Event types of Calendly have several names; one of a lead at one time is the one.
		if w.Provider == "ghl" && row.Calendar != w.Calendar {
			continue
		}
		if !booking.CanMove(booking.State(row.State), sending.Reason(row.Reason), booking.Booked) {
			continue
		}
		moved, err := tx.MoveBooking(ctx, db.MoveBookingParams{
			State: string(booking.Booked), Reason: "", ReasonMeta: []byte("{}"), Appointment: w.ID, Now: tx.Now,
			WorkspaceID: row.WorkspaceID, ID: row.ID, Attempt: row.Attempt, Sources: booking.Sources(booking.Booked, booking.B7),
		})
		if err != nil {
			return err
		}
		if moved == 0 {
			continue
		}
		err = tx.RecordBookingStep(ctx, db.RecordBookingStepParams{
			WorkspaceID: row.WorkspaceID, IntentID: row.ID, Attempt: row.Attempt, Kind: "evidence", Rule: string(booking.B7), Code: "appointment",
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// supersedes tells whether a word stands over the one known: a final one always, else the later, and of two of one time the
// cancellation.
func (w Word) supersedes(known db.Booking) bool {
	switch {
	case known.Final:
		return false
	case w.Final:
		return true
	case w.At.Equal(known.ProviderTime):
		return w.Status == booking.Cancelled && known.Status != string(w.Status)
	default:
		return w.At.After(known.ProviderTime)
	}
}
