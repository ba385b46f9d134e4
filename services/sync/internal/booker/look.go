package booker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relance/relance/services/sync/internal/booking"
	"github.com/relance/relance/services/sync/internal/crashpoint"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

const (
	// batch is how many looks one tick takes, perWorkspace how many of them may be one workspace's.
	batch, perWorkspace = 100, 10
	// callsPerLook is for how many calls of the longest duration a look is reserved.
	callsPerLook = 6
	// idle is after how many settle times a booking that nobody came back for is given up.
	idle = 4
)

// Tick expires the leases of callers that are gone, gives up what nobody came back for, and looks for every booking whose
// look is due. It tells how many looks it took.
func (b *Booker) Tick(ctx context.Context) (int, error) {
	var due []db.ClaimBookingLooksRow
	var open []db.CountOpenBookingsRow
	err := b.Store.System(ctx, func(tx *store.Tx) error {
		gone, err := tx.ExpireBookingLeases(ctx, db.ExpireBookingLeasesParams{Now: tx.Now, Sources: booking.Sources(booking.Unknown, booking.B6)})
		if err != nil {
			return err
		}
		for _, g := range gone {
			b.Logger.WarnContext(ctx, "booking outcome unknown: its lease ran out", "booking", g.ID.String())
			err := tx.RecordBookingStep(ctx, db.RecordBookingStepParams{
				WorkspaceID: g.WorkspaceID, IntentID: g.ID, Attempt: g.Attempt, Kind: "lease", Rule: string(booking.B6),
			})
			if err != nil {
				return err
			}
		}
		_, err = tx.AbandonBookings(ctx, db.AbandonBookingsParams{
			Reason: string(booking.Absent), Now: tx.Now, IdleSeconds: (idle * b.Timing.Settle).Seconds(), Sources: booking.Sources(booking.Refused, booking.B10),
		})
		if err != nil {
			return err
		}
		if open, err = tx.CountOpenBookings(ctx); err != nil {
			return err
		}
		if err = b.Assumed.Load(ctx, tx); err != nil {
			return err
		}
		due, err = tx.ClaimBookingLooks(ctx, db.ClaimBookingLooksParams{
			PerWorkspace: perWorkspace, Page: batch, LeaseSeconds: (callsPerLook * b.Timing.Call).Seconds(),
		})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("claim booking looks: %w", err)
	}
	b.metrics.standing(ctx, open)
	var failed error
	for _, row := range due {
		if ctx.Err() != nil {
			break // what is left is looked at again when its lease ends
		}
		age := time.Duration(row.AgeSeconds * float64(time.Second))
		if err := b.look(ctx, row.BookingIntent, age); err != nil {
			failed = errors.Join(failed, fmt.Errorf("look for booking %s: %w", row.BookingIntent.ID, err))
		}
	}
	return len(due), failed
}

// look reads the provider once for a booking, and settles it where that tells.
func (b *Booker) look(ctx context.Context, row db.BookingIntent, age time.Duration) error {
	crashpoint.At(crashpoint.C11)
	r, later, err := b.open(ctx, row)
	if err != nil {
		return err
	}
	seen, timing := booking.Sighting{}, b.Assumed.Timing(row.Provider)
	if later == nil {
		seen.Appointment, err = r.calendar.Find(ctx, r.account, r.what)
		if wait, unasked := notAsked(err); unasked && age < timing.Settle+timing.Grace() {
			return b.postpone(ctx, row, looked{wait: wait})
		}
		if err != nil && !isRead(err) {
			return err
		}
		seen.Complete = err == nil
	}
	d := booking.Settle(timing, booking.Open{Age: age, Looks: int(row.Looks), Failed: int(row.FailedLooks)}, seen)
	n := looked{complete: 1, wait: d.Wait}
	if !seen.Complete {
		n.complete, n.failed = 0, 1
	}
	if d.Rule == "" {
		return b.postpone(ctx, row, n)
	}
	m := move{
		to: d.To, rule: d.Rule, appointment: seen.Appointment, kind: "look", code: codeOf(seen), complete: n.complete, failed: n.failed,
	}
	if d.Reason != "" {
		m.refusal = &sending.Refusal{Reason: d.Reason}
		b.Logger.WarnContext(ctx, "booking settled without an appointment", "booking", row.ID.String(), "reason", string(d.Reason))
	}
	crashpoint.At(crashpoint.C12)
	_, err = b.commit(ctx, r, m)
	return err
}

// notAsked tells how long a look waits that the provider has not answered because it was held back: by the budget, or by the breaker
// of reads. It is no failed look.
func notAsked(err error) (time.Duration, bool) {
	if v, limited := provider.RateLimited(err); limited {
		return v.Wait, true
	}
	return provider.HeldBack(err)
}

func codeOf(s booking.Sighting) string {
	switch {
	case s.Appointment != "":
		return "found"
	case s.Complete:
		return "absent"
	default:
		return "unreadable"
	}
}

// looked is a look that settled nothing.
type looked struct {
	complete, failed int32
	wait             time.Duration
}

func (b *Booker) postpone(ctx context.Context, row db.BookingIntent, n looked) error {
	err := b.Store.Workspace(ctx, row.WorkspaceID, func(tx *store.Tx) error {
		return tx.DeferBookingLook(ctx, db.DeferBookingLookParams{
			Complete: n.complete, Failed: n.failed, WaitSeconds: n.wait.Seconds(), WorkspaceID: row.WorkspaceID, ID: row.ID, Attempt: row.Attempt,
		})
	})
	if err != nil {
		return fmt.Errorf("put off look: %w", err)
	}
	return nil
}
