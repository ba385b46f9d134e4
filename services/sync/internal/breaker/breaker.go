// Package breaker decides when sends to a provider that keeps failing are held back. It is pure: the state is a row that all
// replicas share, and is changed in the transactions that claim and settle sends, so that it costs no commit of its own.
//
// Failures add to a score and answers take from it; at the limit the breaker opens for a while that doubles. When that is
// over it is half open: one send at a time, over all replicas, finds out. A refusal is an answer and never counts as a failure.
package breaker

import "time"

const (
	firstWait = 10 * time.Second
	longest   = 5 * time.Minute
)

// State is one breaker. The zero value is closed. Its times are the database's.
type State struct {
	// Score is how many failures are not yet made up for by answers.
	Score int
	// Opens is how often it opened in a row.
	Opens int
	// Until is when an open breaker becomes half open; zero while closed.
	Until time.Time
	// ProbeUntil is how long the send that finds out may take.
	ProbeUntil time.Time
}

// Kind names a state.
type Kind string

// Kinds of states.
const (
	Closed   Kind = "CLOSED"
	Open     Kind = "OPEN"
	HalfOpen Kind = "HALF_OPEN"
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

// Enter asks whether a send may pass. When it may not, it tells how long to wait. A send that passes a half-open breaker is
// its probe for the length of lease.
func (s State) Enter(now time.Time, lease time.Duration) (State, time.Duration) {
	switch s.Kind(now) {
	case Closed:
		return s, 0
	case Open:
		return s, s.Until.Sub(now)
	}
	if now.Before(s.ProbeUntil) {
		return s, min(s.ProbeUntil.Sub(now), firstWait)
	}
	s.ProbeUntil = now.Add(lease)
	return s, 0
}

// Failed records a call without an answer that can be trusted. limit is the score that opens.
func (s State) Failed(now time.Time, limit int) State {
	switch s.Kind(now) {
	case Open:
		return s // a call that was on its way when it opened
	case Closed:
		if s.Score++; s.Score < limit {
			return s
		}
	}
	wait := min(firstWait<<min(s.Opens, 10), longest)
	return State{Score: s.Score, Opens: s.Opens + 1, Until: now.Add(wait)}
}

// Answered records an answer, whatever it says.
func (s State) Answered(now time.Time) State {
	switch s.Kind(now) {
	case Open:
		return s
	case HalfOpen:
		return State{}
	}
	s.Score = max(s.Score-1, 0)
	return s
}

// Left records that a call that had passed was not made.
func (s State) Left() State {
	s.ProbeUntil = time.Time{}
	return s
}
