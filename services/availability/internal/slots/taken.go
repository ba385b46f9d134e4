package slots

import (
	"slices"
	"time"
)

// meets reports whether a meeting of a length that begins at start would overlap the span.
func (s Span) meets(start time.Time, length time.Duration) bool {
	return start.Equal(s.Start) || (start.Before(s.End) && s.Start.Before(start.Add(length)))
}

// Untaken gives the starts whose meetings overlap no taken span. The input is not changed.
func Untaken(starts []time.Time, length time.Duration, taken []Span) []time.Time {
	if len(taken) == 0 {
		return starts
	}
	return slices.DeleteFunc(slices.Clone(starts), func(start time.Time) bool {
		return slices.ContainsFunc(taken, func(s Span) bool { return s.meets(start, length) })
	})
}
