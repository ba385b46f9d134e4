package slots

import "time"

// Timing holds the distances between attempts.
type Timing struct {
	// TTL is how long a good read counts as fresh.
	TTL time.Duration
	// Unconfigured is how long a workspace without a default link rests.
	Unconfigured time.Duration
	// Unsupported is how long one rests whose meeting length or kind cannot be served.
	Unsupported time.Duration
	// RetryMin and RetryMax bound the exponential back-off after failures.
	RetryMin, RetryMax time.Duration
}

// DefaultTiming is 60 s, 24 h, 2 h, and 1 min to 1 h.
func DefaultTiming() Timing {
	return Timing{
		TTL: time.Minute, Unconfigured: 24 * time.Hour, Unsupported: 2 * time.Hour,
		RetryMin: time.Minute, RetryMax: time.Hour,
	}
}

// Rest is how long a workspace that was refused without a call rests.
func (t Timing) Rest(reason Reason) time.Duration {
	if reason == ReasonNoDefaultCalendar {
		return t.Unconfigured
	}
	return t.Unsupported
}

// Backoff is the wait after the given number of failures in a row (1 or more): doubling from RetryMin to RetryMax, of
// which jitter (0 to 1) takes away up to half, so that workspaces that failed together do not come back together. It is
// never less than atLeast, the provider's own demand.
func (t Timing) Backoff(failures int, jitter float64, atLeast time.Duration) time.Duration {
	wait := t.RetryMin
	for range failures - 1 {
		if wait >= t.RetryMax {
			break
		}
		wait *= 2
	}
	wait = min(wait, t.RetryMax)
	wait -= time.Duration(jitter * float64(wait) / 2)
	return max(wait, atLeast)
}

// Verdict is the fate of one workspace in a run over all that are due.
type Verdict int

// The verdicts; each is one counter of the receipt.
const (
	VerdictRefreshed Verdict = iota
	VerdictNoDefault
	VerdictUnsupported
	VerdictBackoff
	VerdictError
)

// Receipt counts a run.
type Receipt struct {
	// Refreshed to Errors are disjoint: each calendar looked at is in exactly one.
	Refreshed, NoDefault, Unsupported, Backoff, Errors int
	// Attempted counts those of them whose calendar was asked, whatever came of it.
	Attempted int
	// DirectBook counts those of the attempted that are of SourceDirectBook.
	DirectBook int
	// Details names the first failed workspaces.
	Details []Failure
}

// Failure names a calendar and why its refresh failed.
type Failure struct {
	// Workspace is the bare UUID.
	Workspace string
	// Kind is which of its calendars.
	Kind SourceKind `json:",omitempty"`
	// Reason is a reason of this API or of the provider's side.
	Reason string
}

// maxDetails bounds Receipt.Details.
const maxDetails = 100

// Checked is the number of calendars looked at: the sum of the others, by construction.
func (r Receipt) Checked() int {
	return r.Refreshed + r.NoDefault + r.Unsupported + r.Backoff + r.Errors
}

// Count adds one calendar. The failure is used for VerdictError only.
func (r *Receipt) Count(v Verdict, f Failure) {
	switch v {
	case VerdictRefreshed:
		r.Refreshed++
	case VerdictNoDefault:
		r.NoDefault++
	case VerdictUnsupported:
		r.Unsupported++
	case VerdictBackoff:
		r.Backoff++
	case VerdictError:
		r.Errors++
		if len(r.Details) < maxDetails {
			r.Details = append(r.Details, f)
		}
	}
}
