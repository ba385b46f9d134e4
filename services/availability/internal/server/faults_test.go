package server_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/look"
	"github.com/relance/relance/services/availability/internal/provider"
	"github.com/relance/relance/services/availability/internal/provider/calendly"
	"github.com/relance/relance/services/availability/internal/provider/ghlpage"
	"github.com/relance/relance/services/availability/internal/provider/hubspot"
	"github.com/relance/relance/services/availability/internal/provider/icalendar"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
	"github.com/relance/relance/services/availability/internal/webfetch"
	"github.com/relance/relance/simulator/calendars"
)

// hasty gives up early while on: only for calls that get no answer, however fast the machine is.
type hasty struct {
	look.Provider
	on *atomic.Bool
}

func (h hasty) FreeSlots(ctx context.Context, ask look.Ask) (look.Answer, error) {
	if h.on.Load() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
	}
	return h.Provider.FreeSlots(ctx, ask)
}

// rehost reads the simulator's feed wherever the link's is.
type rehost struct {
	fetch *webfetch.Client
	base  string
}

func (r rehost) Get(ctx context.Context, address string, header http.Header) (webfetch.Answer, error) {
	return r.fetch.Get(ctx, strings.Replace(address, "https://calendar.example.com", r.base+"/feeds", 1), header)
}

// matrix is a simulated outside with a calendar of every kind and door, read by one replica.
type matrix struct {
	*world
	sim     *calendars.World
	replica *replica
	hasty   atomic.Bool
	free    []time.Time
}

func newMatrix(t *testing.T) *matrix {
	t.Helper()
	m := &matrix{world: newWorld(t)}
	m.sim = calendars.New(m.clock.Now)
	t.Cleanup(m.sim.Close)
	base := m.sim.Server().URL
	fetch := webfetch.New(webfetch.Config{
		Control: webfetch.Anywhere(), Plain: true, Timeout: 30 * time.Second,
		RootCAs: m.sim.Server().Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
	})
	m.replica = m.newReplica(t, provider.Router{
		calendar.GHL:       hasty{ghlpage.New(ghlpage.Config{Backend: base, Pages: fetch, Fetch: fetch}), &m.hasty},
		calendar.Calendly:  hasty{calendly.New(calendly.Config{API: base, Public: base, Fetch: fetch}), &m.hasty},
		calendar.HubSpot:   hasty{hubspot.New(hubspot.Config{API: base, Public: func(string) string { return base }, Fetch: fetch}), &m.hasty},
		calendar.ICalendar: hasty{&icalendar.Provider{Fetch: rehost{fetch, base}}, &m.hasty},
	}, m.db.DSN(store.Schema))
	return m
}

func matrixLinks() map[string]*availabilityv1.CalendarLink {
	const onCalendly, onHubSpot = "https://calendly.com/acme/intro", "https://meetings.hubspot.com/" + calendars.HubSpotSlug
	return map[string]*availabilityv1.CalendarLink{
		"calendly api":  {PublicUrl: onCalendly, ApiToken: calendars.Token},
		"calendly page": {PublicUrl: onCalendly},
		"hubspot api":   {PublicUrl: onHubSpot, ApiToken: calendars.Token},
		"hubspot page":  {PublicUrl: onHubSpot},
		"ghl page":      {PublicUrl: "https://api.leadconnectorhq.com/widget/booking/" + calendars.GHLCalendar},
		"icalendar": {
			PublicUrl: "https://acme.example.com/book", SourceUrl: feedURL,
			WorkingHours: &availabilityv1.WorkingHours{TimeZone: "UTC", Days: []int32{1, 2, 3, 4, 5, 6, 7}, Start: "00:00", End: "24:00"},
		},
	}
}

// cell is what a calendar does and what becomes of its workspace.
type cell struct {
	fault *calendars.Fault
	plan  func(*calendars.Plan)
	state slots.State
	error string
	// everyday tells that it has nothing to do with dates: one day is enough.
	everyday bool
}

func answering(code int, body string, header ...string) *calendars.Fault {
	f := &calendars.Fault{Status: code, Body: body}
	if len(header) == 2 {
		f.Header = map[string]string{header[0]: header[1]}
	}
	return f
}

func cells() map[string]cell {
	away := func(reason string, fault *calendars.Fault) cell {
		return cell{fault: fault, state: slots.StateUnreachable, error: reason, everyday: true}
	}
	late := away("HTTP_503", answering(503, "", "Retry-After", "30"))
	late.everyday = false
	return map[string]cell{
		"time-out":       away("TIMEOUT", &calendars.Fault{Stall: true}),
		"slow body":      away("TIMEOUT", &calendars.Fault{Drip: true}),
		"cut":            away("NETWORK", &calendars.Fault{Cut: true}),
		"429":            away("PROVIDER_RATE_LIMITED", answering(429, "{}", "Retry-After", "90")),
		"500":            away("HTTP_500", answering(500, "{}")),
		"503":            late,
		"malformed":      away("BAD_ANSWER", answering(200, "<html>maintenance</html>")),
		"no body":        away("BAD_ANSWER", answering(200, "")),
		"well":           {state: slots.StateOK},
		"empty":          {plan: func(p *calendars.Plan) { p.Free = nil }, state: slots.StateEmpty},
		"wrong zone":     {plan: func(p *calendars.Plan) { p.Zone = "Asia/Tokyo" }, state: slots.StateOK},
		"no such a zone": {plan: func(p *calendars.Plan) { p.Zone = "Mars/Phobos" }, state: slots.StateOK},
	}
}

// Whatever a calendar does, on whatever day: it is unreachable and serves what was read before, or empty when it truly is, or
// ok; and well again with its next good answer.
func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	m := newMatrix(t)
	names := map[string]string{}
	for door, link := range matrixLinks() {
		names[door] = m.workspace(t)
		if _, err := m.create(t, names[door], link); err != nil {
			t.Fatal(door, err)
		}
	}
	for _, day := range []struct {
		name string
		at   time.Time
	}{
		{"an ordinary day", now()},
		{"clocks go forward", time.Date(2026, 3, 7, 20, 0, 0, 0, time.UTC)},
		{"clocks go back", time.Date(2026, 10, 24, 20, 0, 0, 0, time.UTC)},
		{"end of the year", time.Date(2026, 12, 30, 23, 30, 0, 0, time.UTC)},
	} {
		for what, c := range cells() {
			if c.everyday && !day.at.Equal(now()) {
				continue
			}
			for door, name := range names {
				t.Run(day.name+"/"+what+"/"+door, func(t *testing.T) {
					want := c
					if what == "no such a zone" && door == "icalendar" {
						// A feed's times mean nothing without their zone; others tell their offset.
						want.state, want.error = slots.StateUnreachable, "BAD_ANSWER"
					}
					if at := m.clock.Now(); at.Before(day.at) {
						m.clock.Advance(day.at.Sub(at))
					}
					m.try(t, name, want)
				})
			}
		}
	}
}

// try reads a workspace before, during and after a fault.
func (m *matrix) try(t *testing.T, name string, c cell) {
	t.Helper()
	m.renew()
	m.expect(t, name, cell{state: slots.StateOK}, m.clock.Now())
	read := m.clock.Now()
	m.clock.Advance(2 * time.Minute)
	m.sim.Set(func(p *calendars.Plan) {
		p.Fault = c.fault
		if c.plan != nil {
			c.plan(p)
		}
		p.Feed = m.feed(p.Free)
	})
	m.hasty.Store(c.fault != nil && (c.fault.Stall || c.fault.Drip))
	if c.state != slots.StateUnreachable {
		read = m.clock.Now()
	}
	m.expect(t, name, c, read)
	m.hasty.Store(false)
	m.clock.Advance(2 * time.Minute)
	m.renew()
	m.expect(t, name, cell{state: slots.StateOK}, m.clock.Now())
	m.clock.Advance(2 * time.Minute)
}

// renew makes the calendars well, with times from three hours ahead: some of them in the hours in which clocks change.
func (m *matrix) renew() {
	m.free = nil
	for _, after := range []time.Duration{3, 5, 6, 10, 11, 24, 25, 27, 300, 600} {
		m.free = append(m.free, m.clock.Now().Truncate(time.Hour).Add(after*time.Hour))
	}
	m.sim.Set(func(p *calendars.Plan) { p.Free, p.Fault, p.Zone, p.Feed = m.free, nil, "", m.feed(m.free) })
}

func (m *matrix) feed(free []time.Time) string {
	from := m.clock.Now().Add(-time.Hour)
	return calendars.FeedBusyExcept(free, 30*time.Minute, from, from.AddDate(0, 0, 40))
}

// expect reads the workspace and compares what is served with what is stored and with what is to be.
func (m *matrix) expect(t *testing.T, name string, want cell, read time.Time) {
	t.Helper()
	free := m.free
	if want.state == slots.StateEmpty {
		free = nil
	}
	got := m.replica.slots(t, name)
	var starts []time.Time
	for _, slot := range got.GetSlots() {
		starts = append(starts, slot.GetStartTime().AsTime())
	}
	row, err := m.store.Read(t.Context(), slots.Default(uuid.MustParse(strings.TrimPrefix(name, "workspaces/"))))
	if err != nil || row.State != want.state || row.LastError != want.error || !row.AsOf.Equal(read) {
		t.Errorf("stored %s %q as of %s, %v; want %s %q as of %s", row.State, row.LastError, row.AsOf, err, want.state, want.error, read)
	}
	served := "AVAILABILITY_STATE_" + strings.ToUpper(string(want.state))
	if got.GetState().String() != served || !got.GetAsOfTime().AsTime().Equal(read) || !slices.EqualFunc(starts, free, time.Time.Equal) {
		t.Errorf("served %s as of %s: %v; want %s: %v", got.GetState(), got.GetAsOfTime().AsTime(), starts, served, free)
	}
}
