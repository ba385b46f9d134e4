package slots

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/relance/relance/services/availability/internal/calendar"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	if !strings.HasSuffix(text, "Z") {
		text += ":00:00Z"
	}
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func times(t *testing.T, texts ...string) []time.Time {
	t.Helper()
	all := make([]time.Time, 0, len(texts))
	for _, text := range texts {
		all = append(all, at(t, text))
	}
	return all
}

// The vectors were obtained by running the original program's functions.
func TestDistributeVectors(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-01-07T15")
	starts := times(t, "2026-01-07T14", "2026-01-07T16", "2026-01-07T19", "2026-01-08T15", "2026-01-08T20",
		"2026-01-09T15", "2026-01-20T15")
	slices.Reverse(starts)
	const newYork = "America/New_York"
	for name, c := range map[string]struct {
		choice Choice
		want   []time.Time
	}{
		"plain": {Choice{Zone: newYork}, times(t, "2026-01-07T16", "2026-01-08T20")},
		"offered twice": {
			Choice{Zone: newYork, OfferedCounts: map[time.Time]int{at(t, "2026-01-07T16"): 2}},
			times(t, "2026-01-08T15", "2026-01-07T19"),
		},
		"exclude": {
			Choice{Zone: newYork, Exclude: times(t, "2026-01-07T16", "2026-01-08T20")},
			times(t, "2026-01-08T15", "2026-01-07T19"),
		},
		"start after":  {Choice{Zone: newYork, StartAfter: at(t, "2026-01-10T00")}, times(t, "2026-01-20T15")},
		"invalid zone": {Choice{Zone: "Mars/X"}, nil},
		"no zone":      {Choice{}, nil},
		"local zone":   {Choice{Zone: "Local"}, nil},
	} {
		c.choice.Now = now
		if got := Distribute(starts, c.choice); !slices.EqualFunc(got, c.want, time.Time.Equal) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestDistributeWakingHours(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-01-07T15")
	for name, c := range map[string]struct {
		zone         string
		starts, want []time.Time
	}{
		"one left": {
			"Australia/Sydney",
			times(t, "2026-01-07T16", "2026-01-07T19", "2026-01-08T03", "2026-01-08T15"), times(t, "2026-01-08T03"),
		},
		"none left": {
			"Asia/Tokyo", times(t, "2026-01-07T16", "2026-01-07T19"), times(t, "2026-01-07T16", "2026-01-07T19"),
		},
	} {
		got := Distribute(c.starts, Choice{Zone: c.zone, Now: now, Waking: true})
		if !slices.EqualFunc(got, c.want, time.Time.Equal) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ start, zone, want string }{
		{"2026-01-07T14:30:00Z", "America/New_York", "9:30 AM EST on Wed, Jan 7"},
		{"2026-07-08T20:00:00Z", "America/Los_Angeles", "1:00 PM PDT on Wed, Jul 8"},
		{"2026-01-08T15:00:00Z", "Europe/London", "3:00 PM GMT on Thu, Jan 8"},
		{"2026-07-08T15:00:00Z", "Europe/London", "4:00 PM GMT+1 on Wed, Jul 8"},
		{"2026-07-08T15:00:00Z", "Asia/Dubai", "7:00 PM GMT+4 on Wed, Jul 8"},
		{"2026-01-08T15:00:00Z", "America/Phoenix", "8:00 AM MST on Thu, Jan 8"},
		{"2026-01-08T00:00:00Z", "UTC", "12:00 AM UTC on Thu, Jan 8"},
		{"2026-01-08T00:00:00Z", "Etc/UTC", "12:00 AM UTC on Thu, Jan 8"},
		{"2026-01-08T00:00:00Z", "Asia/Shanghai", "8:00 AM GMT+8 on Thu, Jan 8"},
		{"2026-01-08T00:00:00Z", "Asia/Kolkata", "5:30 AM GMT+5:30 on Thu, Jan 8"},
		{"2026-01-08T12:00:00Z", "America/Sao_Paulo", "9:00 AM GMT-3 on Thu, Jan 8"},
		{"2026-01-08T12:00:00Z", "America/St_Johns", "8:30 AM GMT-3:30 on Thu, Jan 8"},
		{"2026-01-08T22:00:00Z", "Pacific/Honolulu", "12:00 PM HST on Thu, Jan 8"},
		{"2026-07-08T20:00:00Z", "America/Anchorage", "12:00 PM AKDT on Wed, Jul 8"},
	} {
		zone, err := Zone(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		got := Label(at(t, c.start), zone)
		if got != c.want || strings.ContainsRune(got, '\u202f') {
			t.Errorf("%s %s: %q, want %q", c.start, c.zone, got, c.want)
		}
	}
	zone, err := Zone("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	if got := YourTimeLabel(at(t, "2026-01-07T14:30:00Z"), zone); got != "9:30 AM (your time) on Wed, Jan 7" {
		t.Errorf("your time: %q", got)
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	const half = 30 * time.Minute
	for _, c := range []struct {
		name      string
		has       bool
		kind      calendar.Kind
		duration  time.Duration
		reason    Reason
		unreached bool
		count     int
		want      State
	}{
		{"no link", false, "", half, ReasonNoDefaultCalendar, false, 0, StateUnconfigured},
		{"odd length", true, calendar.GHL, 25 * time.Minute, ReasonNone, false, 1, StateOK},
		{"no length", true, calendar.GHL, 0, ReasonUnsupportedDuration, false, 0, StateUnconfigured},
		{"half a minute", true, calendar.GHL, half + time.Second, ReasonUnsupportedDuration, false, 0, StateUnconfigured},
		{"kind", true, "other", half, ReasonUnsupportedCalendar, false, 0, StateUnconfigured},
		{"ok", true, calendar.GHL, half, ReasonNone, false, 3, StateOK},
		{"empty", true, calendar.GHL, 2 * time.Hour, ReasonNone, false, 0, StateEmpty},
		{"unreachable", true, calendar.GHL, half, ReasonNone, true, 3, StateUnreachable},
	} {
		reason := Check(c.has, c.kind, c.duration)
		if reason != c.reason {
			t.Errorf("%s: reason %q, want %q", c.name, reason, c.reason)
		}
		if c.unreached {
			reason = ReasonUnreachable
		}
		if got := Of(reason, c.count); got != c.want {
			t.Errorf("%s: state %q, want %q", c.name, got, c.want)
		}
	}
}

func TestFits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		meeting, slot int
		want          bool
	}{{30, 30, true}, {25, 30, true}, {35, 30, false}, {50, 50, true}, {60, 30, false}, {30, 0, true}, {90, 0, true}, {25, 0, false}, {480, 0, false}} {
		if got := Fits(time.Duration(c.meeting)*time.Minute, time.Duration(c.slot)*time.Minute); got != c.want {
			t.Errorf("%d minutes in slots of %d (0: not known): %v", c.meeting, c.slot, got)
		}
	}
}

func TestWithin(t *testing.T) {
	t.Parallel()
	starts := times(t, "2026-01-09T15", "2026-01-07T14", "2026-01-08T15", "2026-01-08T15", "2026-01-07T15")
	got := Within(starts, at(t, "2026-01-07T15"), at(t, "2026-01-09T15"))
	if want := times(t, "2026-01-07T15", "2026-01-08T15"); !slices.EqualFunc(got, want, time.Time.Equal) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	timing := DefaultTiming()
	for _, c := range []struct {
		failures int
		jitter   float64
		atLeast  time.Duration
		want     time.Duration
	}{
		{1, 0, 0, time.Minute},
		{2, 0, 0, 2 * time.Minute},
		{3, 1, 0, 2 * time.Minute},
		{7, 0, 0, time.Hour},
		{math.MaxInt32, 0, 0, time.Hour},
		{1, 0, 10 * time.Minute, 10 * time.Minute},
	} {
		if got := timing.Backoff(c.failures, c.jitter, c.atLeast); got != c.want {
			t.Errorf("%d failures, jitter %v: %v, want %v", c.failures, c.jitter, got, c.want)
		}
	}
	if timing.Rest(ReasonNoDefaultCalendar) != 24*time.Hour || timing.Rest(ReasonUnsupportedDuration) != 2*time.Hour {
		t.Error("rests of refused workspaces")
	}
}

func TestReceiptAddsUp(t *testing.T) {
	t.Parallel()
	var r Receipt
	for i := range 500 {
		r.Count(Verdict(i%5), Failure{Workspace: "w", Reason: "x"})
	}
	if r.Checked() != 500 || r.Errors != 100 || len(r.Details) != 100 {
		t.Errorf("receipt %+v", r)
	}
	r.Count(VerdictError, Failure{})
	if len(r.Details) != maxDetails {
		t.Error("details are not bounded")
	}
}
