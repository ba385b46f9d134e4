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
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/crashpoint"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/token"
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

// notYet is a refusal that stores nothing: the booking stays as it is, and the same request goes on with it later.
type notYet struct {
	refusal sending.Refusal
	wait    time.Duration
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
		permit, later, err = b.admit(ctx, r)
	}
	if err != nil {
		return Outcome{}, err
	}
	if later != nil {
		return Outcome{Row: row, Refusal: &later.refusal, RetryAfter: later.wait}, nil
	}
	began := b.machine.Now()
	out, claimed, err := b.claim(ctx, &r)
	if err != nil || !claimed {
		permit.Release()
		return out, err
	}
	crashpoint.At(crashpoint.C4)
	if !permit.Use() {
		return b.conclude(ctx, r, call{verdict: notWritten()})
	}
	if !b.mayCall(began) {
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
	v := classify.Limited("burst", time.Second)
	return booking.Verdict{Class: booking.NotNow, Refusal: v.Refusal, Wait: v.Wait, Code: "not_written"}
}

// mayCall is the check between claim and call: less than W has passed by both clocks, and no drain has begun.
func (b *Booker) mayCall(began time.Time) bool {
	return b.Timing.MayWrite(began, b.machine.Now()) && !b.Stopped()
}

// prepare opens the account and reads what the call has to say.
func (b *Booker) prepare(ctx context.Context, row db.BookingIntent) (ready, *notYet, error) {
	r, later, err := b.open(ctx, row)
	if err != nil || later != nil {
		return r, later, err
	}
	if r.blocked {
		return r, &notYet{refusal: sending.Refusal{Reason: sending.LeadBlocked}}, nil
	}
	r.what, err = r.calendar.Prepare(ctx, r.account, r.what)
	if err == nil {
		return r, nil, nil
	}
	later, err = notPrepared(err, row.Provider)
	return r, later, err
}

// open gives what calls about a booking need.
func (b *Booker) open(ctx context.Context, row db.BookingIntent) (ready, *notYet, error) {
	kind := provider.Kind(row.Provider)
	r := ready{row: row, calendar: b.Calendars[kind]}
	account, state, err := b.Accounts.AccountOf(ctx, row.WorkspaceID, kind)
	switch {
	case errors.Is(err, token.ErrNone):
		state, err = sending.NotConnected, nil
	case errors.Is(err, token.ErrNotReady):
		return r, &notYet{*away(row.Provider), tokenWait}, nil
	}
	if err != nil {
		return r, nil, fmt.Errorf("open account: %w", err)
	}
	if refusal := sending.SetupRefusal(row.Provider, state, false); refusal != nil {
		return r, &notYet{refusal: *refusal}, nil
	}
	r.account = account
	var who db.Lead
	err = b.Store.Workspace(ctx, row.WorkspaceID, func(tx *store.Tx) (err error) {
		who, err = tx.Lead(ctx, db.LeadParams{WorkspaceID: row.WorkspaceID, ID: row.LeadID})
		return err
	})
	if err != nil {
		return r, nil, fmt.Errorf("read lead: %w", err)
	}
	if refusal := unknownTo(kind, who); refusal != nil {
		return r, &notYet{refusal: *refusal}, nil
	}
	r.blocked = who.Blocked
	r.what = provider.Appointment{
		Calendar: row.Calendar, Start: row.StartTime.UTC(), End: row.EndTime.UTC(), Contact: store.Deref(who.GhlContactID),
		Name: strings.TrimSpace(who.FirstName + " " + who.LastName), Email: store.Deref(who.Email), Phone: store.Deref(who.Phone), TimeZone: who.TimeZone,
	}
	return r, nil, nil
}

// tokenWait is how long a booking waits for an access token that is being refreshed.
const tokenWait = 5 * time.Second

func away(name string) *sending.Refusal {
	return &sending.Refusal{Reason: sending.ProviderUnavailable, Meta: map[string]string{"provider": name}}
}

// notPrepared maps a read that failed before the call: nothing was booked, so that the request may come again.
func notPrepared(err error, name string) (*notYet, error) {
	of := map[string]string{"provider": name}
	if errors.Is(err, provider.ErrQuestions) {
		return &notYet{refusal: sending.Refusal{Reason: booking.Unsupported, Meta: map[string]string{"provider": name, "cause": "questions"}}}, nil
	}
	var read *provider.ReadError
	if !errors.As(err, &read) {
		return nil, fmt.Errorf("prepare booking: %w", err)
	}
	if v, limited := provider.RateLimited(err); limited {
		return &notYet{v.Refusal, v.Wait}, nil
	}
	switch {
	case read.NotFound() || read.Mentions("inactive"):
		return &notYet{refusal: sending.Refusal{Reason: booking.CalendarInactive, Meta: of}}, nil
	case read.Status == http.StatusUnauthorized || read.Status == http.StatusForbidden:
		return &notYet{refusal: sending.Refusal{Reason: sending.ProviderAuthRevoked, Meta: of}}, nil
	default:
		return &notYet{*away(name), time.Second}, nil
	}
}

// admit takes a permit before the claim. A lead waits for the answer, so the booking goes before automated calls.
func (b *Booker) admit(ctx context.Context, r ready) (*budget.Permit, *notYet, error) {
	permit, err := b.Budget.Take(ctx, r.calendar.Budget(r.account), budget.Interactive)
	var exceeded *budget.ExceededError
	if errors.As(err, &exceeded) {
		v := classify.Limited(string(exceeded.Window), max(exceeded.Retry, time.Second))
		return nil, &notYet{v.Refusal, v.Wait}, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("take permit: %w", err)
	}
	return permit, nil, nil
}

// claim is B1, or B7 where the lead has the appointment already. Only an acknowledged commit lets the call be made.
func (b *Booker) claim(ctx context.Context, r *ready) (out Outcome, claimed bool, err error) {
	row := r.row
	err = b.Store.Once(ctx, row.WorkspaceID, func(tx *store.Tx) error {
		claimed = false
		if _, err := tx.LockLead(ctx, db.LockLeadParams{WorkspaceID: row.WorkspaceID, ID: row.LeadID}); err != nil {
			return err
		}
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
	switch {
	case postgres.IsUnique(err, "booking_one_live"):
		return Outcome{Row: row, Refusal: unresolved(row.WorkspaceID, uuid.Nil), RetryAfter: b.Timing.Turn()}, false, nil
	case err != nil:
		return Outcome{}, false, fmt.Errorf("%w: %w", ErrClaimUnknown, err)
	}
	return out, claimed, nil
}
