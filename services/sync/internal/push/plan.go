// Package push tells GoHighLevel of opt-outs, so that nobody there writes to the lead either, and takes that back when an
// opt-out is lifted. It sets the contact's do-not-disturb switch, reads it back, and records what it saw. Our own block
// stands in the opt-out's row whatever comes of it.
//
// An attempt begins by reading: after an answer that was lost, what the lost call did is seen and not done again.
package push

import (
	"math/rand/v2"
	"time"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/provider"
)

// State is where a push stands, as stored.
type State string

// States. Pending and Withdrawing are worked on; the others rest.
const (
	Pending     State = "PENDING"
	Verified    State = "VERIFIED"
	Failed      State = "FAILED"
	NotNeeded   State = "NOT_NEEDED"
	Withdrawing State = "WITHDRAWING"
	Withdrawn   State = "WITHDRAWN"
)

// Why a push stands where it does; the last error of its row.
const (
	// ContactGone: the provider does not have the contact. Another contact of the lead is told anew.
	ContactGone = "CONTACT_NOT_FOUND"
	// NoContact: the lead is linked to none; the push waits.
	NoContact = "NO_CONTACT"
	// NotConnected: the workspace has no connection that works now.
	NotConnected = "PROVIDER_NOT_CONNECTED"
	// NotConfirmed: the provider took the call, and the switch does not show.
	NotConfirmed = "NOT_CONFIRMED"
	// Standing: the provider's switch was not set by us, so it is not for us to take back.
	Standing = "PROVIDER_SWITCH_STANDS"
	// Unreachable: no answer, or none that says anything.
	Unreachable = "PROVIDER_UNAVAILABLE"
)

const (
	firstWait = 15 * time.Second
	lastWait  = time.Hour
	// maxRefusals is how many definite refusals in a row end a push. An outage never does.
	maxRefusals = 5
)

// Wait is how long attempt n (1-based) that came to nothing is followed by none: 15 s doubling to an hour, a random half of it.
func Wait(n int) time.Duration {
	span := lastWait
	if n < 9 {
		span = min(firstWait<<(max(n, 1)-1), lastWait)
	}
	return span/2 + rand.N(span/2) //nolint:gosec // spreads retries; nothing is secret
}

// Result is what an attempt came to.
type Result struct {
	State State
	// Error is the reason of a failure, empty for none.
	Error string
	// Wait is when the next attempt is made, for a state that is worked on; zero rests until something changes.
	Wait time.Duration
	// Refused counts a definite refusal.
	Refused bool
	// Pushed is true when this attempt's write was answered with success; Confirmed when the switch was read as it should be.
	Pushed, Confirmed bool
}

// failure judges a call that did not succeed. attempt and refusals are those before it.
func failure(now State, failed *provider.ReadError, attempt, refusals int) Result {
	v := failed.Verdict
	r := Result{State: now, Error: string(v.Refusal.Reason), Wait: max(Wait(attempt), v.Wait)}
	switch {
	case failed.NotFound():
		return Result{State: Failed, Error: ContactGone}
	case v.Class == classify.Suspended:
		r.Wait = max(r.Wait, slowWait)
	case v.Class == classify.Refused:
		r.Refused = true
		if refusals+1 >= maxRefusals {
			r.State, r.Wait = Failed, 0
		}
	case r.Error == "":
		r.Error = Unreachable
	}
	return r
}

// slowWait is how long a push waits for a connection to be mended by a person.
const slowWait = 15 * time.Minute
