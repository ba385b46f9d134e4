package sync_test

import (
	"slices"
	"testing"
	"time"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/simulator"
	"github.com/relance/relance/simulator/calendars"
)

func fastPolls(cfg *relancesync.Config) { cfg.PollTick = 100 * time.Millisecond }

// polled lets the next comparison of appointments come, and waits until a later one has ended and its finds are applied.
func (d diary) polled(kind string) {
	d.Helper()
	for range 2 { // The first may have begun before what was changed.
		d.clock.Advance(time.Minute)
		now := d.clock.Now()
		d.eventually("appointments compared", func() bool {
			return d.count(`SELECT count(*) FROM appointment_poll WHERE provider = $1 AND last_time >= $2`, kind, now) > 0
		})
	}
	d.eventually("finds applied", func() bool {
		return d.count(`SELECT count(*) FROM webhook_inbox WHERE state = 'PENDING'`)+d.count(`SELECT count(*) FROM outbox WHERE delivered_time IS NULL`) == 0
	})
}

// TestPollAppointments: what no webhook told is found, told once, and undoes nothing that is newer.
func TestPollAppointments(t *testing.T) {
	t.Parallel()
	d := newRig(t, fastPolls).diary("locationPollAppoint1")
	is := func(what string, want ...followupsv1.LeadEventType) {
		t.Helper()
		if got := d.events.of(d.lead); !slices.Equal(got, want) {
			t.Errorf("%s: events %v, want %v", what, got, want)
		}
	}
	d.polled("ghl")
	is("nothing there")
	id := d.visit(d.contact.ID, 10)
	d.polled("ghl")
	is("made", booked)
	d.polled("ghl")
	is("compared again", booked)
	if listed, known := d.count(`SELECT listed FROM appointment_poll`), d.count(`SELECT known FROM appointment_poll`); listed != 1 || known != 1 {
		t.Errorf("receipt: %d listed, %d known", listed, known)
	}
	// Its webhook after all.
	hook, err := d.sim.AppointmentWebhook(id)
	if err != nil {
		t.Fatal(err)
	}
	d.accept(hook)
	d.settled()
	is("its webhook after all", booked)
	if err := d.sim.SetAppointment(id, "confirmed", d.slot(14)); err != nil {
		t.Fatal(err)
	}
	d.polled("ghl")
	is("moved", booked, booked)
	// A webhook tells of a later cancellation than the lists show: the poll does not bring the appointment back.
	d.accept(d.appointment(t, d.contact.ID, "AppointmentUpdate", "cancelled", 3*time.Minute).With("appointment.id", id).
		With("appointment.startTime", d.slot(14).Format(time.RFC3339)))
	d.settled()
	d.polled("ghl")
	if n := d.count(`SELECT count(*) FROM booking WHERE status = 'cancelled'`); n != 1 {
		t.Errorf("%d cancelled after an older list was read", n)
	}
	// Lists that cannot be read change nothing, and say so.
	blind := d.sim.AddFault(simulator.Fault{Match: simulator.Match{Path: "/calendars/events"}, Kind: simulator.Status5xxClean})
	d.clock.Advance(time.Minute)
	d.eventually("the failure shows", func() bool {
		return d.count(`SELECT count(*) FROM appointment_poll WHERE last_error = 'PROVIDER_READ_FAILED'`) == 1
	})
	blind.Remove()
	d.polled("ghl")
	if n := d.count(`SELECT count(*) FROM appointment_poll WHERE last_error = ''`); n != 1 {
		t.Error("the failure stays")
	}
}

// TestPollCalendly: the same, for a Calendly connection.
func TestPollCalendly(t *testing.T) {
	t.Parallel()
	p := newPage(t, "locationPollCalendly", fastPolls)
	if n := p.count(`SELECT count(*) FROM appointment_poll WHERE provider = 'calendly'`); n != 0 {
		t.Fatal("polled without a connection")
	}
	p.connect()
	b := p.world.Book("ann@example.com", p.slot(3))
	p.polled("calendly")
	if got := p.events.of(p.lead); !slices.Equal(got, []followupsv1.LeadEventType{booked}) {
		t.Errorf("made: %v", got)
	}
	reads := len(p.world.Calls())
	p.polled("calendly")
	for _, path := range p.world.Calls()[reads:] {
		if path != "/users/me" && path != "/scheduled_events" {
			t.Errorf("what is known is read again: %s", path)
		}
	}
	p.world.ChangeBooking(b.UUID, func(b *calendars.Booking) { b.Status = "canceled" })
	p.polled("calendly")
	if n := p.count(`SELECT count(*) FROM booking WHERE status = 'cancelled' AND final`); n != 1 {
		t.Errorf("%d cancelled", n)
	}
}
