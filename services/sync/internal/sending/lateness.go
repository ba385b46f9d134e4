package sending

import "time"

// Lateness is the latest that a provider was seen to be of late, by assumption of the protocol; zero when it kept to it.
type Lateness struct {
	// Delay is how long after a call was given up its message was taken (A1, bounded by D).
	Delay time.Duration
	// Visible is how long after it was taken a message was not in a list yet (A2, bounded by V).
	Visible time.Duration
}

// MaxStretch bounds how far lateness lengthens an assumption: one wrong time of a provider must not keep sends unknown for ever.
const MaxStretch = 10

// LatenessHold is how long lateness counts after it was last seen. Then the configured constants are trusted again.
const LatenessHold = 7 * 24 * time.Hour

// Lengthened gives the constants for a provider that was seen to be late: an assumption that did not hold becomes twice what
// was seen, at most MaxStretch times what is configured, and S grows by as much, so that the inequality of Check stays true.
func (t Timing) Lengthened(seen Lateness) Timing {
	delay, visible := stretched(t.Delay, seen.Delay), stretched(t.Visible, seen.Visible)
	more := delay - t.Delay + visible - t.Visible
	t.Delay, t.Visible = delay, visible
	t.Settle += more + (more+49)/50
	return t
}

func stretched(assumed, seen time.Duration) time.Duration {
	if seen <= assumed {
		return assumed
	}
	limit := MaxStretch * assumed
	return min(2*min(seen, limit), limit)
}
