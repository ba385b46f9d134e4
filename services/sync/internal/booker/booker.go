// Package booker makes appointments by the rules of package booking: plan, claim, one call, outcome, in that order of commits.
// A call that may have reached the provider is never made again; what became of it is read back.
package booker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/booking"
	"github.com/relance/relance/services/sync/internal/crashpoint"
	"github.com/relance/relance/services/sync/internal/once"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// ErrNoBooking: nothing is booked under the request id.
var ErrNoBooking = errors.New("no booking of this request id")

// Booker books. It is safe for concurrent use, also by several processes.
type Booker struct {
	once.Frame
	metrics metrics
	// calendars are the providers that can be booked.
	calendars map[provider.Kind]provider.Calendar
}

// New makes a Booker that books with the calendars of some providers.
func New(cfg once.Config, calendars map[provider.Kind]provider.Calendar) *Booker {
	return &Booker{Frame: once.New(cfg), calendars: calendars, metrics: newMetrics()}
}

// Request asks for one appointment.
type Request struct {
	Workspace, RequestID uuid.UUID
	Wish                 booking.Wish
	// Provider and Calendar are what is booked, End when it ends.
	Provider provider.Kind
	Calendar string
	End      time.Time
	// KnownOnly goes on with a booking that exists, and makes none.
	KnownOnly bool
}

// Outcome is where a booking stands.
type Outcome struct {
	// Row is the booking; its ID is Nil when nothing was stored.
	Row db.BookingIntent
	// Refusal tells why there is no appointment; nil when there is one, or nobody can tell.
	Refusal *sending.Refusal
	// RetryAfter is when asking again makes sense, for a Refusal that passes.
	RetryAfter time.Duration
}

// Book stores the wish if it is new, and carries it as far as it goes now. The same request id answers the same booking.
// Errors: sending.ErrNoLead, ErrNoBooking, sending.ErrClaimUnknown, sending.ReusedError, database errors.
func (b *Booker) Book(ctx context.Context, r Request) (Outcome, error) {
	row, out, err := b.plan(ctx, r)
	if err != nil {
		return Outcome{}, fmt.Errorf("plan booking: %w", err)
	}
	if out != nil {
		return *out, nil
	}
	crashpoint.At(crashpoint.C1)
	return b.advance(ctx, row)
}

// plan answers what can be mended without a booking, such as a missing connection, before anything is stored.
func (b *Booker) plan(ctx context.Context, r Request) (row db.BookingIntent, out *Outcome, err error) {
	key := db.BookingByRequestParams{WorkspaceID: r.Workspace, RequestID: r.RequestID}
	err = b.Store.Workspace(ctx, r.Workspace, func(tx *store.Tx) error {
		out = nil
		row, err = tx.BookingByRequest(ctx, key)
		if err == nil || !postgres.IsNoRows(err) {
			return errors.Join(err, compare(row, r))
		}
		if r.KnownOnly {
			return ErrNoBooking
		}
		refusal, err := before(ctx, tx, r)
		if err != nil || refusal != nil {
			out = &Outcome{Refusal: refusal, RetryAfter: b.Timing.Turn()}
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		_, err = tx.InsertBooking(ctx, db.InsertBookingParams{
			WorkspaceID: r.Workspace, ID: id, LeadID: r.Wish.Lead, RequestID: r.RequestID, Provider: string(r.Provider), Calendar: r.Calendar,
			CalendarLink: r.Wish.Link, StartTime: r.Wish.Start, EndTime: r.End, Now: tx.Now,
		})
		if err != nil {
			return err
		}
		// Another call with the same id may have come first.
		if row, err = tx.BookingByRequest(ctx, key); err != nil {
			return err
		}
		return compare(row, r)
	})
	return row, out, err
}

// before tells what keeps a new booking from being stored.
func before(ctx context.Context, tx *store.Tx, r Request) (*sending.Refusal, error) {
	who, err := tx.Lead(ctx, db.LeadParams{WorkspaceID: r.Workspace, ID: r.Wish.Lead})
	if postgres.IsNoRows(err) {
		return nil, sending.ErrNoLead
	}
	if err != nil {
		return nil, err
	}
	refusal, err := once.Connected(ctx, tx, once.Subject{Workspace: r.Workspace, Provider: r.Provider})
	if err != nil || refusal != nil {
		return refusal, err
	}
	if refusal := whoRefusal(r.Provider, who); refusal != nil {
		return refusal, nil
	}
	live, err := tx.LiveBooking(ctx, db.LiveBookingParams{WorkspaceID: r.Workspace, LeadID: r.Wish.Lead, RequestID: r.RequestID})
	if postgres.IsNoRows(err) {
		return nil, nil
	}
	return unresolved(r.Workspace, live), err
}

// whoRefusal tells why nothing is booked for a lead.
func whoRefusal(kind provider.Kind, who db.Lead) *sending.Refusal {
	if who.Blocked {
		return &sending.Refusal{Reason: sending.LeadBlocked}
	}
	return unknownTo(kind, who)
}

// unknownTo tells why the provider could not be told, or asked, whom it is about.
func unknownTo(kind provider.Kind, who db.Lead) *sending.Refusal {
	switch {
	case kind == provider.GHL && who.GhlContactID == nil:
		return &sending.Refusal{Reason: sending.ContactNotFound}
	case kind == provider.Calendly && who.Email == nil:
		return &sending.Refusal{Reason: sending.NoEmail, Meta: map[string]string{"channel": "email"}}
	default:
		return nil
	}
}

func unresolved(workspace, id uuid.UUID) *sending.Refusal {
	meta := map[string]string{}
	if id != uuid.Nil {
		meta["booking"] = Name(workspace, id)
	}
	return &sending.Refusal{Reason: booking.Unresolved, Meta: meta}
}

// Name is the resource name of a booking.
func Name(workspace, id uuid.UUID) string {
	return "workspaces/" + workspace.String() + "/bookings/" + id.String()
}

func compare(row db.BookingIntent, r Request) error {
	if row.ID == uuid.Nil {
		return nil
	}
	stored := booking.Wish{Lead: row.LeadID, Start: row.StartTime, Link: row.CalendarLink}
	if fields := booking.Differ(stored, r.Wish); len(fields) > 0 {
		return &sending.ReusedError{Fields: fields}
	}
	return nil
}

// outcomeOf tells where a stored booking stands.
func outcomeOf(row db.BookingIntent) Outcome {
	out := Outcome{Row: row}
	if booking.State(row.State) != booking.Refused {
		return out
	}
	out.Refusal = once.Refusal(row.Reason, row.ReasonMeta)
	switch out.Refusal.Reason {
	case booking.SlotTaken:
		out.Refusal.Meta["slot"] = row.StartTime.UTC().Format(time.RFC3339)
	case booking.Absent:
		out.Refusal.Meta["booking"] = Name(row.WorkspaceID, row.ID)
	}
	return out
}

func (b *Booker) read(ctx context.Context, row db.BookingIntent) (Outcome, error) {
	err := b.Store.Workspace(ctx, row.WorkspaceID, func(tx *store.Tx) (err error) {
		row, err = tx.OneBooking(ctx, db.OneBookingParams{WorkspaceID: row.WorkspaceID, ID: row.ID})
		return err
	})
	if err != nil {
		return Outcome{}, fmt.Errorf("read booking: %w", err)
	}
	return outcomeOf(row), nil
}
