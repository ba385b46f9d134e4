package sending

import (
	"fmt"
	"time"
)

// Timing are the constants of the protocol, §3.1. They hold together by S >= W + P + R + D + V and a margin. All of them
// are physical time: they are measured by the database's clock and by the process's, never by the business clock.
type Timing struct {
	// Write (W) is the longest time from the claim's commit to the first byte of the call.
	Write time.Duration
	// Pause (P) is the longest sleep of a process that is assumed between its check and its write.
	Pause time.Duration
	// Call (R) bounds one provider call.
	Call time.Duration
	// Delay (D) is how late the provider may still process an abandoned call.
	Delay time.Duration
	// Visible (V) is how late an accepted message may show in the provider's lists.
	Visible time.Duration
	// Settle (S) is when an unknown outcome may be settled by absence.
	Settle time.Duration
}

// leaseMargin is added to W + R for the commit of the outcome, at most W + R again.
const leaseMargin = 10 * time.Second

// Departure is how long after a claim its message may still leave at the provider: the law has to allow all of it.
func (t Timing) Departure() time.Duration { return t.Write + t.Pause + t.Call + t.Delay }

// Lease is how long a claim is held, by the database's clock.
func (t Timing) Lease() time.Duration {
	// Scaled-down constants scale the margin too.
	return t.Write + t.Call + min(leaseMargin, t.Write+t.Call)
}

// MayWrite is the check in memory between a claim and its call: less than W has passed since the claim began, by the wall clock
// and by the monotonic clock, of which one stands still while a machine sleeps. Both times need their monotonic reading.
func (t Timing) MayWrite(began, now time.Time) bool {
	monotonic, wall := now.Sub(began), now.Round(0).Sub(began.Round(0))
	return monotonic < t.Write && wall < t.Write && wall > -t.Write
}

// Check refuses constants that break the protocol's inequality or make no sense.
func (t Timing) Check() error {
	for _, d := range []time.Duration{t.Write, t.Pause, t.Call, t.Delay, t.Visible, t.Settle} {
		if d <= 0 {
			return fmt.Errorf("send timing: every constant must be greater than zero")
		}
	}
	if need := t.Least(); t.Settle < need {
		return fmt.Errorf("send timing: settle time %s is shorter than W+P+R+D+V and a margin of 2 %% = %s; a message could be sent twice",
			t.Settle, need)
	}
	return nil
}

// Least is the shortest settle time that the other constants allow. The margin of 2 % covers clocks that do not run at
// quite the same rate.
func (t Timing) Least() time.Duration {
	sum := t.Write + t.Pause + t.Call + t.Delay + t.Visible
	return sum + sum/50
}

// Looks are the ages at which an unknown outcome is looked for: 30 s, 2 min, 5 min and 15 min for the default S, and in
// the same proportion for any other. The first ones are cheap wins; only the last can settle by absence.
func (t Timing) Looks() []time.Duration {
	return []time.Duration{t.Settle / 30, t.Settle * 2 / 15, t.Settle / 3, t.Settle}
}

// Grace is how long after S an outcome may stay unknown because the provider cannot be read: 10 min for the default S.
func (t Timing) Grace() time.Duration { return t.Settle * 2 / 3 }

// Blindness is how long after its first claim a send whose last look cannot see the provider's lists is tried before a person
// has to look: 8 h for the default S.
func (t Timing) Blindness() time.Duration { return 32 * t.Settle }

// Backoff is the longest wait before retry n (1-based); the caller takes a random part of it. It doubles from 30 s to
// 30 min for the default S, and in the same proportion for any other.
func (t Timing) Backoff(n int) time.Duration {
	first, limit := t.Turn(), 2*t.Settle
	if n > 7 {
		return limit
	}
	return min(first<<(max(n, 1)-1), limit)
}

// Turn is how long a send waits for another one to the same lead to be settled: 30 s for the default S.
func (t Timing) Turn() time.Duration { return t.Settle / 30 }

// Sweep is how often what is due is looked for without a job of its own: 10 s for the default S, at least 1 s.
func (t Timing) Sweep() time.Duration { return max(t.Settle/90, time.Second) }
