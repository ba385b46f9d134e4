// Package crashpoint names the places of a run where a process may die (docs/reliability.md), so that a proof can kill it
// exactly there. Built without the tag "crashpoints" they are passed without effect.
package crashpoint

import "github.com/relance/relance/platform/crashpoint"

// The points of a run.
const (
	K1 crashpoint.Point = "K1" // the receipt is open, nothing is claimed
	K2 crashpoint.Point = "K2" // a batch is claimed and its messages are planned, none is asked for
	K3 crashpoint.Point = "K3" // the receipt is closed, the caller does not know
	K4 crashpoint.Point = "K4" // sync has answered a message, nothing is recorded
	K5 crashpoint.Point = "K5" // outcomes are written and not committed
	K6 crashpoint.Point = "K6" // outcomes are committed, the run does not know
)

// At sends the process the signal when it is this point's turn.
func At(point crashpoint.Point) { crashpoint.At(point) }
