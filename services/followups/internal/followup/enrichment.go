package followup

import (
	"strings"
	"time"
)

// addressMissing is sync's reason for a lead without the phone number or the address of the channel; empty for a channel
// that needs neither.
func addressMissing(channel Channel) string {
	switch channel {
	case SMS:
		return "NO_PHONE"
	case Email:
		return "NO_EMAIL"
	}
	return ""
}

// awaitAddress pauses, at most until the time, for a lead that nobody can write to on the channel yet.
func awaitAddress(channel Channel, until time.Time) Effect {
	effect := hold(ReasonAwaitingEnrichment)
	effect.Until, effect.HoldUntil = until, until
	effect.WakeOn = string(WakeLeadChanged) + ":" + string(channel)
	return effect
}

// heldFor is the refusal for which a step is held.
func heldFor(e Enrollment) string {
	if channel, ok := strings.CutPrefix(e.WakeOn, string(WakeLeadChanged)+":"); ok {
		return addressMissing(Channel(channel))
	}
	return e.Reason
}

// hasAddress reports whether the lead has what the channel needs; sync alone says whether it is a valid one.
func (l *Lead) hasAddress(channel Channel) bool {
	switch channel {
	case SMS:
		return strings.TrimSpace(l.Phone) != ""
	case Email:
		return strings.TrimSpace(l.Email) != ""
	}
	return true
}

// askEnrichment asks whether the address came. At the maximum it lets the step pass: hold_not_over then skips it, unless
// a switch stands before that.
func askEnrichment(in Input) (Effect, bool) {
	e := in.Enrollment
	switch {
	case !in.ContinueOnReply && in.Lead.LastInbound.After(e.RepliedSince):
		return Effect{}, false // the next rule pauses for the reply, which must not be forgotten over the address
	case in.Lead.hasAddress(in.Step.Channel):
		return Effect{Result: Resumed, Reason: e.Reason, Move: Resume}, true
	case e.HoldUntil.After(in.Now):
		return awaitAddress(in.Step.Channel, e.HoldUntil), true
	}
	return Effect{}, false
}

// Enriched looks at once at a pause for an address that the changed lead has now; a change of something else leaves it
// alone. A nil lead is one that could not be read: the look then tells. It reports whether anything changed.
func (e Enrollment) Enriched(step *Step, lead *Lead, now time.Time) (Enrollment, bool) {
	if e.State != Paused || e.Reason != ReasonAwaitingEnrichment {
		return e, false
	}
	if step != nil && lead != nil && !lead.hasAddress(step.Channel) {
		return e, false
	}
	e.Next = now
	return e, true
}
