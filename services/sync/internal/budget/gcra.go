// Package budget shares a provider's rate limit over all replicas: the rule itself, which is pure (this file), and the
// limiter that leases permits from it (limiter.go). A permit lets one call leave before its end; whatever the replicas
// do with the permits, no sliding window at the provider holds more calls than its limit.
//
// The rule is the generic cell rate algorithm (GCRA) with room for late use. Permits are granted at a burst of B and one
// more each interval I. A permit granted at t is used in [t, t+L], since it ends at t+L, and the call arrives within D of
// its use. The calls that arrive in a window of length T were therefore granted in a span of at most T+L+D, and GCRA
// grants at most B + (T+L+D)/I in such a span. I is chosen so that this stays below limit+1.
package budget

import "time"

// Class is what a call is for. The order is that of their claims on the budget.
type Class int

// Classes of calls.
const (
	// Interactive is a send that a person waits for. It may use the whole budget.
	Interactive Class = iota
	// Automated is a send of a sequence. It leaves a reserve for interactive sends.
	Automated
	// Read is everything else: history, contacts, slots, reconciling. At most 30 % of the budget, beside the reserve.
	Read
	// Bulk is the import of history. It is of the reads, and leaves a part of their burst to the others, so that an import of
	// a whole workspace does not hold back the looks that settle sends.
	Bulk
)

// String is the class's name in metrics.
func (c Class) String() string { return [...]string{"interactive", "automated", "read", "bulk"}[c] }

// Window names which of a provider's limits is used up; the names are the API's.
type Window string

// Windows.
const (
	Burst Window = "burst"
	Daily Window = "daily"
)

// Shares of the budget.
const (
	burstShare   = 5          // B is a fifth of the limit
	reserveShare = 5          // a fifth of B is kept for interactive sends
	readPercent  = 30         // of the limit
	bulkShare    = 3          // a third of the reads' burst is kept from bulk reads
	lifeShare    = 20         // L is a twentieth of the interval
	transitShare = 10         // D is a tenth of the interval
	dailyReads   = 10         // reads stop at a tenth of the day's quota
	dailySends   = 50         // automated sends stop at a fiftieth of it
	dailyFresh   = 1          // hours for which a daily count is believed
	maxLimit     = 10_000_000 // more is nonsense in a header
)

// Limit is what a provider allows per sliding window.
type Limit struct {
	// Calls is how many, at least 1.
	Calls int
	// Interval is the window's length, at least a millisecond.
	Interval time.Duration
}

// Valid reports whether the limit can be worked with.
func (l Limit) Valid() bool {
	return l.Calls >= 1 && l.Calls <= maxLimit && l.Interval >= time.Millisecond && l.Interval <= 24*time.Hour
}

// Life is how long a permit can be used (L).
func (l Limit) Life() time.Duration { return l.Interval / lifeShare }

// Transit is how long after its use a call is assumed to arrive at the latest (D).
func (l Limit) Transit() time.Duration { return l.Interval / transitShare }

// rule is one GCRA: a burst, and the interval between permits.
type rule struct {
	burst int
	every time.Duration
}

func (l Limit) rule(calls, burst int) rule {
	span := l.Interval + l.Life() + l.Transit()
	// Strictly more than span/(calls+1-burst), so that burst + span/every is below calls+1; whole microseconds, as PostgreSQL
	// keeps them, so that storing a time does not shorten it.
	return rule{burst: burst, every: (span / time.Duration(calls+1-burst)).Truncate(time.Microsecond) + time.Microsecond}
}

func (l Limit) all() rule { return l.rule(l.Calls, max(1, l.Calls/burstShare)) }

func (l Limit) reads() rule {
	calls := max(1, l.Calls*readPercent/100)
	return l.rule(calls, max(1, calls/burstShare))
}

// reserve is how many permits of the burst only interactive sends may take.
func (l Limit) reserve() int { return l.all().burst / reserveShare }

// State is one budget as stored: a row per provider, app and location. Its times are the database's.
type State struct {
	Limit Limit
	// TAT and ReadTAT are the theoretical arrival times of GCRA, for all calls and for reads.
	TAT, ReadTAT time.Time
	// HoldUntil stops every call until then; HoldWindow says why.
	HoldUntil  time.Time
	HoldWindow Window
	// DailyLimit and DailyLeft are the provider's daily count as of DailyAt; a zero DailyAt means not known.
	DailyLimit, DailyLeft int
	DailyAt               time.Time
}

// Grant is what a request for permits gets.
type Grant struct {
	// Permits is how many, possibly fewer than asked for.
	Permits int
	// Window and Retry tell what is used up and when asking again makes sense, when Permits is 0.
	Window Window
	Retry  time.Duration
}

// Take asks for up to n permits at a moment and gives the state after it.
func (s State) Take(class Class, n int, now time.Time) (State, Grant) {
	if now.Before(s.HoldUntil) {
		return s, Grant{Window: s.HoldWindow, Retry: s.HoldUntil.Sub(now)}
	}
	if s.dailyStop(class, now) {
		return s, Grant{Window: Daily, Retry: dailyFresh * time.Hour}
	}
	all, kept := s.Limit.all(), 0
	if class != Interactive {
		kept = s.Limit.reserve()
	}
	got := min(n, all.room(s.TAT, kept, now))
	wait := all.wait(s.TAT, kept, now)
	reads, reading := s.Limit.reads(), class == Read || class == Bulk
	if reading {
		spared := 0
		if class == Bulk {
			spared = reads.burst / bulkShare
		}
		got = min(got, reads.room(s.ReadTAT, spared, now))
		wait = max(wait, reads.wait(s.ReadTAT, spared, now))
	}
	if got <= 0 {
		return s, Grant{Window: Burst, Retry: max(wait, time.Millisecond)}
	}
	s.TAT = all.after(s.TAT, got, now)
	if reading {
		s.ReadTAT = reads.after(s.ReadTAT, got, now)
	}
	return s, Grant{Permits: got}
}

// room is how many permits conform at a moment when kept of the burst are out of reach.
func (r rule) room(tat time.Time, kept int, now time.Time) int {
	free := time.Duration(r.burst-kept)*r.every - max(tat.Sub(now), 0)
	if free < 0 {
		return 0
	}
	return int(free / r.every)
}

// wait is how long until one permit conforms.
func (r rule) wait(tat time.Time, kept int, now time.Time) time.Duration {
	return max(tat.Sub(now)+r.every-time.Duration(r.burst-kept)*r.every, 0)
}

func (r rule) after(tat time.Time, n int, now time.Time) time.Time {
	if tat.Before(now) {
		tat = now
	}
	return tat.Add(time.Duration(n) * r.every)
}

// dailyStop keeps what is left of the day for what matters more. A count that is old is not believed: then one call finds
// out how it stands.
func (s State) dailyStop(class Class, now time.Time) bool {
	if s.DailyAt.IsZero() || s.DailyLimit <= 0 || now.Sub(s.DailyAt) >= dailyFresh*time.Hour {
		return false
	}
	switch class {
	case Read, Bulk:
		return s.DailyLeft <= s.DailyLimit/dailyReads
	case Automated:
		return s.DailyLeft <= s.DailyLimit/dailySends
	default:
		return s.DailyLeft <= 0
	}
}

// Learn is what the provider's answers said since the last time. Zero parts say nothing.
type Learn struct {
	// Limit is the limit as the provider names it.
	Limit Limit
	// DailyLimit and DailyLeft are its daily count; a DailyLimit of 0 says nothing.
	DailyLimit, DailyLeft int
	// Hold stops all calls for that long, for the reason HoldWindow.
	Hold       time.Duration
	HoldWindow Window
	// Drained empties the burst: the provider counts more calls than we know of, so others use the location too.
	Drained bool
}

// Empty reports whether there is nothing to store.
func (l Learn) Empty() bool { return l == Learn{} }

// Apply gives the state after what was learned.
func (s State) Apply(l Learn, now time.Time) State {
	if l.Limit.Valid() && l.Limit != s.Limit {
		lower := float64(l.Limit.Calls)*float64(s.Limit.Interval) < float64(s.Limit.Calls)*float64(l.Limit.Interval)
		s.Limit = l.Limit
		l.Drained = l.Drained || lower
	}
	if l.DailyLimit > 0 {
		s.DailyLimit, s.DailyLeft, s.DailyAt = l.DailyLimit, max(l.DailyLeft, 0), now
	}
	if l.Drained {
		all := s.Limit.all()
		if empty := now.Add(time.Duration(all.burst) * all.every); s.TAT.Before(empty) {
			s.TAT = empty
		}
	}
	if until := now.Add(l.Hold); l.Hold > 0 && until.After(s.HoldUntil) {
		s.HoldUntil, s.HoldWindow = until, l.HoldWindow
	}
	return s
}

// merge joins two lessons, the later one second.
func (l Learn) merge(later Learn) Learn {
	if later.Limit.Valid() {
		l.Limit = later.Limit
	}
	if later.DailyLimit > 0 {
		if l.DailyLimit > 0 {
			later.DailyLeft = min(l.DailyLeft, later.DailyLeft)
		}
		l.DailyLimit, l.DailyLeft = later.DailyLimit, later.DailyLeft
	}
	if later.Hold > l.Hold {
		l.Hold, l.HoldWindow = later.Hold, later.HoldWindow
	}
	l.Drained = l.Drained || later.Drained
	return l
}
