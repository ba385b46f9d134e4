package sending

import (
	"fmt"
	"time"
)

// Timing are the constants of the protocol, §3.1. They hold together by S >= W + P + R + D + V.
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

// Lease is how long a claim is held, by the database's clock.
func (t Timing) Lease() time.Duration {
	// Scaled-down constants scale the margin too.
	return t.Write + t.Call + min(leaseMargin, t.Write+t.Call)
}

// Check refuses constants that break the protocol's inequality or make no sense.
func (t Timing) Check() error {
	for _, d := range []time.Duration{t.Write, t.Pause, t.Call, t.Delay, t.Visible, t.Settle} {
		if d <= 0 {
			return fmt.Errorf("send timing: every constant must be greater than zero")
		}
	}
	if need := t.Write + t.Pause + t.Call + t.Delay + t.Visible; t.Settle < need {
		return fmt.Errorf("send timing: settle time %s is shorter than W+P+R+D+V = %s; a message could be sent twice", t.Settle, need)
	}
	return nil
}

// Backoff is the longest wait before retry n (1-based); the caller takes a random part of it.
func Backoff(n int) time.Duration {
	const first, limit = 30 * time.Second, 30 * time.Minute
	if n < 1 {
		n = 1
	}
	if n > 7 {
		return limit
	}
	return min(first<<(n-1), limit)
}
