package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
	"github.com/relance/relance/services/sync/internal/work"
)

// cancelGrace is how long a cancellation waits for the appointment that may take the place of the cancelled one: a
// reschedule is told as both, in either order.
const cancelGrace = 2 * time.Minute

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
	off, same := b.Status == webhook.BookingCancelled, !first && known.Status == string(b.Status)
	settle := known.SettleTime
	if !off {
		settle = nil
	} else if !same {
		settle = store.OptTime(tx.Now.Add(cancelGrace))
	}
	err = tx.UpsertBooking(ctx, db.UpsertBookingParams{
		WorkspaceID: who.workspace, Provider: b.Provider, ProviderID: b.ID, LeadID: who.lead, Calendar: b.Calendar, Status: string(b.Status),
		Final: b.Final, StartTime: store.OptTime(b.Start), EndTime: store.OptTime(b.End), ProviderTime: at, SettleTime: settle, Now: tx.Now,
	})
	if err != nil {
		return err
	}
	if off {
		if same {
			return nil
		}
		if !first {
			who.lead = known.LeadID
		}
		return tx.Enqueue(ctx, work.SettleCancellations{Workspace: who.workspace.String(), Lead: who.lead.String()}, cancelGrace)
	}
	moved := !first && known.StartTime != nil && !b.Start.IsZero() && !known.StartTime.Equal(b.Start)
	if b.Status == webhook.BookingMoved || (same && !moved) {
		return nil // A rescheduled appointment is told by the one that took its place.
	}
	e := who.event(store.EventBooked, at)
	e.Booking, e.BookingTime = b.ID, b.Start
	return tx.Publish(ctx, e)
}

// settleCancellations tells followups that a lead has no appointment any more, once the grace of its cancellations is over:
// of the primary one, which is the latest of those cancelled, and not while another that stands is ahead. What is told or
// has no news is settled, so that a second run tells nothing.
func (d Deps) settleCancellations(ctx context.Context, args work.SettleCancellations) error {
	workspace, lead, err := ids(args.Workspace, args.Lead)
	if err != nil {
		return err
	}
	var wait time.Duration
	err = d.Store.Workspace(ctx, workspace, func(tx *store.Tx) (err error) {
		wait, err = settleCancellations(ctx, tx, person{workspace: workspace, lead: lead})
		return err
	})
	if err != nil {
		return fmt.Errorf("settle cancellations: %w", err)
	}
	if wait > 0 {
		return river.JobSnooze(wait)
	}
	return nil
}

// settleCancellations returns how long the next cancellation still waits, 0 when none does.
func settleCancellations(ctx context.Context, tx *store.Tx, who person) (time.Duration, error) {
	if _, err := tx.LockLead(ctx, db.LockLeadParams{WorkspaceID: who.workspace, ID: who.lead}); err != nil {
		return 0, err
	}
	untold, err := tx.UntoldCancellations(ctx, db.UntoldCancellationsParams{WorkspaceID: who.workspace, LeadID: who.lead})
	if err != nil || len(untold) == 0 {
		return 0, err
	}
	var wait time.Duration
	for _, b := range untold {
		if left := b.SettleTime.Sub(tx.Now); left > 0 && (wait == 0 || left < wait) {
			wait = left
		}
	}
	ahead, err := tx.BookedAhead(ctx, db.BookedAheadParams{WorkspaceID: who.workspace, LeadID: who.lead, Now: tx.Now})
	if err != nil {
		return 0, err
	}
	if primary := untold[0]; !ahead && !primary.SettleTime.After(tx.Now) {
		e := who.event(store.EventCancelled, primary.ProviderTime)
		e.Booking, e.BookingTime = primary.ProviderID, store.Deref(primary.StartTime)
		if err := tx.Publish(ctx, e); err != nil {
			return 0, err
		}
	}
	return wait, tx.CancellationsSettled(ctx, db.CancellationsSettledParams{WorkspaceID: who.workspace, LeadID: who.lead, Now: tx.Now})
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
