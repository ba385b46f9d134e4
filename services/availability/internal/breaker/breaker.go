// Package breaker decides when a calendar host that keeps failing is left alone. It is pure: the state is a row that all
// replicas share, and a host that answers has none.
package breaker

import "time"

const (
	// trip is how many failures open: in a row, or within a window of which they are at least half.
	trip   = 5
	window = time.Minute
	// The cool-down is a part of the outage's age, so that a host is asked often after a short outage, seldom after a long
	// one, and found again within a sixtieth of the time that it was away.
	part              = 60
	shortest, longest = 30 * time.Second, 30 * time.Minute
	longestOwnDemand  = longest
	maxCount          = 1 << 20
)

// State is one host. The zero value is a host that answers. All times are business time.
type State struct {
	// Failures in a row, and since when.
	Failures int
	Since    time.Time
	// Calls and Failed count what happened since Window.
	Calls, Failed int
	Window        time.Time
	// Until is when an open breaker becomes half open; zero while closed.
	Until time.Time
}

// Kind names a state.
type Kind string

// The kinds. A half-open breaker lets one look through, which finds out.
const (
	Closed   Kind = "closed"
	Open     Kind = "open"
	HalfOpen Kind = "half_open"
)

// Kind tells how it stands.
func (s State) Kind(now time.Time) Kind {
	switch {
	case s.Until.IsZero():
		return Closed
	case now.Before(s.Until):
		return Open
	default:
		return HalfOpen
	}
}

// Failure records a look that the host failed. demand is the host's own Retry-After; zero for none.
func (s State) Failure(now time.Time, demand time.Duration) State {
	if s.Kind(now) == Open {
		return s // a look that was on its way when it opened
	}
	if s.Failures == 0 {
		s.Since = now
	}
	if s.Window.IsZero() || now.Sub(s.Window) >= window {
		s.Window, s.Calls, s.Failed = now, 0, 0
	}
	s.Failures, s.Calls, s.Failed = min(s.Failures+1, maxCount), min(s.Calls+1, maxCount), min(s.Failed+1, maxCount)
	often := s.Failed >= trip && 2*s.Failed >= s.Calls
	if s.Until.IsZero() && s.Failures < trip && !often {
		return s
	}
	if s.Failures < trip && s.Window.Before(s.Since) {
		// It opens by its share of failures: the outage is as old as the window.
		s.Since = s.Window
	}
	s.Until = now.Add(max(CoolDown(now.Sub(s.Since)), min(demand, longestOwnDemand)))
	return s
}

// CoolDown is how long a host is left alone after an outage of the given age.
func CoolDown(age time.Duration) time.Duration { return min(max(age/part, shortest), longest) }

// Answer records that the host answered, whatever it said.
func (s State) Answer(now time.Time) State {
	switch s.Kind(now) {
	case Open:
		return s
	case HalfOpen:
		return State{}
	}
	if s.Failed == 0 || now.Sub(s.Window) >= window {
		return State{}
	}
	s.Failures, s.Since, s.Calls = 0, time.Time{}, min(s.Calls+1, maxCount)
	return s
}
