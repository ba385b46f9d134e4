package provider

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/apierr"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/availability/internal/booking"
	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

// Book books through sync, or asks for the booking of a request that came before.
func (s *Sync) Book(ctx context.Context, w booking.Wish) (booking.Booking, error) {
	known := w.Calendar == ""
	req := &syncv1.BookAppointmentRequest{
		Lead: "workspaces/" + w.Workspace.String() + "/leads/" + w.Lead.String(), RequestId: w.Request.String(), CalendarLink: w.Link,
		StartTime: timestamppb.New(w.Start), KnownOnly: known,
	}
	if !known {
		req.Provider, req.Calendar, req.EndTime = string(w.Kind), w.Calendar, timestamppb.New(w.End)
	}
	out, err := s.client.BookAppointment(ctx, req)
	if known && apierr.Code(err) == codes.NotFound {
		return booking.Booking{}, booking.ErrNone
	}
	if e, ok := apierr.From(err); ok {
		return booking.Booking{}, e // What sync refuses is this service's answer.
	}
	if err != nil {
		return booking.Booking{}, fmt.Errorf("book appointment: %w", err)
	}
	b := out.GetBooking()
	return booking.Booking{
		Name: b.GetName(), Kind: calendar.Kind(b.GetProvider()), Calendar: b.GetCalendar(), Appointment: b.GetAppointment(),
		State: booking.State(strings.TrimPrefix(b.GetState().String(), "BOOKING_STATE_")), Start: b.GetStartTime().AsTime(), End: b.GetEndTime().AsTime(),
	}, nil
}

// TakenPage is a part of sync's feed of taken times.
type TakenPage struct {
	Times []store.Taken
	// Cursor is where to go on; More tells that there is more now.
	Cursor string
	More   bool
}

// TakenTimes reads the feed from a cursor on.
func (s *Sync) TakenTimes(ctx context.Context, cursor string) (TakenPage, error) {
	out, err := s.client.ListTakenTimes(ctx, &syncv1.ListTakenTimesRequest{Cursor: cursor})
	if err != nil {
		return TakenPage{}, fmt.Errorf("list taken times: %w", err)
	}
	page := TakenPage{Cursor: out.GetCursor(), More: out.GetMore()}
	for _, t := range out.GetTimes() {
		workspace, err := uuid.Parse(strings.TrimPrefix(t.GetWorkspace(), "workspaces/"))
		if err != nil || t.GetStartTime().CheckValid() != nil {
			return TakenPage{}, fmt.Errorf("list taken times: a time cannot be read: %w", err)
		}
		page.Times = append(page.Times, store.Taken{
			Workspace: workspace, Provider: t.GetProvider(), Calendar: t.GetCalendar(), Appointment: t.GetAppointment(), Free: !t.GetTaken(),
			Span: slots.Span{Start: t.GetStartTime().AsTime(), End: t.GetEndTime().AsTime()}, Learnt: timeOf(t.GetTakenTime()),
		})
	}
	return page, nil
}

func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
