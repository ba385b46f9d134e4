package bookings

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

const bookPath = "/calendars/events/appointments"

// diary is a workspace with a calendar of the simulator and one lead, and the booking that is asked for.
type diary struct {
	lab                      *lab.Lab
	client                   *lab.Clients
	location, calendar, lead string
	start                    time.Time
	first                    *syncv1.BookAppointmentRequest
}

func newDiary(ctx context.Context, l *lab.Lab, target, location string) (*diary, error) {
	admin, err := l.Gateway(principal.Principal{Kind: principal.KindAdmin}, target)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	tenant, err := l.Tenant(ctx, admin, location, []simulator.Contact{{FirstName: "Ann", Phone: "+12025550123"}})
	if err != nil {
		return nil, err
	}
	d := &diary{lab: l, location: location, calendar: "calendar" + location, lead: tenant.People[0].Lead}
	err = l.AddCalendar(location, simulator.Calendar{
		ID: d.calendar, Timezone: "UTC", Open: 0, Close: 24 * time.Hour,
		Days: []time.Weekday{time.Sunday, time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday},
	})
	if err != nil {
		return nil, err
	}
	d.start = time.Now().UTC().Truncate(time.Hour).Add(26 * time.Hour)
	d.client, err = l.As("availability", target)
	return d, err
}

// ask makes a request of its own for the time.
func (d *diary) ask() *syncv1.BookAppointmentRequest {
	req := &syncv1.BookAppointmentRequest{
		Lead: d.lead, RequestId: uuid.NewString(), Provider: "ghl", Calendar: d.calendar,
		StartTime: timestamppb.New(d.start), EndTime: timestamppb.New(d.start.Add(30 * time.Minute)),
	}
	if d.first == nil {
		d.first = req
	}
	return req
}

// Act books.
func (d *diary) Act(ctx context.Context) { _, _ = d.client.At(0).BookAppointment(ctx, d.first) }

// Settled waits until nobody holds the booking and its outcome is known.
func (d *diary) Settled(ctx context.Context) error {
	bound, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	for {
		var open int
		err := d.lab.Admin.QueryRow(bound, `SELECT count(*) FROM sync.booking_intent WHERE request_id = $1 AND state IN ('CALLING', 'UNKNOWN')`,
			d.first.GetRequestId()).Scan(&open)
		if err != nil {
			return fmt.Errorf("booking is never settled: %w", err)
		}
		if open == 0 {
			return nil
		}
		if err := lab.Pause(bound, 20*time.Millisecond); err != nil {
			return fmt.Errorf("booking is never settled: %w", err)
		}
	}
}

// again repeats the request and tells how the booking stands.
func (d *diary) again(ctx context.Context) (string, error) { return d.state(ctx, d.first) }

// anew asks for the same time with another request id.
func (d *diary) anew(ctx context.Context) (string, error) { return d.state(ctx, d.ask()) }

func (d *diary) state(ctx context.Context, req *syncv1.BookAppointmentRequest) (string, error) {
	out, err := d.client.At(0).BookAppointment(ctx, req)
	if e, ok := apierr.From(err); ok && e.Reason == "BOOKING_ABSENT" {
		return refused, nil
	}
	if err != nil {
		return "", fmt.Errorf("book: %w", err)
	}
	return strings.TrimPrefix(out.GetBooking().GetState().String(), "BOOKING_STATE_"), nil
}

func (d *diary) posts() int {
	return len(d.lab.Bookings(simulator.Filter{Location: d.location}))
}

func (d *diary) standing() int {
	n := 0
	for _, a := range d.lab.Appointments(d.location) {
		if a.Status == "confirmed" {
			n++
		}
	}
	return n
}
