package booker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/booking"
	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/crashpoint"
	"github.com/relance/relance/services/sync/internal/once"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// ready is everything that the call needs, read before the claim so that no lease is spent on it.
type ready struct {
	row      db.BookingIntent
	calendar provider.Calendar
	account  provider.Account
	what     provider.Appointment
	// blocked says that nothing may be booked for the lead. What was booked is looked for all the same.
	blocked bool
}

// advance claims a planned booking and makes its call. Any other is answered as it stands.
func (b *Booker) advance(ctx context.Context, row db.BookingIntent) (Outcome, error) {
	if booking.State(row.State) != booking.Planned {
		return outcomeOf(row), nil
	}
	if b.Stopped() {
		return Outcome{Row: row, Refusal: away(row.Provider), RetryAfter: time.Second}, nil
	}
	r, later, err := b.prepare(ctx, row)
	if err != nil {
		return Outcome{}, err
	}
	var permit *budget.Permit
	if later == nil {
		// A lead waits for the answer, so the booking goes before automated calls.
		permit, later, err = b.Permit(ctx, r.calendar.Budget(r.account), budget.Interactive)
	}
	if err != nil {
		return Outcome{}, err
	}
	if later != nil {
		return Outcome{Row: row, Refusal: &later.Refusal, RetryAfter: later.Wait}, nil
	}
	began := b.Begin()
	out, claimed, err := b.claim(ctx, &r)
	if err != nil || !claimed {
		permit.Release()
		return out, err
	}
	crashpoint.At(crashpoint.C4)
	if !permit.Use() {
		return b.conclude(ctx, r, call{verdict: notWritten()})
	}
	if !b.MayCall(began) {
		// The lease runs out, and the booking is looked for.
		b.Logger.WarnContext(ctx, "booking stopped before its call", "booking", r.row.ID.String())
		return b.read(ctx, r.row)
	}
	crashpoint.At(crashpoint.C5)
	result := r.calendar.Book(ctx, r.account, r.what)
	crashpoint.At(crashpoint.C8)
	out, err = b.conclude(context.WithoutCancel(ctx), r, call{verdict: booking.Judge(result.Evidence), status: result.Evidence.Status, latency: result.Latency})
	crashpoint.At(crashpoint.C10)
	return out, err
}

// notWritten is the verdict of a claim whose permit ended before its call.
func notWritten() booking.Verdict {
	later := once.Spent()
	return booking.Verdict{Class: booking.NotNow, Refusal: later.Refusal, Wait: later.Wait, Code: "not_written"}
}

// prepare opens the account and reads what the call has to say.
func (b *Booker) prepare(ctx context.Context, row db.BookingIntent) (ready, *once.Later, error) {
	r, later, err := b.open(ctx, row)
	if err != nil || later != nil {
		return r, later, err
	}
	if r.blocked {
		return r, &once.Later{Refusal: sending.Refusal{Reason: sending.LeadBlocked}}, nil
	}
	r.what, err = r.calendar.Prepare(ctx, r.account, r.what)
	if err == nil {
		return r, nil, nil
	}
	later, err = notPrepared(err, row.Provider)
	return r, later, err
}

// open gives what calls about a booking need.
func (b *Booker) open(ctx context.Context, row db.BookingIntent) (ready, *once.Later, error) {
	kind := provider.Kind(row.Provider)
	r := ready{row: row, calendar: b.calendars[kind]}
	account, who, later, err := b.Open(ctx, subject(row))
	if err != nil || later != nil {
		return r, later, err
	}
	r.account = account
	if refusal := unknownTo(kind, who); refusal != nil {
		return r, &once.Later{Refusal: *refusal}, nil
	}
	r.blocked = who.Blocked
	r.what = provider.Appointment{
		Calendar: row.Calendar, Start: row.StartTime.UTC(), End: row.EndTime.UTC(), Contact: store.Deref(who.GhlContactID),
		Name: strings.TrimSpace(who.FirstName + " " + who.LastName), Email: store.Deref(who.Email), Phone: store.Deref(who.Phone), TimeZone: who.TimeZone,
	}
	return r, nil, nil
}

func subject(row db.BookingIntent) once.Subject {
	return once.Subject{Workspace: row.WorkspaceID, Lead: row.LeadID, Provider: provider.Kind(row.Provider)}
}

func away(name string) *sending.Refusal {
	return &sending.Refusal{Reason: sending.ProviderUnavailable, Meta: map[string]string{"provider": name}}
}

// notPrepared maps a read that failed before the call: nothing was booked, so that the request may come again.
func notPrepared(err error, name string) (*once.Later, error) {
	of := map[string]string{"provider": name}
	if errors.Is(err, provider.ErrQuestions) {
		return &once.Later{Refusal: sending.Refusal{Reason: booking.Unsupported, Meta: map[string]string{"provider": name, "cause": "questions"}}}, nil
	}
	var read *provider.ReadError
	if !errors.As(err, &read) {
		return nil, fmt.Errorf("prepare booking: %w", err)
	}
	if v, limited := provider.RateLimited(err); limited {
		return &once.Later{Refusal: v.Refusal, Wait: v.Wait}, nil
	}
	switch {
	case read.NotFound() || read.Mentions("inactive"):
		return &once.Later{Refusal: sending.Refusal{Reason: booking.CalendarInactive, Meta: of}}, nil
	case read.Status == http.StatusUnauthorized || read.Status == http.StatusForbidden:
		return &once.Later{Refusal: sending.Refusal{Reason: sending.ProviderAuthRevoked, Meta: of}}, nil
	default:
		return &once.Later{Refusal: *away(name), Wait: time.Second}, nil
	}
}

// claim is B1, or B7 where the lead has the appointment already. Only an acknowledged commit lets the call be made.
func (b *Booker) claim(ctx context.Context, r *ready) (out Outcome, claimed bool, err error) {
	row := r.row
	err = b.Claim(ctx, subject(row), func(tx *store.Tx, _ db.Lead) error {
		claimed = false
		now, err := tx.LockBookingIntent(ctx, db.LockBookingIntentParams{WorkspaceID: row.WorkspaceID, ID: row.ID})
		if err != nil {
			return err
		}
		if booking.State(now.State) != booking.Planned {
			out = outcomeOf(now)
			return nil
		}
		r.row = now
		have, err := tx.StandingAppointment(ctx, db.StandingAppointmentParams{
			WorkspaceID: row.WorkspaceID, LeadID: row.LeadID, Provider: row.Provider, Calendars: r.what.Known, StartTime: row.StartTime,
		})
		if err == nil {
			out, err = b.move(ctx, tx, *r, move{to: booking.Booked, rule: booking.B7, appointment: have, kind: "evidence", code: "known"})
			return err
		}
		if !postgres.IsNoRows(err) {
			return err
		}
		r.row, err = tx.ClaimBooking(ctx, db.ClaimBookingParams{
			Now: tx.Now, LeaseSeconds: b.Timing.Lease().Seconds(), WorkspaceID: row.WorkspaceID, ID: row.ID,
			Sources: booking.Sources(booking.Calling, booking.B1),
		})
		claimed = err == nil
		crashpoint.At(crashpoint.C2)
		return err
	})
	if postgres.IsUnique(err, "booking_one_live") {
		return Outcome{Row: row, Refusal: unresolved(row.WorkspaceID, uuid.Nil), RetryAfter: b.Timing.Turn()}, false, nil
	}
	return out, claimed, err
}
