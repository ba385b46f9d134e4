// Package sending is the pure part of the send protocol (docs/send-protocol.md): states and the moves between them, how an
// unknown outcome is settled, the content hash behind request_id, the gate, and the timing inequality. It knows no
// database and no provider.
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

// Policy says what may happen to a send whose outcome stays unknown. The names are stored.
type Policy string

// Policies of the protocol, §3.1.
const (
	// Resend: once more, after it was proven absent at the provider.
	Resend Policy = "resend"
	// Hold: never again; a person decides.
	Hold Policy = "hold"
)

// Rule is the number of a transition in the protocol.
type Rule string

// Transitions of the protocol. T0 makes a send; T3 does not exist in the protocol's numbering.
const (
	T1  Rule = "T1"
	T2  Rule = "T2"
	T4  Rule = "T4"
	T5  Rule = "T5"
	T6  Rule = "T6"
	T7  Rule = "T7"
	T8  Rule = "T8"
	T9  Rule = "T9"
	T10 Rule = "T10"
	T11 Rule = "T11"
	T12 Rule = "T12"
	T13 Rule = "T13"
	T14 Rule = "T14"
	T15 Rule = "T15"
	T16 Rule = "T16"
)

// Move is one arrow of the state machine.
type Move struct {
	// Rule is its number.
	Rule Rule
	// From and To are the states it leads between.
	From, To State
	// Guard is what must hold, in words.
	Guard string
	// Only are the reasons that From must have, where the arrow is for some of its sends only.
	Only []Reason
}

// Moves is the whole transition table: nothing else may happen to a send. The statements that move a send take their
// source states from it (Sources), and the database trigger send_intent_guard allows exactly the same arrows, which a
// test shows arrow by arrow.
func Moves() []Move {
	const (
		shut, late, again = "the gate says no for good", "expire_time has passed", "due; the one live send of its lead and channel"
		found             = "one unclaimed message at the provider is this one, in a list or by webhook"
		several           = "several unclaimed messages at the provider are this one: the earliest is claimed, a duplicate is suspected"
	)
	unsettled := []Reason{SendAmbiguous, SendNeedsEyes}
	return []Move{
		{T1, Planned, Skipped, shut, nil},
		{T1, Planned, Expired, late, nil},
		{T1, Retryable, Skipped, shut, nil},
		{T1, Retryable, Expired, late, nil},
		{T2, Planned, Sending, again, nil},
		{T2, Retryable, Sending, again, nil},
		{T4, Sending, Accepted, "the answer is 2xx with an id; the fence is ours", nil},
		{T4, Unknown, Accepted, "the same, after the lease ran out", nil},
		{T5, Sending, Unknown, "the answer is 2xx without a usable id", nil},
		{T6, Sending, Refused, "the provider says no for good", nil},
		{T6, Unknown, Refused, "the same, after the lease ran out", nil},
		{T7, Sending, Retryable, "the connection is suspended; no attempt is used", nil},
		{T8, Sending, Retryable, "provably not accepted, for a transient cause", nil},
		{T8, Sending, Parked, "provably not accepted, as often as allowed", nil},
		{T9, Sending, Unknown, "nobody can tell", nil},
		{T10, Sending, Unknown, "the lease ran out, by the database's clock", nil},
		{T11, Unknown, Accepted, found, nil},
		{T11, Sending, Accepted, found, nil},
		{T11, Parked, Accepted, found, unsettled},
		{T12, Unknown, Accepted, several, nil},
		{T12, Sending, Accepted, several, nil},
		{T12, Parked, Accepted, several, unsettled},
		{T13, Unknown, Retryable, "RESEND; absent in K looks, the last at age S or more; not sent again before; not expired", nil},
		{T14, Unknown, Parked, "age S or more, and neither found nor to be sent again", nil},
		{T14, Sending, Parked, "the look in the claim path sees a message with other words", nil},
		{T15, Accepted, Delivered, "the provider reports delivery", nil},
		{T15, Accepted, FailedAfterAccept, "the provider reports failure", nil},
		{T16, Retryable, Accepted, "evidence comes before it is sent again", nil},
	}
}

// CanMove reports whether the protocol has an arrow from a state, with its reason, to another.
func CanMove(from State, reason Reason, to State) bool {
	return slices.ContainsFunc(Moves(), func(m Move) bool {
		return m.From == from && m.To == to && (m.Only == nil || slices.Contains(m.Only, reason))
	})
}

// Sources lists the states from which any of the rules leads to a state: the guard of the statement that moves a send.
func Sources(to State, rules ...Rule) []string {
	var out []string
	for _, m := range Moves() {
		if m.To == to && slices.Contains(rules, m.Rule) && !slices.Contains(out, string(m.From)) {
			out = append(out, string(m.From))
		}
	}
	return out
}

// Claimable reports whether a send in this state may be claimed for a provider call.
func (s State) Claimable() bool { return s == Planned || s == Retryable }

// Live reports whether a provider call may be under way or unresolved: it blocks its lead's channel.
func (s State) Live() bool { return s == Sending || s == Unknown }

// Terminal reports whether nothing moves the send by itself any more. ACCEPTED is terminal: what follows is delivery.
func (s State) Terminal() bool { return !s.Claimable() && !s.Live() }
