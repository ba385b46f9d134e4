package server

import (
	"context"
	"errors"
	"strings"

	"github.com/relance/relance/platform/apierr"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/booker"
	"github.com/relance/relance/services/sync/internal/booking"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// maxCalendar and maxCalendarLink bound names of calendars.
const maxCalendar, maxCalendarLink = 300, 200

// BookAppointment makes one appointment at most once and answers where it stands.
func (s *Server) BookAppointment(ctx context.Context, req *syncv1.BookAppointmentRequest) (*syncv1.BookAppointmentResponse, error) {
	in, err := s.bookRequest(req)
	if err != nil {
		return nil, err
	}
	if err := authorize(ctx, in.Workspace); err != nil {
		return nil, err
	}
	out, err := s.Booker.Book(ctx, in)
	if err != nil {
		return nil, bookError(err, req)
	}
	if out.Refusal != nil {
		return nil, refusal(*out.Refusal, req.GetLead(), out.RetryAfter)
	}
	return &syncv1.BookAppointmentResponse{Booking: bookingProto(out.Row)}, nil
}

func (s *Server) bookRequest(req *syncv1.BookAppointmentRequest) (booker.Request, error) {
	var c check
	in := booker.Request{Provider: provider.Kind(req.GetProvider()), Calendar: req.GetCalendar(), KnownOnly: req.GetKnownOnly()}
	in.Workspace, in.Wish.Lead = c.child("lead", req.GetLead(), "leads")
	in.RequestID = c.id("request_id", req.GetRequestId())
	in.Wish.Link = req.GetCalendarLink()
	c.when(len(in.Wish.Link) > maxCalendarLink, "calendar_link", "is too long")
	if start := c.time("start_time", req.GetStartTime(), true); start != nil {
		in.Wish.Start = *start
		c.when(start.Nanosecond() != 0 || start.Second() != 0, "start_time", "must be a whole minute")
	}
	if in.KnownOnly {
		return in, c.err()
	}
	// A repeated request comes with known_only when its time is over.
	c.when(req.GetStartTime() != nil && !in.Wish.Start.After(s.Clock.Now()), "start_time", "must be in the future")
	if end := c.time("end_time", req.GetEndTime(), true); end != nil {
		in.End = *end
		c.when(!end.After(in.Wish.Start), "end_time", "must be after start_time")
	}
	c.calendar(req)
	return in, c.err()
}

func (c *check) calendar(req *syncv1.BookAppointmentRequest) {
	switch provider.Kind(req.GetProvider()) {
	case provider.GHL:
		c.when(!lead.ValidID(req.GetCalendar()), "calendar", "must be 15 to 64 letters and digits")
	case provider.Calendly:
		name := req.GetCalendar()
		c.when(name == "" || len(name) > maxCalendar || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }),
			"calendar", "must be the UUID of an event type, or profile/event")
	default:
		c.add("provider", "must be ghl or calendly")
	}
}

func bookError(err error, req *syncv1.BookAppointmentRequest) error {
	if errors.Is(err, booker.ErrNoBooking) {
		return apierr.NotFound("booking", req.GetRequestId())
	}
	return callError(err, req.GetLead(), otherContent, "the database did not acknowledge the booking; ask again with the same request_id")
}

// otherContent is what is said of a request id that comes with other content.
const otherContent = "the request_id was used with other content"

// GetBooking reads one booking.
func (s *Server) GetBooking(ctx context.Context, req *syncv1.GetBookingRequest) (*syncv1.GetBookingResponse, error) {
	var c check
	workspace, id := c.child("name", req.GetName(), "bookings")
	if err := c.err(); err != nil {
		return nil, err
	}
	var row db.BookingIntent
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) (err error) {
		row, err = tx.OneBooking(ctx, db.OneBookingParams{WorkspaceID: workspace, ID: id})
		return found(err, "booking", req.GetName())
	})
	if err != nil {
		return nil, err
	}
	return &syncv1.GetBookingResponse{Booking: bookingProto(row)}, nil
}

func bookingProto(row db.BookingIntent) *syncv1.Booking {
	return &syncv1.Booking{
		Name: booker.Name(row.WorkspaceID, row.ID), Lead: leadName(row.WorkspaceID, row.LeadID), Provider: row.Provider, Calendar: row.Calendar,
		CalendarLink: row.CalendarLink, StartTime: stamp(row.StartTime), EndTime: stamp(row.EndTime),
		State: syncv1.BookingState(syncv1.BookingState_value["BOOKING_STATE_"+row.State]), Appointment: row.Appointment,
		Reason: row.Reason, CreateTime: stamp(row.CreateTime), UpdateTime: stamp(row.UpdateTime),
	}
}

// maxAppointments bounds the list of a lead's appointments.
const maxAppointments = 500

// ListAppointments lists a lead's appointments, and tells which one counts.
func (s *Server) ListAppointments(ctx context.Context, req *syncv1.ListAppointmentsRequest) (*syncv1.ListAppointmentsResponse, error) {
	var c check
	workspace, id := c.child("parent", req.GetParent(), "leads")
	if err := c.err(); err != nil {
		return nil, err
	}
	var rows []db.Booking
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) (err error) {
		if _, err := tx.Lead(ctx, db.LeadParams{WorkspaceID: workspace, ID: id}); err != nil {
			return found(err, "lead", req.GetParent())
		}
		rows, err = tx.Appointments(ctx, db.AppointmentsParams{WorkspaceID: workspace, LeadID: id, Page: maxAppointments})
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &syncv1.ListAppointmentsResponse{}
	var all []booking.Appointment
	for _, row := range rows {
		all = append(all, booking.Appointment{Status: booking.Status(row.Status), Start: store.Deref(row.StartTime)})
		out.Appointments = append(out.Appointments, appointmentProto(row))
	}
	if i := booking.Primary(all, s.Clock.Now()); i >= 0 {
		out.Appointments[i].Primary = true
	}
	return out, nil
}

func appointmentProto(row db.Booking) *syncv1.Appointment {
	out := &syncv1.Appointment{
		Provider: row.Provider, Id: row.ProviderID, Lead: leadName(row.WorkspaceID, row.LeadID), Calendar: row.Calendar,
		ProviderTime: stamp(row.ProviderTime),
		Status: map[booking.Status]syncv1.AppointmentStatus{
			booking.Held:      syncv1.AppointmentStatus_APPOINTMENT_STATUS_BOOKED,
			booking.Cancelled: syncv1.AppointmentStatus_APPOINTMENT_STATUS_CANCELLED,
			booking.Moved:     syncv1.AppointmentStatus_APPOINTMENT_STATUS_RESCHEDULED,
			booking.Showed:    syncv1.AppointmentStatus_APPOINTMENT_STATUS_SHOWED,
			booking.NoShow:    syncv1.AppointmentStatus_APPOINTMENT_STATUS_NO_SHOW,
		}[booking.Status(row.Status)],
	}
	if row.StartTime != nil {
		out.StartTime = stamp(*row.StartTime)
	}
	if row.EndTime != nil {
		out.EndTime = stamp(*row.EndTime)
	}
	return out
}
