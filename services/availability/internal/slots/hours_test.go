package slots

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// zonesWithEdges have gaps and folds of an hour, half an hour and at midnight, and odd offsets.
func zonesWithEdges() []string {
	return []string{
		"UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu", "Africa/Cairo",
		"Pacific/Apia", "America/St_Johns", "Asia/Beirut",
	}
}

// TestFreeAgainstEveryMinute compares Free with a walk over every minute of the window that knows no rule but the wall
// clock.
func TestFreeAgainstEveryMinute(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(zonesWithEdges()).Draw(t, "zone")
		zone, err := Zone(name)
		if err != nil {
			t.Fatal(err)
		}
		from := time.Date(2026, time.Month(rapid.IntRange(1, 12).Draw(t, "month")), rapid.IntRange(1, 31).Draw(t, "day"), 0, rapid.IntRange(0, 1439).Draw(t, "minute"), 0, 0, time.UTC)
		to := from.Add(time.Duration(rapid.IntRange(1, 4*24*60).Draw(t, "minutes")) * time.Minute)
		hours := Hours{
			Zone: name, Start: rapid.IntRange(0, 24).Draw(t, "start") * 30, Step: time.Duration(rapid.SampledFrom([]int{0, 15, 30, 45}).Draw(t, "step")) * time.Minute,
			Days: rapid.SliceOfNDistinct(rapid.SampledFrom([]time.Weekday{0, 1, 2, 3, 4, 5, 6}), 1, 7, rapid.ID[time.Weekday]).Draw(t, "days"),
		}
		hours.End = hours.Start + rapid.IntRange(1, 24).Draw(t, "length")*30
		hours.End = min(hours.End, 24*60)
		if !hours.Set() {
			return
		}
		meeting := time.Duration(rapid.SampledFrom([]int{15, 30, 60}).Draw(t, "meeting")) * time.Minute
		var busy []Span
		for range rapid.IntRange(0, 4).Draw(t, "busy") {
			start := from.Add(time.Duration(rapid.IntRange(-600, 4*24*60).Draw(t, "at")) * time.Minute)
			busy = append(busy, Span{start, start.Add(time.Duration(rapid.IntRange(1, 900).Draw(t, "for")) * time.Minute)})
		}
		got, err := hours.Free(busy, meeting, from, to)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[time.Time]bool{}
		for _, start := range got {
			local := start.In(zone)
			minute := local.Hour()*60 + local.Minute()
			step := hours.Step
			if step == 0 {
				step = meeting
			}
			inside := minute >= hours.Start && minute+int(meeting.Minutes()) <= hours.End && (minute-hours.Start)%int(step.Minutes()) == 0
			if !inside || !slices.Contains(hours.Days, local.Weekday()) || start.Before(from) || !start.Before(to) || seen[start] || clashes(busy, start, meeting) {
				t.Fatalf("%s (%s) is no start of %+v", start, local, hours)
			}
			seen[start] = true
		}
		for at := from; at.Before(to); at = at.Add(time.Minute) {
			if expected(hours, zone, at, meeting) && !clashes(busy, at, meeting) && !seen[at] && !twin(at, zone) {
				t.Fatalf("%s (%s) is missing of %+v", at, at.In(zone), hours)
			}
		}
	})
}

func expected(h Hours, zone *time.Location, at time.Time, meeting time.Duration) bool {
	local := at.In(zone)
	minute := local.Hour()*60 + local.Minute()
	step := h.Step
	if step == 0 {
		step = meeting
	}
	return local.Second() == 0 && minute >= h.Start && minute+int(meeting.Minutes()) <= h.End && (minute-h.Start)%int(step.Minutes()) == 0 &&
		slices.Contains(h.Days, local.Weekday())
}

// twin reports whether the same wall clock time shortly before or after is used, or taken: one that a day has twice is
// used once.
func twin(at time.Time, zone *time.Location) bool {
	wall := func(t time.Time) string { return t.In(zone).Format("2006-01-02T15:04") }
	for _, shift := range []time.Duration{time.Hour, 30 * time.Minute, -time.Hour, -30 * time.Minute} {
		if wall(at.Add(shift)) == wall(at) {
			return true
		}
	}
	return false
}

func clashes(busy []Span, start time.Time, meeting time.Duration) bool {
	return slices.ContainsFunc(busy, func(s Span) bool { return s.Start.Before(start.Add(meeting)) && s.End.After(start) })
}

func TestHoursOfTheDaysWhenTheClocksChange(t *testing.T) {
	t.Parallel()
	hours := Hours{Zone: "America/New_York", Days: []time.Weekday{time.Sunday}, Start: 60, End: 240, Step: time.Hour}
	for date, want := range map[string][]string{
		// 2:00 does not exist; 1:00 exists twice and is used once.
		"2026-03-08T00:00:00Z": {"06:00", "07:00"},
		"2026-11-01T00:00:00Z": {"05:00", "07:00", "08:00"},
		"2026-06-07T00:00:00Z": {"05:00", "06:00", "07:00"},
	} {
		from := at(t, date)
		got, err := hours.Free(nil, time.Hour, from, from.Add(24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		var text []string
		for _, start := range got {
			text = append(text, start.Format("15:04"))
		}
		if !slices.Equal(text, want) {
			t.Errorf("%s: %v, want %v", date, text, want)
		}
	}
}
