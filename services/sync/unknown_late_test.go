package sync_test

import (
	"fmt"
	"testing"
	"time"

	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/simulator"
)

// unknownRow is a row whose call nobody can tell of: the table, its row, and the column that says when it is looked for.
type unknownRow struct{ table, name, next string }

// settles keeps the row at an age, and tells whether a look settles it within three complete ones.
func (w tenant) settles(of unknownRow, age time.Duration) (settled bool) {
	w.Helper()
	id := of.name[len(of.name)-36:]
	count := func(what string) int {
		return w.count(fmt.Sprintf(`SELECT %s FROM %s WHERE id = $1`, what, of.table), id)
	}
	before := count("looks")
	w.eventually("three looks", func() bool {
		w.exec(fmt.Sprintf(`UPDATE %s SET intent_at = now() - make_interval(secs => $2), %s = now() WHERE id = $1 AND state = 'UNKNOWN'`, of.table, of.next), id, age.Seconds())
		settled = count("(state <> 'UNKNOWN')::int") == 1
		return settled || count("looks") >= before+3
	})
	return settled
}

// TestALateProviderIsAwaited: while messages were late at GoHighLevel, a contact or an appointment that does not show is not absent yet
// at the configured settle time.
func TestALateProviderIsAwaited(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls, func(c *relancesync.Config) {
		c.SendWrite, c.SendVisible, c.SendSettle = 30*time.Second, 10*time.Second, 100*time.Second
	})
	late := func() {
		// V becomes 100 s, and S by the same 90 s and 2 % longer: 191.8 s.
		r.exec(`INSERT INTO provider_lateness (provider, assumption, seen_ms) VALUES ('ghl', 'A2', 60000) ON CONFLICT DO NOTHING`)
	}
	link := func(location string) (stranger, unknownRow) {
		s := r.stranger(location)
		lost := simulator.Fault{Match: onCreate, Kind: simulator.Status5xxClean, Times: 1}
		lost.Location = location
		s.sim.AddFault(lost)
		l, e := s.asked(s.wish())
		if e != nil {
			t.Fatalf("link: %v", e)
		}
		s.link(l.GetName(), linkUnknown)
		return s, unknownRow{"contact_link", l.GetName(), "next_time"}
	}
	book := func(location string) (diary, unknownRow) {
		d := r.diary(location)
		d.sim.AddFault(simulator.Fault{Match: simulator.Match{Method: "POST", Path: "/calendars/events/appointments", Location: location}, Kind: simulator.Status5xxClean, Times: 1})
		b, why := d.made(d.ask(0))
		if b.GetState() != stateUnknown {
			t.Fatalf("booking: %v %s", b, why)
		}
		return d, unknownRow{"booking_intent", b.GetName(), "next_look"}
	}
	const pastS, pastLateS = 120 * time.Second, 250 * time.Second

	// The control: a provider that keeps to what is configured settles by absence after the configured S.
	onTime, lostLink := link("locationOnTime00001")
	if !onTime.settles(lostLink, pastS) {
		t.Error("control: the link stays unknown")
	}
	inTime, lostBooking := book("locationOnTime00002")
	if !inTime.settles(lostBooking, pastS) {
		t.Error("control: the booking stays unknown")
	}

	late()
	s, hidden := link("locationLate0000001")
	if s.settles(hidden, pastS) || len(s.creates()) != 1 {
		t.Errorf("the link is settled after S, %d POSTs", len(s.creates()))
	}
	if !s.settles(hidden, pastLateS) {
		t.Error("the link stays unknown after the lengthened S")
	}
	s.link(hidden.name, linkLinked)
	if len(s.creates()) != 2 || len(s.made()) != 1 {
		t.Errorf("%d POSTs, %d contacts", len(s.creates()), len(s.made()))
	}
	d, absent := book("locationLate0000002")
	if d.settles(absent, pastS) {
		t.Error("the booking is settled after S")
	}
	if !d.settles(absent, pastLateS) {
		t.Error("the booking stays unknown after the lengthened S")
	}
	d.settledAs(absent.name, stateRefused)
}
