package sync_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/relance/relance/simulator/calendars"
)

// TestPollCalendlyGoesOnWhereItCouldNotRead: a comparison that the provider ends before its end is gone on with at the event that
// could not be read, which is not passed over, and reads nothing before it again.
func TestPollCalendlyGoesOnWhereItCouldNotRead(t *testing.T) {
	t.Parallel()
	p := newPage(t, "locationPollCalendl2", fastPolls)
	var booked []calendars.Booking
	for n := range 5 {
		booked = append(booked, p.world.Book("ann@example.com", p.slot(n)))
	}
	unread := "/scheduled_events/" + booked[2].UUID + "/invitees"
	p.world.Set(func(plan *calendars.Plan) {
		plan.Fault = &calendars.Fault{Path: unread, Status: 401, Body: `{"title":"Unauthenticated","message":"The access token is invalid"}`}
	})
	p.connect()
	p.clock.Advance(time.Minute)
	p.eventually("the comparison ended", func() bool {
		return p.count(`SELECT count(*) FROM appointment_poll WHERE provider = 'calendly' AND last_error <> ''`) == 1
	})
	if n := p.count(`SELECT count(*) FROM appointment_poll WHERE cursor LIKE '% ' || $1`, booked[1].Event()); n != 1 {
		t.Error("the cursor is not before what could not be read")
	}
	p.eventually("what was read is applied", func() bool { return p.count(`SELECT count(*) FROM booking`) == 2 })
	p.world.Set(func(plan *calendars.Plan) { plan.Fault = nil })
	p.connect()
	p.rounds(func() bool { return p.count(`SELECT count(*) FROM booking`) == 5 })
	reads := map[string]int{}
	for _, path := range p.world.Calls() {
		reads[path]++
	}
	for i, b := range booked {
		if n := reads["/scheduled_events/"+b.UUID+"/invitees"]; i < 2 && n != 1 || n == 0 {
			t.Errorf("event %d was read %d times", i, n)
		}
	}
}

// TestPollCalendlyReadsEveryPage: a window that holds more than a poll lists, and events with more invitees than a page, or a poll,
// holds, are compared whole over several polls; what is known is not read again.
func TestPollCalendlyReadsEveryPage(t *testing.T) {
	t.Parallel()
	p := newPage(t, "locationPollCalendl3", fastPolls)
	const page, events, crowd = 2, 13, 70
	p.world.Set(func(plan *calendars.Plan) { plan.Page, plan.Limit = page, 100000 })
	want := crowd
	for n := range events {
		p.world.Book(fmt.Sprintf("visitor%d@example.com", n), p.slot(1+n/3)) // three begin together
	}
	want += events
	// As many as the pages of one poll hold, all at one time: a poll can leave none of them for later.
	for n := range 19 {
		p.world.Book(fmt.Sprintf("together%d@example.com", n), p.slot(20))
		want++
	}
	group := p.world.Book("first@example.com", p.slot(0))
	p.world.ChangeBooking(group.UUID, func(b *calendars.Booking) {
		for n := range crowd - 1 {
			b.Others = append(b.Others, fmt.Sprintf("guest%d@example.com", n))
		}
	})
	p.connect()
	p.rounds(func() bool { return p.count(`SELECT count(*) FROM booking`) == want })
	p.polled("calendly") // A round that finds nothing new
	before, since := len(p.world.Calls()), p.clock.Now()
	p.rounds(func() bool { return p.count(`SELECT count(*) FROM appointment_poll WHERE whole_time > $1`, since) > 0 })
	for _, path := range p.world.Calls()[before:] {
		if path != "/users/me" && path != "/scheduled_events" {
			t.Errorf("what is known is read again: %s", path)
		}
	}
	// Somebody joins, and no webhook tells.
	p.world.ChangeBooking(group.UUID, func(b *calendars.Booking) { b.Others = append(b.Others, "late@example.com") })
	p.rounds(func() bool { return p.count(`SELECT count(*) FROM booking`) == want+1 })
}

// TestPollCalendlyPassesATokenThatExpired: an event whose invitees were left in the middle is passed over when its token is refused,
// and read from its beginning in the next round.
func TestPollCalendlyPassesATokenThatExpired(t *testing.T) {
	t.Parallel()
	p := newPage(t, "locationPollCalendl4", fastPolls)
	p.world.Set(func(plan *calendars.Plan) { plan.Page = 2 })
	group := p.world.Book("first@example.com", p.slot(0))
	p.world.ChangeBooking(group.UUID, func(b *calendars.Booking) { b.Others = []string{"b@example.com", "c@example.com"} })
	p.world.Book("after@example.com", p.slot(3))
	stale := p.slot(0).Format(time.RFC3339) + " page-999 " + group.Event()
	p.connect()
	p.rounds(func() bool { return p.count(`SELECT count(*) FROM booking`) == 4 })
	p.exec(`DELETE FROM booking`)
	p.exec(`DELETE FROM webhook_inbox`)
	p.exec(`UPDATE appointment_poll SET cursor = $1, whole_time = NULL WHERE provider = 'calendly'`, stale)
	p.rounds(func() bool { return p.count(`SELECT count(*) FROM booking`) == 4 })
	if n := p.count(`SELECT count(*) FROM appointment_poll WHERE cursor = $1`, stale); n != 0 {
		t.Error("the cursor stays")
	}
}

// TestPollCalendlySaysWhatItLeavesOut: more events at one time than a poll lists are an error that is shown, the round is no whole one,
// and what comes after them is compared all the same.
func TestPollCalendlySaysWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	p := newPage(t, "locationPollCalendl5", fastPolls)
	p.world.Set(func(plan *calendars.Plan) { plan.Page, plan.Limit = 1, 100000 })
	for n := range 12 {
		p.world.Book(fmt.Sprintf("visitor%d@example.com", n), p.slot(0))
	}
	p.world.Book("after@example.com", p.slot(3))
	p.connect()
	crowded := false
	p.rounds(func() bool {
		crowded = crowded || p.count(`SELECT count(*) FROM appointment_poll WHERE last_error = 'WINDOW_CROWDED'`) == 1
		return crowded && p.count(`SELECT count(*) FROM booking`) == 11
	})
	if n := p.count(`SELECT count(*) FROM appointment_poll WHERE provider = 'calendly' AND whole_time IS NOT NULL`); n != 0 {
		t.Error("a round that left something out is taken for a whole one")
	}
}

// rounds lets comparisons of Calendly follow each other until something holds.
func (p page) rounds(holds func() bool) {
	p.Helper()
	p.eventually("appointments compared", func() bool {
		if p.count(`SELECT count(*) FROM appointment_poll WHERE provider = 'calendly' AND next_time > $1
			AND (last_time >= $1 OR last_error <> '')`, p.clock.Now()) > 0 {
			p.clock.Advance(time.Minute) // a poll has ended
		}
		return holds()
	})
}
