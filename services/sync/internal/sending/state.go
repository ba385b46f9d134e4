// Package sending is the pure part of the send protocol (docs/send-protocol.md): states and the moves between them, the
// content hash behind request_id, the gate, and the timing inequality. It knows no database and no provider.
package sending

import "slices"

// State is where a send stands. The names are stored and checked by the database trigger.
type State string

// States of the protocol, §3.3.
const (
	Planned           State = "PLANNED"
	Sending           State = "SENDING"
	Accepted          State = "ACCEPTED"
	Delivered         State = "DELIVERED"
	FailedAfterAccept State = "FAILED_AFTER_ACCEPT"
	Refused           State = "REFUSED"
	Retryable         State = "RETRYABLE"
	Unknown           State = "UNKNOWN"
	Parked            State = "PARKED"
	Skipped           State = "SKIPPED"
	Expired           State = "EXPIRED"
)

// States lists all states.
func States() []State {
	return []State{
		Planned, Sending, Accepted, Delivered, FailedAfterAccept, Refused, Retryable, Unknown, Parked, Skipped, Expired,
	}
}

// Move is one arrow of the state machine.
type Move struct {
	// From and To are the states it leads between.
	From, To State
	// Rules are its numbers in the protocol.
	Rules string
}

// Moves is the whole transition table. The database trigger holds the same list; a test compares them.
func Moves() []Move {
	return []Move{
		{Planned, Sending, "T2"},
		{Planned, Skipped, "T1"},
		{Planned, Expired, "T1"},
		{Retryable, Sending, "T2"},
		{Retryable, Skipped, "T1"},
		{Retryable, Expired, "T1"},
		{Retryable, Accepted, "T16"},
		{Sending, Accepted, "T4"},
		{Sending, Unknown, "T5 T9 T10"},
		{Sending, Refused, "T6"},
		{Sending, Retryable, "T7 T8"},
		{Sending, Parked, "T8"},
		{Unknown, Accepted, "T4 T11 T12"},
		{Unknown, Refused, "T6"},
		{Unknown, Retryable, "T13"},
		{Unknown, Parked, "T14"},
		{Accepted, Delivered, "T15"},
		{Accepted, FailedAfterAccept, "T15"},
		{Parked, Accepted, "T11 T12"},
	}
}

// CanMove reports whether the protocol has an arrow from one state to another.
func CanMove(from, to State) bool {
	return slices.ContainsFunc(Moves(), func(m Move) bool { return m.From == from && m.To == to })
}

// Claimable reports whether a send in this state may be claimed for a provider call.
func (s State) Claimable() bool { return s == Planned || s == Retryable }

// Live reports whether a provider call may be under way or unresolved: it blocks its lead's channel.
func (s State) Live() bool { return s == Sending || s == Unknown }
