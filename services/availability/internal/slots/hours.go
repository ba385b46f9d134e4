package slots

import (
	"slices"
	"time"
)

// Hours are working hours, for calendars that tell only when somebody is busy.
type Hours struct {
	// Zone is the IANA zone of the hours.
	Zone string
	// Days are the days with hours; Start and End are minutes after midnight, Start < End ≤ 1440.
	Days       []time.Weekday
	Start, End int
	// Step is the distance between starts; zero means the length of a meeting.
	Step time.Duration
}

// Set reports whether there are any hours.
func (h Hours) Set() bool { return len(h.Days) > 0 && h.End > h.Start }

// Span is a time in which somebody is busy, [Start, End).
type Span struct {
	// Start and End bound it.
	Start, End time.Time
}

// Free gives the starts in [from, to) at which a meeting fits into the working hours and touches no busy time. Starts
// count from the opening of each day by the wall clock, so that they stay at the same hours over a change of the clocks;
// an hour that a day does not have gives no start, and one that it has twice is used once.
func (h Hours) Free(busy []Span, meeting time.Duration, from, to time.Time) ([]time.Time, error) {
	zone, err := Zone(h.Zone)
	if err != nil {
		return nil, err
	}
	step := h.Step
	if step <= 0 {
		step = meeting
	}
	if step < time.Minute || meeting <= 0 {
		return nil, nil
	}
	taken := merge(busy)
	var starts []time.Time
	// Days are counted at noon, an hour that no change of the clocks takes away.
	first := from.In(zone)
	for n := 0; ; n++ {
		day := time.Date(first.Year(), first.Month(), first.Day()+n, 12, 0, 0, 0, zone)
		if day.Add(-24 * time.Hour).After(to) {
			return starts, nil
		}
		if !slices.Contains(h.Days, day.Weekday()) {
			continue
		}
		for at := h.Start; at+int(meeting/time.Minute) <= h.End; at += int(step / time.Minute) {
			start := time.Date(day.Year(), day.Month(), day.Day(), 0, at, 0, 0, zone)
			if start.Hour()*60+start.Minute() != at || start.Before(from) || !start.Before(to) {
				continue
			}
			if !touches(taken, start, start.Add(meeting)) {
				starts = append(starts, start.UTC())
			}
		}
	}
}

// merge sorts spans and joins those that touch.
func merge(spans []Span) []Span {
	sorted := slices.SortedFunc(slices.Values(spans), func(a, b Span) int { return a.Start.Compare(b.Start) })
	out := sorted[:0]
	for _, span := range sorted {
		if !span.End.After(span.Start) {
			continue
		}
		if n := len(out); n > 0 && !span.Start.After(out[n-1].End) {
			if span.End.After(out[n-1].End) {
				out[n-1].End = span.End
			}
			continue
		}
		out = append(out, span)
	}
	return out
}

// touches reports whether [start, end) overlaps one of the merged spans.
func touches(merged []Span, start, end time.Time) bool {
	i, _ := slices.BinarySearchFunc(merged, start, func(s Span, t time.Time) int {
		if s.End.After(t) {
			return 1
		}
		return -1
	})
	return i < len(merged) && merged[i].Start.Before(end)
}
