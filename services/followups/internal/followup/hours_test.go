package followup

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func at(t testing.TB, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.UTC()
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := Zone(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestBusinessHoursVectors(t *testing.T) {
	t.Parallel()
	overnight := Hours{Start: 22 * 60, End: 6 * 60, Days: []time.Weekday{0, 1, 2, 3, 4, 5, 6}}
	weeknights := Hours{Start: 22 * 60, End: 6 * 60, Days: DefaultHours().Days}
	tests := []struct {
		name, zone, now string
		hours           Hours
		next            string // empty: open
	}{
		{"a minute early", "America/New_York", "2026-01-07T13:59:00Z", DefaultHours(), "2026-01-07T14:00:00Z"},
		{"first minute", "America/New_York", "2026-01-07T14:00:00Z", DefaultHours(), ""},
		{"last minute counts", "America/New_York", "2026-01-07T22:00:30Z", DefaultHours(), ""},
		{"after it", "America/New_York", "2026-01-07T22:01:00Z", DefaultHours(), "2026-01-08T14:00:00Z"},
		{"Friday evening", "America/New_York", "2026-01-09T23:00:00Z", DefaultHours(), "2026-01-12T14:00:00Z"},
		{"Saturday", "America/New_York", "2026-01-10T16:00:00Z", DefaultHours(), "2026-01-12T14:00:00Z"},
		{"Sunday", "America/New_York", "2026-01-11T16:00:00Z", DefaultHours(), "2026-01-12T14:00:00Z"},
		{"before summer time", "America/New_York", "2026-03-06T23:00:00Z", DefaultHours(), "2026-03-09T13:00:00Z"},
		{"before winter time", "America/New_York", "2026-10-30T23:00:00Z", DefaultHours(), "2026-11-02T14:00:00Z"},
		{"overnight, small hours", "UTC", "2026-01-07T03:00:00Z", overnight, ""},
		{"overnight, late", "UTC", "2026-01-07T23:00:00Z", overnight, ""},
		{"overnight, day", "UTC", "2026-01-07T12:00:00Z", overnight, "2026-01-07T22:00:00Z"},
		{"Friday's night reaches into Saturday", "UTC", "2026-01-10T05:59:00Z", weeknights, ""},
		{"Sunday's night does not open", "UTC", "2026-01-12T05:00:00Z", weeknights, "2026-01-12T22:00:00Z"},
		{
			"start in a gap opens after it", "America/New_York", "2026-03-08T06:00:00Z",
			Hours{Start: 150, End: 300, Days: []time.Weekday{time.Sunday}},
			"2026-03-08T07:00:00Z",
		},
		{
			"a window swallowed by a gap waits a week", "America/New_York", "2026-03-08T06:00:00Z",
			Hours{Start: 130, End: 170, Days: []time.Weekday{time.Sunday}},
			"2026-03-15T06:10:00Z",
		},
		{
			"midnight gap of Santiago", "America/Santiago", "2026-09-06T02:00:00Z",
			Hours{Start: 0, End: 120, Days: []time.Weekday{time.Sunday}},
			"2026-09-06T04:00:00Z",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			z, now := zone(t, tt.zone), at(t, tt.now)
			if open := tt.hours.Open(now, z); open != (tt.next == "") {
				t.Fatalf("open = %v", open)
			}
			if tt.next == "" {
				return
			}
			next, ok := tt.hours.NextOpening(now, z)
			if !ok || !next.Equal(at(t, tt.next)) {
				t.Fatalf("next = %v, %v; want %s", next, ok, tt.next)
			}
		})
	}
	if _, ok := (Hours{Start: 0, End: 1439}).NextOpening(at(t, "2026-01-07T00:00:00Z"), time.UTC); ok {
		t.Fatal("a window without days opened")
	}
	for _, name := range []string{"", "Local", "Mars/X"} {
		if _, err := Zone(name); err == nil {
			t.Fatalf("zone %q was accepted", name)
		}
	}
}

func TestParseClock(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "9:00", "24:00", "09:60", "+9:00", "ab:cd", "09:000", "09-00"} {
		if got, err := ParseClock(bad); err == nil {
			t.Fatalf("ParseClock(%q) = %d", bad, got)
		}
	}
	if got, err := ParseClock("17:05"); err != nil || got != 1025 || FormatClock(got) != "17:05" {
		t.Fatalf("ParseClock = %d, %v", got, err)
	}
}

func TestDueAcrossClockChanges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, zone, base string
		days, minutes    int
		want             string
	}{
		{"at once", "America/New_York", "2026-01-07T15:00:00Z", 0, 0, "2026-01-07T15:00:00Z"},
		{"minutes", "America/New_York", "2026-01-07T15:00:00Z", 0, 58, "2026-01-07T15:58:00Z"},
		{"three days", "America/New_York", "2026-01-07T15:00:00Z", 3, 0, "2026-01-10T15:00:00Z"},
		{"over spring", "America/New_York", "2026-03-07T15:00:00Z", 2, 0, "2026-03-09T14:00:00Z"},
		{"over autumn", "America/New_York", "2026-10-31T14:00:00Z", 2, 0, "2026-11-02T15:00:00Z"},
		{"into the gap goes forward", "America/New_York", "2026-03-07T07:30:00Z", 1, 0, "2026-03-08T07:00:00Z"},
		{"midnight gap stays on its day", "America/Santiago", "2026-09-05T04:00:00Z", 1, 0, "2026-09-06T04:00:00Z"},
		{"fold takes the first", "America/New_York", "2026-10-31T05:30:00Z", 1, 0, "2026-11-01T05:30:00Z"},
		{"a day that does not exist", "Pacific/Apia", "2011-12-29T22:00:00Z", 1, 0, "2011-12-30T10:00:00Z"},
		{"month end", "UTC", "2026-01-31T12:00:00Z", 1, 1, "2026-02-01T12:01:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := Due(Anchors{Previous: at(t, tt.base)}, Step{DelayDays: tt.days, DelayMinutes: tt.minutes}, zone(t, tt.zone))
			if !got.Equal(at(t, tt.want)) {
				t.Fatalf("due = %s, want %s", got.Format(time.RFC3339), tt.want)
			}
		})
	}
}

func zones() []string {
	return []string{
		"UTC", "America/New_York", "America/Santiago", "Europe/London", "Australia/Lord_Howe", "Asia/Kathmandu",
		"Pacific/Apia", "Africa/Casablanca", "America/Havana", "Asia/Tehran", "Pacific/Chatham",
	}
}

// 10,000 cases each (rapid's default is 100; see the loop): a step is never early and an opening is always open.
func TestScheduleProperties(t *testing.T) {
	t.Parallel()
	for range 100 {
		rapid.Check(t, func(rt *rapid.T) {
			z := zone(t, rapid.SampledFrom(zones()).Draw(rt, "zone"))
			now := time.Unix(rapid.Int64Range(1_700_000_000, 2_000_000_000).Draw(rt, "now"), 0).UTC()
			step := Step{DelayDays: rapid.IntRange(0, 30).Draw(rt, "days"), DelayMinutes: rapid.IntRange(0, 1439).Draw(rt, "minutes")}
			due := Due(Anchors{Start: now, Previous: now}, step, z)
			early := localAsUTC(now.In(z)).AddDate(0, 0, step.DelayDays)
			if due.Before(now) || (step.DelayMinutes == 0 && localAsUTC(due.In(z)).Before(early)) {
				rt.Fatalf("early: %s after %s + %+v", due, now, step)
			}
			hours := Hours{
				Start: rapid.IntRange(0, 1439).Draw(rt, "start"), End: rapid.IntRange(0, 1439).Draw(rt, "end"),
				Days: []time.Weekday{time.Weekday(rapid.IntRange(0, 6).Draw(rt, "day"))},
			}
			next, ok := hours.NextOpening(due, z)
			if !ok || next.Before(due) || !hours.Open(next, z) {
				rt.Fatalf("opening %v (%v) of %+v after %s in %s", next, ok, hours, due, z)
			}
		})
	}
}
