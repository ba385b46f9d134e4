package sync_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/clock"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/simulator/calendars"
)

// page is a workspace that books through Calendly.
type page struct {
	diary
	world *calendars.World
}

func newPage(t *testing.T, location string, change ...func(*relancesync.Config)) page {
	t.Helper()
	time0 := clock.NewMovable(time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC))
	world := calendars.New(time0.Now)
	t.Cleanup(world.Close)
	plain := httptest.NewServer(world.Handler())
	t.Cleanup(plain.Close)
	r := newRig(t, append(change, func(c *relancesync.Config) { c.CalendlyBaseURL = plain.URL })...)
	p := page{diary: r.diary(location), world: world}
	lead, err := r.admin.UpsertLead(t.Context(), &syncv1.UpsertLeadRequest{Parent: p.name, Lead: &syncv1.Lead{Email: "ann@example.com", FirstName: "Ann"}})
	if err != nil {
		t.Fatal(err)
	}
	p.lead = lead.GetLead().GetName()
	world.Set(func(w *calendars.Plan) {
		for n := range 8 {
			w.Free = append(w.Free, p.slot(n))
		}
	})
	return p
}

func (p page) connect() {
	p.Helper()
	_, err := p.admin.SetConnection(p.Context(), &syncv1.SetConnectionRequest{
		Parent: p.name, Connection: &syncv1.Connection{Provider: "calendly", Token: calendars.Token},
	})
	if err != nil {
		p.Fatal(err)
	}
}

func (p page) ask(n int) *syncv1.BookAppointmentRequest {
	return &syncv1.BookAppointmentRequest{
		Lead: p.lead, RequestId: uuid.NewString(), Provider: "calendly", Calendar: calendars.CalendlyProfile + "/" + calendars.CalendlyEvent,
		StartTime: timestamppb.New(p.slot(n)), EndTime: timestamppb.New(p.slot(n + 1)),
	}
}

func (p page) posts() (n int) {
	for _, path := range p.world.Calls() {
		if path == "/invitees" {
			n++
		}
	}
	return n
}

// TestBookCalendly: the same protocol, over Calendly's Scheduling API.
func TestBookCalendly(t *testing.T) {
	t.Parallel()
	p := newPage(t, "locationCalendly0001", noPolls)
	if _, why := p.made(p.ask(0)); why != "PROVIDER_NOT_CONNECTED" {
		t.Fatalf("before it is connected: %q", why)
	}
	p.connect()
	health, err := p.admin.GetConnectionHealth(p.Context(), &syncv1.GetConnectionHealthRequest{Parent: p.name, Provider: "calendly", Probe: true})
	if err != nil || health.GetConnection().GetLastSuccessTime() == nil {
		t.Errorf("health: %v %v", health, err)
	}
	req := p.ask(0)
	b, why := p.made(req)
	if b.GetState() != stateBooked || b.GetAppointment() != p.world.Bookings()[0].Invitee() {
		t.Fatalf("booked: %v %s", b, why)
	}
	if again, _ := p.made(req); again.GetName() != b.GetName() || p.posts() != 1 {
		t.Errorf("again: %v, %d POSTs", again, p.posts())
	}
	p.eventually("told", func() bool { return len(p.events.of(p.lead)) == 1 })
	lost := func(f calendars.Fault) {
		f.Path, f.Times = "/invitees", 1
		p.world.Set(func(w *calendars.Plan) { w.Fault = &f })
	}
	lost(calendars.Fault{Status: 502, Taken: true})
	if b, why := p.made(p.ask(1)); b.GetState() != stateBooked || p.posts() != 2 {
		t.Errorf("5xx, taken: %v %s", b, why)
	}
	lost(calendars.Fault{Cut: true, Taken: true})
	if b, why := p.made(p.ask(2)); b.GetState() != stateBooked || p.posts() != 3 {
		t.Errorf("cut, taken: %v %s", b, why)
	}
	lost(calendars.Fault{Status: 403, Body: `{"title":"Permission Denied"}`})
	if _, why := p.made(p.ask(3)); why != "BOOKING_UNSUPPORTED" {
		t.Errorf("not in the plan: %q", why)
	}
	p.world.Book("other@example.com", p.slot(4))
	if _, why := p.made(p.ask(4)); why != "SLOT_TAKEN" {
		t.Errorf("somebody else's: %q", why)
	}
	own := p.world.Book("ann@example.com", p.slot(5))
	if b, why := p.made(p.ask(5)); b.GetAppointment() != own.Invitee() {
		t.Errorf("the lead's own: %v %s", b, why)
	}
	lost(calendars.Fault{Status: 500})
	b, why = p.made(p.ask(6))
	if b.GetState() != stateUnknown {
		t.Fatalf("5xx, not taken: %v %s", b, why)
	}
	if b = p.settledAs(b.GetName(), stateRefused); b.GetReason() != "BOOKING_ABSENT" {
		t.Errorf("settled: %v", b)
	}
}
