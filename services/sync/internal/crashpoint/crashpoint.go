// Package crashpoint names the places where a process may die (docs/reliability.md), so that a proof can kill it exactly
// there. Built without the tag "crashpoints" every function does nothing.
package crashpoint

import "github.com/relance/relance/platform/crashpoint"

// Point is a place in the code.
type Point = crashpoint.Point

// At sends the process the signal when it is this point's turn.
func At(point Point) { crashpoint.At(point) }

// The points of sending, of webhooks and of tokens.
const (
	C1 Point = "C1" // the plan is committed
	C2 Point = "C2" // the claim is written and not committed
	C4 Point = "C4" // the claim is committed
	C5 Point = "C5" // the check before the write has passed
	C6 Point = "C6" // half of the request's body is written
	C7 Point = "C7" // the request is written, no answer read
	C8 Point = "C8" // the answer is read, nothing is committed
	C9 Point = "C9" // the outcome is written and not committed
	// C10: the outcome is committed, the caller or job does not know.
	C10 Point = "C10"
	C11 Point = "C11" // the reconciler is about to look
	C12 Point = "C12" // the reconciler has a match and has not committed it
	C13 Point = "C13" // the reconciler has decided "absent" and has not committed it

	H1 Point = "H1" // a webhook's call has arrived
	H2 Point = "H2" // its row is written and not committed
	H3 Point = "H3" // it is committed and not answered
	H4 Point = "H4" // its effects are written and not committed

	T1 Point = "T1" // a token refresh holds its lease and has not called
	T2 Point = "T2" // the new token is read and not committed
	T3 Point = "T3" // the new token is committed and not used
)
