// Package booking is the pure part of making appointments: the states of a booking and the moves between them, what a
// provider's answer means, how an unknown outcome is settled, and which of a lead's appointments counts. It follows the send
// protocol (docs/send-protocol.md) with one difference: a call that may have reached the provider is never made again.
package booking

import (
	"slices"

	"github.com/relance/relance/services/sync/internal/sending"
)

// State is where a booking stands. The names are stored and checked by the database trigger.
type State string

// States of a booking.
const (
	Planned State = "PLANNED"
	Calling State = "CALLING"
	Unknown State = "UNKNOWN"
	Booked  State = "BOOKED"
	Refused State = "REFUSED"
	Parked  State = "PARKED"
)

// States lists all states.
func States() []State { return []State{Planned, Calling, Unknown, Booked, Refused, Parked} }

// Reasons that only bookings have.
const (
	// SlotTaken: the time is not free, and not by an appointment of the lead.
	SlotTaken sending.Reason = "SLOT_TAKEN"
	// Unresolved: another booking of the lead is under way.
	Unresolved sending.Reason = "BOOKING_UNRESOLVED"
	// Absent: nobody could tell, and the provider's lists show that there is none.
	Absent sending.Reason = "BOOKING_ABSENT"
	// Ambiguous parks a booking of which nobody can tell.
	Ambiguous sending.Reason = "BOOKING_AMBIGUOUS"
	// Unsupported: the calendar cannot be booked by its API.
	Unsupported sending.Reason = "BOOKING_UNSUPPORTED"
	// CalendarInactive: the calendar is off or gone.
	CalendarInactive sending.Reason = "CALENDAR_INACTIVE"
)

// Rule is the number of a transition.
type Rule string

// Transitions.
const (
	B1  Rule = "B1"
	B2  Rule = "B2"
	B3  Rule = "B3"
	B4  Rule = "B4"
	B5  Rule = "B5"
	B6  Rule = "B6"
	B7  Rule = "B7"
	B8  Rule = "B8"
	B9  Rule = "B9"
	B10 Rule = "B10"
)

// Move is one arrow of the state machine.
type Move struct {
	// Rule is its number.
	Rule Rule
	// From and To are the states it leads between.
	From, To State
	// Guard is what must hold, in words.
	Guard string
	// Only is the reason that From must have, where the arrow is for some of its bookings only.
	Only sending.Reason
}

// Moves is the whole transition table: nothing else may happen to a booking. The statements that move one take their source
// states from it, and the database trigger booking_intent_guard allows exactly the same arrows, which a test shows.
func Moves() []Move {
	const (
		late    = "the same, after the lease ran out"
		found   = "an appointment of the lead at this time stands at the provider"
		nothing = "provably nothing was booked, for a cause that passes"
	)
	return []Move{
		{B1, Planned, Calling, "asked for; the one live booking of its lead", ""},
		{B2, Calling, Booked, "the answer is 2xx with an id; the fence is ours", ""},
		{B2, Unknown, Booked, late, ""},
		{B3, Calling, Refused, "the provider says no for good, and a taken time is not taken by the lead", ""},
		{B3, Unknown, Refused, late, ""},
		{B4, Calling, Planned, nothing, ""},
		{B5, Calling, Unknown, "nobody can tell", ""},
		{B6, Calling, Unknown, "the lease ran out, by the database's clock", ""},
		{B7, Planned, Booked, found, ""},
		{B7, Calling, Booked, found, ""},
		{B7, Unknown, Booked, found, ""},
		{B7, Parked, Booked, found, ""},
		{B7, Refused, Booked, found, Absent},
		{B8, Unknown, Refused, "absent in K looks, the last at age S or more", ""},
		{B9, Unknown, Parked, "the lists cannot be read long after S", ""},
		{B10, Planned, Refused, "nobody came back for it", ""},
	}
}

// CanMove reports whether there is an arrow from a state, with its reason, to another.
func CanMove(from State, reason sending.Reason, to State) bool {
	return slices.ContainsFunc(Moves(), func(m Move) bool {
		return m.From == from && m.To == to && (m.Only == "" || m.Only == reason)
	})
}

// Sources lists the states from which any of the rules leads to a state: the guard of the statement that moves a booking.
func Sources(to State, rules ...Rule) []string {
	var out []string
	for _, m := range Moves() {
		if m.To == to && slices.Contains(rules, m.Rule) && !slices.Contains(out, string(m.From)) {
			out = append(out, string(m.From))
		}
	}
	return out
}

// Differ names the fields in which a repeated request differs from the booking that its id stands for.
func Differ(a, b Wish) []string {
	var out []string
	for _, f := range []struct {
		name string
		same bool
	}{{"lead", a.Lead == b.Lead}, {"start_time", a.Start.Equal(b.Start)}, {"calendar_link", a.Link == b.Link}} {
		if !f.same {
			out = append(out, f.name)
		}
	}
	return out
}
