package server

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/apierr"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/booking"
	"github.com/relance/relance/services/availability/internal/calendar"
	rules "github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

const (
	reasonTaken       = rules.Reason("SLOT_TAKEN")
	reasonUnavailable = rules.Reason("SLOT_UNAVAILABLE")
	reasonUnsupported = rules.Reason("BOOKING_UNSUPPORTED")
	// alternatives is how many free times a refusal names.
	alternatives = 3
)

// BookSlot makes an appointment for a lead at most once.
func (s *Server) BookSlot(ctx context.Context, req *availabilityv1.BookSlotRequest) (*availabilityv1.BookSlotResponse, error) {
	w, err := readBooking(req)
	if err != nil {
		return nil, err
	}
	if err := s.admit(ctx, w.Workspace); err != nil {
		return nil, err
	}
	// What was asked for under this id is the answer, whatever the calendar says now.
	made, err := s.bookings.Book(ctx, w.Wish)
	if errors.Is(err, booking.ErrNone) {
		made, err = s.book(ctx, w)
	}
	if err != nil {
		return nil, s.bookError(ctx, w, err)
	}
	return &availabilityv1.BookSlotResponse{Booking: &availabilityv1.SlotBooking{
		Name: made.Name, Lead: req.GetLead(), CalendarLink: req.GetCalendarLink(), StartTime: timestamppb.New(made.Start),
		EndTime: timestamppb.New(made.End), Appointment: made.Appointment, Provider: string(made.Kind),
		State: availabilityv1.BookingState(availabilityv1.BookingState_value["BOOKING_STATE_"+string(made.State)]),
	}}, nil
}

// bookWish is a validated BookSlotRequest.
type bookWish struct {
	booking.Wish
	// link is the link that was named, or uuid.Nil; key is whose free times are known and can be named instead.
	link uuid.UUID
	key  rules.Key
}

func readBooking(req *availabilityv1.BookSlotRequest) (bookWish, error) {
	var bad problems
	w := bookWish{Wish: booking.Wish{Link: req.GetCalendarLink()}}
	w.Workspace, w.Lead = bad.lead("lead", req.GetLead())
	w.Request = bad.requestID(req.GetRequestId())
	if req.GetRequestId() == "" {
		bad.add("request_id", "is required")
	}
	w.Start = bad.time("start_time", req.GetStartTime())
	if w.Start.IsZero() || !w.Start.Equal(w.Start.Truncate(time.Minute)) {
		bad.add("start_time", "must be a whole minute")
	}
	w.key = rules.Key{Workspace: w.Workspace, Kind: bad.sourceKind(req.GetSourceKind())}
	switch {
	case w.Link != "":
		var of uuid.UUID
		if of, w.link = bad.link("calendar_link", w.Link); of != w.Workspace {
			bad.add("calendar_link", "must be of the lead's workspace")
		}
		if req.GetSourceKind() != availabilityv1.SourceKind_SOURCE_KIND_UNSPECIFIED {
			bad.add("source_kind", "goes without calendar_link")
		}
	case w.key.Kind == rules.SourceDirectBook:
		w.Link = booking.DirectBook
	}
	return w, bad.err()
}

// book asks for a new booking of a time that can be had, as far as is known here.
func (s *Server) book(ctx context.Context, w bookWish) (booking.Booking, error) {
	row, err := s.store.Read(ctx, w.key)
	if err != nil {
		return booking.Booking{}, toStatus(err)
	}
	of, read := row.Link, true
	if w.link != uuid.Nil {
		if of, read, err = s.named(ctx, &w, row); err != nil {
			return booking.Booking{}, err
		}
	}
	if of == nil {
		return booking.Booking{}, noSlots(store.Row{Workspace: w.Workspace, Reason: rules.ReasonNoDefaultCalendar})
	}
	if err := bookable(*of); err != nil {
		return booking.Booking{}, err
	}
	if err := s.free(ctx, w, read); err != nil {
		return booking.Booking{}, err
	}
	w.Kind, w.Calendar, w.End = of.Provider, of.ExternalID, w.Start.Add(row.Meeting)
	made, err := s.bookings.Book(ctx, w.Wish)
	return made, errors.Join(err, toStatus(s.keep(ctx, w, made, err)))
}

// named finds the link that was named, and whether its times are read; the wish then goes by them. byDefault is the default's row.
func (s *Server) named(ctx context.Context, w *bookWish, byDefault store.Row) (link *store.Link, read bool, err error) {
	if byDefault.Link != nil && byDefault.Link.ID == w.link {
		return byDefault.Link, true, nil
	}
	direct, err := s.store.Read(ctx, rules.Key{Workspace: w.Workspace, Kind: rules.SourceDirectBook})
	if err != nil {
		return nil, false, toStatus(err)
	}
	if direct.Link != nil && direct.Link.ID == w.link {
		w.key = direct.Key()
		return direct.Link, true, nil
	}
	named, err := s.store.Link(ctx, w.Workspace, w.link)
	if err != nil {
		return nil, false, linkError(err, w.Workspace, w.link)
	}
	return &named, false, nil
}

// keep lets a time that was just booked, or that the provider says is taken, not be offered before the calendar is read again.
func (s *Server) keep(ctx context.Context, w bookWish, made booking.Booking, refusal error) error {
	t := store.Taken{
		Workspace: w.Workspace, Provider: string(w.Kind), Calendar: w.Calendar, Appointment: made.Appointment,
		Span: rules.Span{Start: w.Start, End: w.End}, Learnt: s.clock.Now(),
	}
	if isTaken(refusal) {
		t.Appointment = "refused " + w.Request.String()
	}
	if t.Appointment == "" {
		return nil
	}
	return s.store.Take(ctx, t)
}

// isTaken reports whether sync says that the time is taken.
func isTaken(err error) bool {
	var e *apierr.Error
	return errors.As(err, &e) && e.Reason == string(reasonTaken) && e.Domain != Domain
}

// bookable refuses a calendar that no appointment can be made on from here.
func bookable(link store.Link) error {
	cause := "provider"
	if link.Provider == calendar.GHL || link.Provider == calendar.Calendly {
		if link.ExternalID != "" {
			return nil
		}
		cause = "calendar_id"
	}
	return refused(codes.FailedPrecondition, reasonUnsupported, "this calendar cannot be booked from here; send its link").
		With("provider", string(link.Provider)).With("cause", cause).
		WithPrecondition(string(reasonUnsupported), linkName(link.Workspace, link.ID), "the calendar must be one that can be booked").
		WithHelp("Calendars that can be booked", helpURL+"booking_unsupported")
}

// free refuses a time that is over or that a calendar whose times are read does not have. One that is not known is looked for at the
// provider first: slots may have been added since they were read.
func (s *Server) free(ctx context.Context, w bookWish, read bool) error {
	now := s.clock.Now()
	if !w.Start.After(now) {
		return s.unavailable(ctx, w, reasonUnavailable, "past")
	}
	if !read {
		return nil
	}
	v, _, err := s.known(ctx, w.key, time.Time{})
	if err != nil || v.has(w.Start) {
		return err
	}
	was := slices.ContainsFunc(v.row.Slots, w.Start.Equal)
	if v, _, err = s.known(ctx, w.key, now); err != nil || v.has(w.Start) {
		return err
	}
	switch {
	case !w.Start.Before(v.row.AsOf.Add(v.row.LookAhead)):
		return s.unavailable(ctx, w, reasonUnavailable, "outside_window")
	case was || slices.ContainsFunc(v.row.Slots, w.Start.Equal):
		return s.unavailable(ctx, w, reasonTaken, "")
	}
	ledger, err := s.store.OfferLedger(ctx, w.key, w.Lead, now)
	if err != nil {
		return toStatus(err)
	}
	if slices.ContainsFunc(ledger.ToLead, w.Start.Equal) {
		return s.unavailable(ctx, w, reasonTaken, "")
	}
	return s.unavailable(ctx, w, reasonUnavailable, "not_offered")
}

func (v *view) has(start time.Time) bool {
	i := v.index(start)
	return i < len(v.starts) && v.starts[i].Equal(start)
}

// unavailable builds the refusal of a time, with times that are free instead.
func (s *Server) unavailable(ctx context.Context, w bookWish, reason rules.Reason, cause string) error {
	text := "the time cannot be booked; offer others"
	if reason == reasonTaken {
		text = "the time is not free any more; offer others"
	}
	e := refused(codes.FailedPrecondition, reason, text).With("slot", w.Start.UTC().Format(time.RFC3339)).
		WithPrecondition(string(reason), workspaceName(w.Workspace), text).WithHelp("Times that cannot be booked", helpURL+strings.ToLower(string(reason)))
	if cause != "" {
		e = e.With("cause", cause)
	}
	// Only what is in memory or stored: a refusal is no reason to ask the calendar.
	if v, now, err := s.known(ctx, w.key, time.Time{}); err == nil {
		var free []string
		for _, start := range v.between(later(now, w.Start), time.Time{}) {
			if len(free) < alternatives && !start.Equal(w.Start) {
				free = append(free, start.UTC().Format(time.RFC3339))
			}
		}
		e = e.With("free", strings.Join(free, ","))
	}
	return e
}

// bookError answers what sync refused; a taken time with others that are free.
func (s *Server) bookError(ctx context.Context, w bookWish, err error) error {
	if isTaken(err) {
		return s.unavailable(ctx, w, reasonTaken, "")
	}
	var e *apierr.Error
	if errors.As(err, &e) {
		return e
	}
	return err
}
