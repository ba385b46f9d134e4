package provider_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/look"
	"github.com/relance/relance/services/availability/internal/provider/calendly"
	"github.com/relance/relance/services/availability/internal/provider/ghlpage"
	"github.com/relance/relance/services/availability/internal/provider/hubspot"
	"github.com/relance/relance/services/availability/internal/provider/icalendar"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/webfetch"
	"github.com/relance/relance/simulator/calendars"
)

const half = 30 * time.Minute

// subject is one provider through one of its doors.
type subject struct {
	name string
	make func(base string, fetch *webfetch.Client) look.Provider
	ask  look.Ask
	// calls is the number of calls that a first look at 30 days needs, and again the next one.
	calls, again int
	// judges tells that the provider itself knows the length of its meetings.
	judges bool
}

func subjects() []subject {
	onCalendly := func(base string, fetch *webfetch.Client) look.Provider {
		return calendly.New(calendly.Config{API: base, Public: base, Fetch: fetch})
	}
	onHubSpot := func(base string, fetch *webfetch.Client) look.Provider {
		return hubspot.New(hubspot.Config{API: base, Public: func(string) string { return base }, Fetch: fetch})
	}
	onPage := func(base string, fetch *webfetch.Client) look.Provider {
		return ghlpage.New(ghlpage.Config{Backend: base, Pages: fetch, Fetch: fetch})
	}
	hours := slots.Hours{
		Zone: "UTC", Start: 0, End: 24 * 60, Step: half,
		Days: []time.Weekday{time.Sunday, time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday},
	}
	return []subject{
		{"calendly api by address", onCalendly, look.Ask{Kind: calendar.Calendly, ID: "acme/intro", Token: calendars.Token}, 3, 1, true},
		{"calendly api by uuid", onCalendly, look.Ask{Kind: calendar.Calendly, ID: calendars.CalendlyUUID, Token: calendars.Token}, 2, 1, true},
		{"calendly page", onCalendly, look.Ask{Kind: calendar.Calendly, ID: "acme/intro"}, 2, 1, true},
		{"calendly shared link", onCalendly, look.Ask{Kind: calendar.Calendly, ID: "d/shared-1"}, 3, 1, true},
		{"hubspot api", onHubSpot, look.Ask{Kind: calendar.HubSpot, ID: calendars.HubSpotSlug, Token: calendars.Token}, 2, 2, true},
		{"hubspot page", onHubSpot, look.Ask{Kind: calendar.HubSpot, ID: "eu1:" + calendars.HubSpotSlug}, 2, 2, true},
		{"ghl page", onPage, look.Ask{Kind: calendar.GHL, Address: "/widget/bookings/team-intro"}, 2, 1, false},
		{"ghl page with id", onPage, look.Ask{Kind: calendar.GHL, ID: calendars.GHLCalendar}, 1, 1, false},
		{
			"icalendar", func(_ string, fetch *webfetch.Client) look.Provider { return &icalendar.Provider{Fetch: fetch} },
			look.Ask{Kind: calendar.ICalendar, Address: "/feeds/private-0123456789/basic.ics", Hours: hours},
			1, 1, false,
		},
	}
}

// world is a simulated outside world with one provider looking at it.
type world struct {
	*calendars.World
	provider look.Provider
	ask      look.Ask
	free     []time.Time
}

// patience is more than a loaded machine needs for an answer; impatience is for calls that get none.
const patience, impatience = 30 * time.Second, 300 * time.Millisecond

func newWorld(t *testing.T, s subject, from time.Time) *world {
	t.Helper()
	return newWorldWithin(t, s, from, patience)
}

func newWorldWithin(t *testing.T, s subject, from time.Time, timeout time.Duration) *world {
	t.Helper()
	w := &world{World: calendars.New(func() time.Time { return from })}
	t.Cleanup(w.Close)
	to := from.AddDate(0, 0, 30)
	for _, after := range []time.Duration{3, 24, 27, 100, 400, 719} {
		w.free = append(w.free, from.Truncate(time.Hour).Add(after*time.Hour))
	}
	w.Set(func(p *calendars.Plan) {
		// One more lies beyond what is asked, and is nobody's business.
		p.Free = append(slices.Clone(w.free), to.Add(time.Hour).Truncate(time.Hour))
		p.Feed = calendars.FeedBusyExcept(w.free, half, from, to.Add(48*time.Hour))
	})
	base := w.Server().URL
	fetch := webfetch.New(webfetch.Config{
		Control: webfetch.Anywhere(), Plain: true, Timeout: timeout, MaxBytes: 256 << 10,
		RootCAs: w.Server().Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
	})
	w.provider, w.ask = s.make(base, fetch), s.ask
	w.ask.Workspace, w.ask.Meeting, w.ask.From, w.ask.To = uuid.New(), half, from, to
	if w.ask.Address != "" {
		w.ask.Address = base + w.ask.Address
	}
	return w
}

func (w *world) look(t *testing.T) (look.Answer, []time.Time, error) {
	t.Helper()
	answer, err := w.provider.FreeSlots(t.Context(), w.ask)
	return answer, slots.Within(answer.Starts, w.ask.From, w.ask.To), err
}

func each(t *testing.T, test func(t *testing.T, s subject)) {
	for _, s := range subjects() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

// moments are starts of a look that have gone wrong elsewhere: the end of a year, of February, changes of the clocks.
func moments() []time.Time {
	return []time.Time{
		time.Date(2026, 1, 7, 15, 0, 30, 0, time.UTC), time.Date(2026, 12, 30, 23, 30, 0, 0, time.UTC), time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
		time.Date(2028, 2, 29, 8, 0, 0, 0, time.UTC), time.Date(2026, 3, 7, 20, 0, 0, 0, time.UTC), time.Date(2026, 10, 24, 20, 0, 0, 0, time.UTC),
	}
}

func TestFreeTimesAreFoundWithTheFewestCalls(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s subject) {
		w := newWorld(t, s, moments()[0])
		answer, got, err := w.look(t)
		if err != nil || !slices.EqualFunc(got, w.free, time.Time.Equal) {
			t.Fatalf("found %v, %v; want %v", got, err, w.free)
		}
		if answer.Source == "" {
			t.Error("the answer does not say how it was read")
		}
		if n := len(w.Calls()); n != s.calls {
			t.Errorf("%d calls, want %d: %v", n, s.calls, w.Calls())
		}
		w.ask.Resolved = answer.Resolved
		before := len(w.Calls())
		if _, got, err = w.look(t); err != nil || len(got) != len(w.free) {
			t.Errorf("the second look: %v, %v", got, err)
		}
		if n := len(w.Calls()) - before; n != s.again {
			t.Errorf("%d calls of the second look, want %d", n, s.again)
		}
	})
}

func TestFreeTimesAtTheEdgesOfTheCalendar(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s subject) {
		for _, from := range moments() {
			w := newWorld(t, s, from)
			if _, got, err := w.look(t); err != nil || !slices.EqualFunc(got, w.free, time.Time.Equal) {
				t.Errorf("from %s: found %v, %v; want %v", from, got, err, w.free)
			}
		}
	})
}

func TestNoFreeTimesAreAnAnswer(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s subject) {
		w := newWorld(t, s, moments()[0])
		w.Set(func(p *calendars.Plan) {
			p.Free, p.Feed = nil, calendars.FeedBusyExcept(nil, half, w.ask.From, w.ask.To.AddDate(0, 0, 3))
		})
		if _, got, err := w.look(t); err != nil || len(got) != 0 {
			t.Errorf("%v, %v", got, err)
		}
	})
}

// A failure is never an empty answer: an outage must not look like a full calendar.
func TestFaultsAreTypedAndNeverEmpty(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  calendars.Fault
		kind   slots.Reason
		reason string
		retry  time.Duration
	}{
		"time-out":  {calendars.Fault{Stall: true}, slots.ReasonUnreachable, "TIMEOUT", 0},
		"slow body": {calendars.Fault{Drip: true}, slots.ReasonUnreachable, "TIMEOUT", 0},
		"cut":       {calendars.Fault{Cut: true}, slots.ReasonUnreachable, "NETWORK", 0},
		"500":       {calendars.Fault{Status: 500, Body: "{}"}, slots.ReasonUnreachable, "HTTP_500", 0},
		"503 later": {calendars.Fault{Status: 503, Header: map[string]string{"Retry-After": "17"}}, slots.ReasonUnreachable, "HTTP_503", 17 * time.Second},
		"429":       {calendars.Fault{Status: 429, Header: map[string]string{"Retry-After": "120"}}, slots.ReasonUnreachable, "PROVIDER_RATE_LIMITED", 2 * time.Minute},
		"html":      {calendars.Fault{Status: 200, Body: "<html>maintenance</html>"}, slots.ReasonUnreachable, "BAD_ANSWER", 0},
		"nothing":   {calendars.Fault{Status: 200}, slots.ReasonUnreachable, "BAD_ANSWER", 0},
		"null":      {calendars.Fault{Status: 200, Body: "null"}, slots.ReasonUnreachable, "BAD_ANSWER", 0},
		"list":      {calendars.Fault{Status: 200, Body: "[]"}, slots.ReasonUnreachable, "BAD_ANSWER", 0},
		"large":     {calendars.Fault{Status: 200, Body: strings.Repeat("x", 300<<10)}, slots.ReasonUnreachable, "BAD_ANSWER", 0},
		"redirect":  {calendars.Fault{Status: 302, Header: map[string]string{"Location": "https://127.0.0.1/"}}, slots.ReasonUnreachable, "HTTP_302", 0},
		"gone":      {calendars.Fault{Status: 404}, slots.ReasonInactive, "CALENDAR_INACTIVE", 0},
		"refused":   {calendars.Fault{Status: 400, Body: "{}"}, slots.ReasonUnreachable, "HTTP_400", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, s subject) {
				timeout := patience
				if c.fault.Stall || c.fault.Drip {
					timeout = impatience
				}
				w := newWorldWithin(t, s, moments()[0], timeout)
				w.Set(func(p *calendars.Plan) { p.Fault = &c.fault })
				_, got, err := w.look(t)
				failed, ok := errors.AsType[*look.Error](err)
				if !ok || failed.Kind != c.kind || failed.Reason != c.reason || failed.RetryAfter != c.retry || len(got) != 0 {
					t.Errorf("%d starts, %#v", len(got), err)
				}
				if text := fmt.Sprint(err); strings.Contains(text, "private-0123456789") || strings.Contains(text, calendars.Token) {
					t.Errorf("the error tells a secret: %s", text)
				}
				if c.fault.Stall || c.fault.Drip {
					return // whether the next answer comes in time is the machine's affair
				}
				w.Set(func(p *calendars.Plan) { p.Fault = nil })
				if _, got, err := w.look(t); err != nil || len(got) != len(w.free) {
					t.Errorf("after the fault: %v, %v", got, err)
				}
			})
		})
	}
}

// A time is a moment, whatever zone it is told in.
func TestTimesToldInAnotherZone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s subject) {
		for _, zone := range []string{"Asia/Tokyo", "Pacific/Honolulu"} {
			w := newWorld(t, s, moments()[0])
			w.Set(func(p *calendars.Plan) { p.Zone = zone })
			if _, got, err := w.look(t); err != nil || !slices.EqualFunc(got, w.free, time.Time.Equal) {
				t.Errorf("%s: found %v, %v; want %v", zone, got, err, w.free)
			}
		}
	})
}

func TestCalendarThatIsGone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s subject) {
		w := newWorld(t, s, moments()[0])
		w.Set(func(p *calendars.Plan) { p.Gone = true })
		_, _, err := w.look(t)
		if failed, ok := errors.AsType[*look.Error](err); !ok || failed.Kind != slots.ReasonInactive {
			t.Errorf("%v", err)
		}
	})
}

// Any length that the provider serves is served, and no other.
func TestMeetingLengths(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s subject) {
		for _, length := range []time.Duration{15 * time.Minute, 20 * time.Minute, time.Hour} {
			w := newWorld(t, s, moments()[0])
			w.Set(func(p *calendars.Plan) { p.Length = length })
			w.ask.Meeting = length
			if s.ask.Kind == calendar.GHL && !slots.Fits(length, 0) {
				// The page tells starts only: how long they are is guessed where that is usual.
				_, _, err := w.look(t)
				if failed, ok := errors.AsType[*look.Error](err); !ok || failed.Kind != slots.ReasonUnsupportedDuration || len(w.Calls()) != 0 {
					t.Errorf("%s: %v after %d calls", length, err, len(w.Calls()))
				}
				continue
			}
			if s.ask.Kind == calendar.ICalendar {
				w.ask.Hours.Step = length
				w.Set(func(p *calendars.Plan) {
					p.Feed = calendars.FeedBusyExcept(w.free, length, w.ask.From, w.ask.To.AddDate(0, 0, 3))
				})
			}
			if _, got, err := w.look(t); err != nil || len(got) != len(w.free) {
				t.Errorf("%s: %v, %v", length, got, err)
			}
			if !s.judges {
				continue
			}
			w.ask.Meeting = length + 5*time.Minute
			_, _, err := w.look(t)
			failed, ok := errors.AsType[*look.Error](err)
			if !ok || failed.Kind != slots.ReasonUnsupportedDuration || !slices.Contains(failed.Served, length) {
				t.Errorf("asked for %s of a calendar of %s: %v", w.ask.Meeting, length, err)
			}
		}
	})
}

func TestCanceledLookEndsAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s subject) {
		w := newWorld(t, s, moments()[0])
		w.Set(func(p *calendars.Plan) { p.Fault = &calendars.Fault{Stall: true} })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.provider.FreeSlots(ctx, w.ask); err == nil {
			t.Error("answered after its caller had gone")
		}
	})
}
