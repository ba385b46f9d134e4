// Package linking is the pure part of giving a lead its contact at GoHighLevel: the states of a link and the moves between
// them, which contact a search means, what the provider's answer to a creation means, and how an unknown outcome is settled.
// It follows the send protocol (docs/send-protocol.md): what may have been made is read back, and nothing is made a second time
// before its absence is shown.
package linking

import (
	"slices"

	"github.com/relance/relance/services/sync/internal/sending"
)

// State is where a link stands. The names are stored and checked by the database trigger.
type State string

// States of a link.
const (
	// Planned: the provider is searched next.
	Planned State = "PLANNED"
	// Calling: one creation is on its way.
	Calling State = "CALLING"
	// Unknown: nobody can tell whether a contact was made; the provider is read until that shows.
	Unknown State = "UNKNOWN"
	// Linked: the lead has its contact.
	Linked State = "LINKED"
	// Conflict: more than one contact or lead may be meant; a person decides.
	Conflict State = "CONFLICT"
	// Refused: there is no contact, and why.
	Refused State = "REFUSED"
)

// States lists all states.
func States() []State { return []State{Planned, Calling, Unknown, Linked, Conflict, Refused} }

// Live reports whether the link is still worked on.
func (s State) Live() bool { return s == Planned || s == Calling || s == Unknown }

// Reasons that only links have.
const (
	// Pending: the lead's contact is on its way.
	Pending = sending.ContactPending
	// Ambiguous: more than one contact or lead may be meant.
	Ambiguous sending.Reason = "CONTACT_CONFLICT"
	// Absent: creations came to nothing that the provider shows.
	Absent sending.Reason = "CONTACT_ABSENT"
)

// How tells where a link's contact came from.
type How string

// Origins of a contact.
const (
	// Known: the lead was linked already, or meanwhile by a webhook.
	Known How = "KNOWN"
	// Found: a search found it.
	Found How = "FOUND"
	// Created: it was made for the lead.
	Created How = "CREATED"
	// Chosen: a person named it.
	Chosen How = "CHOSEN"
)

// Rule is the number of a transition.
type Rule string

// Transitions.
const (
	K1  Rule = "K1"
	K2  Rule = "K2"
	K3  Rule = "K3"
	K4  Rule = "K4"
	K5  Rule = "K5"
	K6  Rule = "K6"
	K7  Rule = "K7"
	K8  Rule = "K8"
	K9  Rule = "K9"
	K10 Rule = "K10"
)

// Move is one arrow of the state machine.
type Move struct {
	// Rule is its number.
	Rule Rule
	// From and To are the states it leads between.
	From, To State
	// Guard is what must hold, in words.
	Guard string
}

// Moves is the whole transition table: nothing else may happen to a link. The statements that move one take their source
// states from it, and the database trigger contact_link_guard allows exactly the same arrows, which a test shows.
func Moves() []Move {
	const (
		late   = "the same, after the lease ran out"
		known  = "the lead has a contact, or exactly one is found that is the lead's"
		two    = "more than one contact is found, or one that is another lead's or nobody's we know"
		absent = "absent in K looks, the last at age S or more"
	)
	return []Move{
		{K1, Planned, Calling, "a search found nobody, and the link is as it was before that search"},
		{K2, Calling, Linked, "the answer is 2xx with an id, or names a duplicate that is the lead's; the fence is ours"},
		{K2, Unknown, Linked, late},
		{K3, Planned, Linked, known},
		{K3, Unknown, Linked, known},
		{K4, Planned, Conflict, two},
		{K4, Calling, Conflict, two},
		{K4, Unknown, Conflict, two},
		{K5, Planned, Refused, "there is nothing to search or to create by"},
		{K5, Calling, Refused, "the provider says no for good, and nothing was made"},
		{K5, Unknown, Refused, late},
		{K6, Calling, Planned, "provably nothing was made, for a cause that passes"},
		{K7, Calling, Unknown, "nobody can tell"},
		{K8, Calling, Unknown, "the lease ran out, by the database's clock"},
		{K9, Unknown, Planned, absent + "; fewer calls than MaxCalls, none of them refused"},
		{K10, Unknown, Refused, absent + "; the provider had refused, or the calls are used up"},
	}
}

// CanMove reports whether there is an arrow from a state to another.
func CanMove(from, to State) bool {
	return slices.ContainsFunc(Moves(), func(m Move) bool { return m.From == from && m.To == to })
}

// Sources lists the states from which any of the rules leads to a state: the guard of the statement that moves a link.
func Sources(to State, rules ...Rule) []string {
	var out []string
	for _, m := range Moves() {
		if m.To == to && slices.Contains(rules, m.Rule) && !slices.Contains(out, string(m.From)) {
			out = append(out, string(m.From))
		}
	}
	return out
}
