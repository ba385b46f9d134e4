package sync_test

import (
	"slices"
	"strings"
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
	slices.SortFunc(booked, func(a, b calendars.Booking) int { return strings.Compare(a.Event(), b.Event()) })
	unread := "/scheduled_events/" + booked[2].UUID + "/invitees"
	p.world.Set(func(plan *calendars.Plan) {
		plan.Fault = &calendars.Fault{Path: unread, Status: 401, Body: `{"title":"Unauthenticated","message":"The access token is invalid"}`}
	})
	p.connect()
	p.clock.Advance(time.Minute)
	p.eventually("the comparison ended", func() bool {
		return p.count(`SELECT count(*) FROM appointment_poll WHERE provider = 'calendly' AND last_error <> ''`) == 1
	})
	if n := p.count(`SELECT count(*) FROM appointment_poll WHERE cursor = $1`, booked[1].Event()); n != 1 {
		t.Error("the cursor is not before what could not be read")
	}
	p.eventually("what was read is applied", func() bool { return p.count(`SELECT count(*) FROM booking`) == 2 })
	p.world.Set(func(plan *calendars.Plan) { plan.Fault = nil })
	p.connect()
	p.eventually("the rest is read", func() bool {
		if p.count(`SELECT count(*) FROM appointment_poll WHERE provider = 'calendly' AND next_time > $1`, p.clock.Now()) > 0 {
			p.clock.Advance(time.Minute) // a poll has ended
		}
		return p.count(`SELECT count(*) FROM booking`) == 5
	})
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
