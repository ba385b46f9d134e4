// Package poll is the pure part of finding what webhooks lost: which span of time a location is read for next, when a
// location that cannot be read is left alone, when missing webhooks are an alarm, and the loss rate.
package poll

import "time"

// Settings are the constants of polling.
type Settings struct {
	// Every is the time between polls of a location.
	Every time.Duration
	// Grace is how long a webhook may take before the poller looks for its message.
	Grace time.Duration
	// Overlap is how far a poll reads back over what was read before, for messages that the provider's lists showed late.
	Overlap time.Duration
	// MaxSpan is the longest time read in one poll.
	MaxSpan time.Duration
}

// DefaultSettings are those of production.
func DefaultSettings() Settings {
	return Settings{Every: 5 * time.Minute, Grace: time.Minute, Overlap: 15 * time.Minute, MaxSpan: 6 * time.Hour}
}

const (
	minSpan = time.Minute
	// The breaker opens when at least half of five or more reads failed.
	breakerReads = 5
	maxBreaker   = time.Hour
	// silenceCount is how many messages must be found without a webhook before that is an alarm.
	silenceCount = 3
)

// State is where a location's polling stands.
type State struct {
	// Cursor: everything before it has been compared with the provider.
	Cursor time.Time
	// Span is the longest time the next poll reads.
	Span time.Duration
	// Next is when the next poll is due.
	Next time.Time
	// Last is when a poll last came to its end, Error why the newest did not, empty when it did.
	Last  time.Time
	Error string
	// Reads and FailedReads count reads since the breaker last changed.
	Reads, FailedReads int
	// BreakerEnd is until when the location is left alone; zero when closed. Trips counts openings in a row.
	BreakerEnd time.Time
	Trips      int
	// Unheard counts messages found since the newest webhook; Silent is since when that is an alarm, zero for none.
	Unheard int
	Silent  time.Time
}

// Window is the time a poll reads.
type Window struct {
	// From and To bound the messages read; Fresh is where the part begins that was not read before.
	From, Fresh, To time.Time
}

// Window gives what to read at a moment. It reports false when there is nothing yet.
func (s State) Window(now time.Time, set Settings) (Window, bool) {
	to := now.Add(-set.Grace)
	if end := s.Cursor.Add(s.span(set)); end.Before(to) {
		to = end
	}
	return Window{From: s.Cursor.Add(-set.Overlap), Fresh: s.Cursor, To: to}, to.After(s.Cursor)
}

func (s State) span(set Settings) time.Duration {
	if s.Span <= 0 || s.Span > set.MaxSpan {
		return set.MaxSpan
	}
	return max(s.Span, minSpan)
}

// Idle is the state after a poll that had nothing to read.
func (s State) Idle(now time.Time, set Settings, why string) State {
	s.Next, s.Error = now.Add(set.Every), why
	return s
}

// Done is the state after a window was read to its end: the cursor moves on, and what is still behind is read at once.
func (s State) Done(w Window, now time.Time, set Settings) State {
	s.Cursor, s.Last, s.Error, s.Trips, s.BreakerEnd = w.To, now, "", 0, time.Time{}
	s.Span = min(2*s.span(set), set.MaxSpan)
	s.Next = now.Add(set.Every)
	if w.To.Before(now.Add(-set.Grace)) {
		s.Next = now
	}
	return s
}

// TooMuch is the state after a window held more than one poll may read: half of it is read next. The shortest window is
// taken as read, so that the cursor always moves; it reports true when something may have been left out.
func (s State) TooMuch(w Window, now time.Time, set Settings) (State, bool) {
	if w.To.Sub(s.Cursor) <= minSpan {
		return s.Done(w, now, set), true
	}
	s.Span = max(w.To.Sub(s.Cursor)/2, minSpan)
	s.Next, s.Error = now, "WINDOW_HALVED"
	return s, false
}

// Refused is the state after the provider refused to list a window for a reason that does not pass by itself.
func (s State) Refused(w Window, now time.Time, set Settings) (State, bool) {
	next, skipped := s.TooMuch(w, now, set)
	if !skipped {
		next.Next = now.Add(set.Every)
	}
	next.Error = "WINDOW_REFUSED"
	return next, skipped
}

// Deferred is the state after the provider's budget was used up: not a failure, and the wait is the provider's.
func (s State) Deferred(now time.Time, wait time.Duration, set Settings) State {
	s.Next, s.Error = now.Add(max(wait, set.Every)), "RATE_LIMITED"
	return s
}

// Failed is the state after a read failed. It reports true when that opened the breaker. A location whose breaker was just
// open needs one failure only.
func (s State) Failed(now time.Time, set Settings, why string) (State, bool) {
	s.Next, s.Error = now.Add(set.Every), why
	if s.Trips == 0 && (s.FailedReads < breakerReads || 2*s.FailedReads < s.Reads) {
		return s, false
	}
	s.Trips++
	wait := set.Every << min(s.Trips, 10)
	s.BreakerEnd = now.Add(min(wait, max(maxBreaker, set.Every)))
	s.Next, s.Reads, s.FailedReads = s.BreakerEnd, 0, 0
	return s, true
}

// Counted adds reads. Old ones fade, so that the breaker judges what is happening now.
func (s State) Counted(reads, failed int) State {
	s.Reads, s.FailedReads = s.Reads+reads, s.FailedReads+failed
	if s.Reads > 10*breakerReads {
		s.Reads, s.FailedReads = s.Reads/2, s.FailedReads/2
	}
	return s
}

// Heard takes what was found, and whether a webhook came since the last poll. It reports a change of the alarm.
func (s State) Heard(found int, webhook bool, now time.Time) (State, bool) {
	was := s.Silent
	if webhook {
		s.Unheard, s.Silent = 0, time.Time{}
	} else if s.Unheard += found; s.Unheard >= silenceCount && s.Silent.IsZero() {
		s.Silent = now
	}
	return s, was.IsZero() != s.Silent.IsZero()
}

// Loss is the share of messages that no webhook brought: found by the poller, less those whose webhook came after all.
// It is 0 without messages.
func Loss(delivered, found, late int) float64 {
	if delivered+found <= 0 {
		return 0
	}
	return float64(max(found-late, 0)) / float64(delivered+found)
}
