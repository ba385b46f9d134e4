package jobs

import (
	"context"
	"time"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
)

// booking keeps an appointment as the provider's newest word has it, and tells followups when that changes what it means.
func booking(ctx context.Context, tx *store.Tx, who person, in delivery) error {
	b, at := in.event.Booking, happened(in)
	known, err := tx.LockBooking(ctx, db.LockBookingParams{WorkspaceID: who.workspace, Provider: b.Provider, ProviderID: b.ID})
	first := postgres.IsNoRows(err)
	if err != nil && !first {
		return err
	}
	if !first && !supersedes(b, at, known) {
		return nil
	}
	err = tx.UpsertBooking(ctx, db.UpsertBookingParams{
		WorkspaceID: who.workspace, Provider: b.Provider, ProviderID: b.ID, LeadID: who.lead, Calendar: b.Calendar, Status: string(b.Status),
		Final: b.Final, StartTime: store.OptTime(b.Start), EndTime: store.OptTime(b.End), ProviderTime: at, Now: tx.Now,
	})
	if err != nil {
		return err
	}
	e := who.event(store.EventBooked, at)
	e.Booking, e.BookingTime = b.ID, b.Start
	moved := !first && known.StartTime != nil && !b.Start.IsZero() && !known.StartTime.Equal(b.Start)
	switch same := !first && known.Status == string(b.Status); {
	case b.Status == webhook.BookingMoved, same && !moved:
		return nil // A rescheduled appointment is told by the one that took its place.
	case b.Status == webhook.BookingCancelled && same:
		return nil
	case b.Status == webhook.BookingCancelled:
		e.Type = store.EventCancelled
	}
	return tx.Publish(ctx, e)
}

// supersedes tells whether an appointment's word stands over the one known: a final one always, else the later, and of two
// of one time the cancellation.
func supersedes(b webhook.Booking, at time.Time, known db.Booking) bool {
	switch {
	case known.Final:
		return false
	case b.Final:
		return true
	case at.Equal(known.ProviderTime):
		return b.Status == webhook.BookingCancelled && known.Status != string(b.Status)
	default:
		return at.After(known.ProviderTime)
	}
}
