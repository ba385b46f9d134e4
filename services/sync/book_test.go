package sync_test

import (
	"net/http"
	"slices"
	stdsync "sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/apierr"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// diary is a workspace with a calendar that can be booked, and a lead.
type diary struct {
	tenant
	calendar, lead string
	contact        simulator.Contact
	book           syncv1.SyncServiceClient
}

func (r *rig) diary(location string) diary {
	r.Helper()
	d := diary{tenant: r.tenant(location), calendar: "calendar" + location, book: syncv1.NewSyncServiceClient(r.conn("availability"))}
	err := r.sim.AddCalendar(location, simulator.Calendar{ID: d.calendar, Timezone: "America/New_York"})
	if err != nil {
		r.Fatal(err)
	}
	d.lead, d.contact = d.tenant.lead(simulator.Contact{FirstName: "Ann", Phone: "+12025550123"})
	return d
}

// slot is a free time some half hours ahead.
func (d diary) slot(n int) time.Time {
	return d.clock.Now().Truncate(time.Hour).Add(time.Hour + time.Duration(n)*30*time.Minute)
}

func (d diary) ask(n int) *syncv1.BookAppointmentRequest {
	return &syncv1.BookAppointmentRequest{
		Lead: d.lead, RequestId: uuid.NewString(), Provider: "ghl", Calendar: d.calendar,
		StartTime: timestamppb.New(d.slot(n)), EndTime: timestamppb.New(d.slot(n + 1)),
	}
}

// made books, and gives the booking or the reason of the refusal. A budget that is used up passes, so that it asks again.
func (d diary) made(req *syncv1.BookAppointmentRequest) (b *syncv1.Booking, why string) {
	d.Helper()
	d.eventually("an answer other than PROVIDER_RATE_LIMITED", func() bool {
		b, why = d.asked(req)
		return why != "PROVIDER_RATE_LIMITED"
	})
	return b, why
}

// asked is one call: the booking, or the reason of the refusal.
func (d diary) asked(req *syncv1.BookAppointmentRequest) (*syncv1.Booking, string) {
	d.Helper()
	out, err := d.book.BookAppointment(d.Context(), req)
	if err == nil {
		return out.GetBooking(), ""
	}
	if e, ok := apierr.From(err); ok && e.Reason != "" {
		return nil, e.Reason
	}
	return nil, err.Error()
}

func (d diary) posts() int { return len(d.sim.Bookings(simulator.Filter{Location: d.location})) }

// standing are the appointments that stand at the provider.
func (d diary) standing() (out []simulator.Appointment) {
	for _, a := range d.sim.Appointments(d.location) {
		if a.Status == "confirmed" {
			out = append(out, a)
		}
	}
	return out
}

// settledAs waits until a booking stands somewhere.
func (d diary) settledAs(name string, want syncv1.BookingState) *syncv1.Booking {
	d.Helper()
	var b *syncv1.Booking
	d.eventually("booking is "+want.String(), func() bool {
		out, err := d.admin.GetBooking(d.Context(), &syncv1.GetBookingRequest{Name: name})
		if err != nil {
			d.Fatal(err)
		}
		b = out.GetBooking()
		return b.GetState() == want
	})
	return b
}

const (
	stateBooked  = syncv1.BookingState_BOOKING_STATE_BOOKED
	stateUnknown = syncv1.BookingState_BOOKING_STATE_UNKNOWN
	stateRefused = syncv1.BookingState_BOOKING_STATE_REFUSED
)

// TestBookOnce: a booking is one POST however often it is asked for, evidence at once, and not told again by its webhook.
func TestBookOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	first := r.target
	r.start(r.cfg) // a second replica
	d := r.diary("locationBookOnce01")
	other := syncv1.NewSyncServiceClient(r.conn("availability"))
	r.target = first
	d.book = syncv1.NewSyncServiceClient(r.conn("availability"))
	req := d.ask(0)
	var wait stdsync.WaitGroup
	names := make([]string, 50)
	for i := range names {
		client := d.book
		if i%2 == 1 {
			client = other
		}
		wait.Go(func() {
			for range 100 {
				out, err := client.BookAppointment(d.Context(), req)
				if err == nil && out.GetBooking().GetState() == stateBooked {
					names[i] = out.GetBooking().GetName()
					return
				}
				if e, _ := apierr.From(err); err != nil && (e == nil || e.Code != codes.Aborted && e.Code != codes.ResourceExhausted) {
					t.Errorf("call %d: %v", i, err)
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	wait.Wait()
	if slices.Sort(names); names[0] == "" || names[0] != names[len(names)-1] || d.posts() != 1 || len(d.standing()) != 1 {
		t.Fatalf("50 calls of one request: bookings %v, %d POSTs, %d appointments", slices.Compact(names), d.posts(), len(d.standing()))
	}
	told := []followupsv1.LeadEventType{booked}
	d.eventually("booked is told", func() bool { return slices.Equal(d.events.of(d.lead), told) })
	hook, err := d.sim.AppointmentWebhook(d.standing()[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	d.accept(hook)
	d.settled()
	d.eventually("nothing waits", func() bool { return d.count(`SELECT count(*) FROM outbox WHERE delivered_time IS NULL`) == 0 })
	if got := d.events.of(d.lead); !slices.Equal(got, told) || d.count(`SELECT count(*) FROM booking`) != 1 {
		t.Errorf("after the webhook of the same appointment: events %v, %d appointments stored", got, d.count(`SELECT count(*) FROM booking`))
	}
	again := d.ask(1)
	again.RequestId, again.CalendarLink = req.GetRequestId(), "other"
	_, err = d.book.BookAppointment(d.Context(), again)
	e, _ := apierr.From(err)
	if e == nil || e.Reason != "REQUEST_ID_REUSED" || e.Code != codes.AlreadyExists || e.Metadata["fields"] != "start_time,calendar_link" {
		t.Errorf("same id, other slot: %v", err)
	}
	// The control: another request is another appointment, and says so.
	if b, why := d.made(d.ask(2)); b.GetState() != stateBooked || d.posts() != 2 {
		t.Errorf("another booking: %v %s, %d POSTs", b, why, d.posts())
	}
	d.eventually("the second is told", func() bool { return len(d.events.of(d.lead)) == 2 })
	list, err := d.admin.ListAppointments(d.Context(), &syncv1.ListAppointmentsRequest{Parent: d.lead})
	if err != nil || len(list.GetAppointments()) != 2 || list.GetAppointments()[0].GetPrimary() || !list.GetAppointments()[1].GetPrimary() {
		t.Errorf("the earliest ahead is primary: %v %v", list, err)
	}
}

// TestBookUnknown: whatever the provider answers, nothing is booked twice and nothing that was booked is denied.
func TestBookUnknown(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	onBook := simulator.Match{Method: http.MethodPost, Path: "/calendars/events/appointments"}
	cases := map[string]struct {
		location string
		fault    simulator.Fault
		// first is what the call answers, last where it ends; standing is how many appointments there are then.
		first, last syncv1.BookingState
		standing    int
	}{
		"the answer is lost":      {"locationBookFault01", simulator.Fault{Kind: simulator.AcceptThenReset}, stateBooked, stateBooked, 1},
		"5xx, taken":              {"locationBookFault02", simulator.Fault{Kind: simulator.Status5xxAfterAccept}, stateBooked, stateBooked, 1},
		"5xx, not taken":          {"locationBookFault03", simulator.Fault{Kind: simulator.Status5xxClean}, stateUnknown, stateRefused, 0},
		"an answer without id":    {"locationBookFault04", simulator.Fault{Kind: simulator.EmptyTwoHundred}, stateBooked, stateBooked, 1},
		"cut JSON":                {"locationBookFault05", simulator.Fault{Kind: simulator.MalformedBody, Variant: simulator.CutJSON}, stateBooked, stateBooked, 1},
		"time-out, taken":         {"locationBookFault06", simulator.Fault{Kind: simulator.AcceptThenHang, Delay: time.Hour}, stateBooked, stateBooked, 1},
		"taken after we gave up":  {"locationBookFault07", simulator.Fault{Kind: simulator.LateAccept, Delay: time.Hour}, stateUnknown, stateBooked, 1},
		"reset before it is read": {"locationBookFault08", simulator.Fault{Kind: simulator.ResetBeforeRead}, stateUnknown, stateRefused, 0},
		"redirected":              {"locationBookFault09", simulator.Fault{Kind: simulator.Redirect}, stateUnknown, stateRefused, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := r.diary(c.location)
			f := c.fault
			f.Match, f.Times = onBook, 1
			f.Location = d.location
			late := d.sim.AddFault(f)
			req := d.ask(0)
			b, why := d.made(req)
			if b.GetState() != c.first {
				t.Fatalf("answered %v %s, want %v", b.GetState(), why, c.first)
			}
			if c.fault.Kind == simulator.LateAccept {
				late.Free()
			}
			if c.first == stateUnknown {
				// The same request waits, another one of the lead does not overtake.
				if again, why := d.made(req); again.GetName() != b.GetName() {
					t.Errorf("asked again: %v %s", again, why)
				}
				if _, why := d.made(d.ask(4)); c.last == stateRefused && why != "BOOKING_UNRESOLVED" {
					t.Errorf("another booking of the lead: %q", why)
				}
			}
			b = d.settledAs(b.GetName(), c.last)
			if d.posts() != 1 || len(d.standing()) != c.standing {
				t.Errorf("%d POSTs, %d appointments, want 1 and %d", d.posts(), len(d.standing()), c.standing)
			}
			if c.standing == 1 && b.GetAppointment() != d.standing()[0].ID {
				t.Errorf("the booking names %q", b.GetAppointment())
			}
			if c.last == stateRefused {
				if _, why := d.made(req); why != "BOOKING_ABSENT" {
					t.Errorf("asked after it settled: %q", why)
				}
				// A new request may book.
				if b, why := d.made(d.ask(0)); b.GetState() != stateBooked || d.posts() != 2 {
					t.Errorf("booked anew: %v %s", b, why)
				}
			}
		})
	}
}
