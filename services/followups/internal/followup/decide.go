package followup

import "time"

// Lead is what a decision needs to know of a lead.
type Lead struct {
	// FirstName, LastName, Email, Phone and Company fill templates.
	FirstName, LastName, Email, Phone, Company string
	// Blocked leads are never contacted.
	Blocked bool
	// LastInbound is when the lead last wrote; zero for never.
	LastInbound time.Time
	// LastOutbound is when we last wrote, a person or a sequence; zero for never.
	LastOutbound time.Time
	// Zone of the lead; nil when it is unknown.
	Zone *time.Location
	// LinkedInConnected tells that a person completed a LinkedIn task of the lead.
	LinkedInConnected bool
}

// Settings are a workspace's follow-up settings.
type Settings struct {
	// Hours are the business hours.
	Hours Hours
	// PausedUntil holds every step; zero for no pause.
	PausedUntil time.Time
	// GhostDays is how many days an answered lead may stay silent before its sequences go on; 0 means DefaultGhostDays.
	GhostDays int
	// PausedChannels are switched off: steps on them wait.
	PausedChannels []Channel
	// SenderName, CompanyName, TargetResult and Questions fill templates.
	SenderName, CompanyName, TargetResult string
	Questions                             []string
	// Refusals say what refusals mean in this workspace, where that differs from the defaults.
	Refusals Policy
	// DailyCap is the most messages of all sequences to one lead on one channel in one day of the workspace's zone; 0 for
	// no cap.
	DailyCap int
}

// DefaultSettings hold for a workspace that set none.
func DefaultSettings() Settings { return Settings{Hours: DefaultHours(), GhostDays: DefaultGhostDays} }

// Slots are what the workspace's calendar offers a lead.
type Slots struct {
	// Labels are up to two times to offer.
	Labels []string
	// First is the earliest of the times; zero when it does not matter.
	First time.Time
	// Link is the public URL of the default calendar; empty when there is none.
	Link string
	// Refusal says why the calendar offers nothing; with a Reason nothing else is set.
	Refusal Refusal
}

// NoSlots is the reason of a calendar that was read and has no time left to offer the lead.
const NoSlots = "NO_SLOTS"

// Reason is why there are no times, one that the refusal policy knows; empty when there are.
func (s Slots) Reason() string {
	if s.Refusal.Reason == "" && len(s.Labels) == 0 {
		return NoSlots
	}
	return s.Refusal.Reason
}

// Content is a rendered message.
type Content struct {
	// Subject is for email.
	Subject string
	// Body is the text.
	Body string
	// HTML is for email.
	HTML string
	// Until is the first time that the text offers: it must not leave after it. Zero for a text without times.
	Until time.Time
}

// Input is all a decision depends on.
type Input struct {
	// Now is the business time.
	Now time.Time
	// Enrollment is due.
	Enrollment Enrollment
	// SendingDisabled is the workspace's kill switch.
	SendingDisabled bool
	// SequenceActive tells whether the sequence may send, ContinueOnReply that a reply does not pause it.
	SequenceActive, ContinueOnReply bool
	// Meeting is when the lead's last appointment is that the sequence ends for; zero for none.
	Meeting time.Time
	// Step is the one at the enrollment's position; nil when none is left.
	Step *Step
	// Lead is nil when the lead is gone.
	Lead *Lead
	// Settings of the workspace.
	Settings Settings
	// Policy holds for the step.
	Policy Layers
	// Zone of the workspace; nil when it is unknown.
	Zone *time.Location
	// Slots is nil when the calendar was not asked.
	Slots *Slots
	// Planned is the message as it was rendered for an earlier try; it must not change.
	Planned *Content
}

// Verdict is the kind of a decision.
type Verdict string

// Verdicts.
const (
	// Send the Content.
	Send Verdict = "send"
	// NeedSlots asks for the calendar and a new decision.
	NeedSlots Verdict = "need_slots"
	// Settled needs no call; the Effect says it all: skip, defer, pause, complete or cancel.
	Settled Verdict = "settled"
)

// Decision is what to do with a due step, and why.
type Decision struct {
	// Verdict is the kind.
	Verdict Verdict
	// Content is set for Send, and for a step that a person does or approves.
	Content Content
	// Effect is set for Settled.
	Effect Effect
	// Trace are the rules that were asked, in order; the last one settled the step, unless all of them let it pass.
	Trace []Check
}

// Decide is the one place where it is settled what a due step does now. It asks nobody, and it tells every rule that it
// went by. Runs, explanations and simulations all decide by it.
func Decide(in Input) Decision {
	decision := decide(in)
	decision.Effect = decision.Effect.Since(in.Enrollment)
	return decision
}

func decide(in Input) Decision {
	var trace []Check
	if in.Enrollment.State == Awaiting {
		return askOutcome(in)
	}
	for _, rule := range rules() {
		if rule.applies != nil && !rule.applies(in) {
			continue
		}
		effect, settled := rule.ask(in)
		if !settled {
			trace = append(trace, rule.passed(in))
			continue
		}
		effect = effect.Keep(in.Enrollment.Attempts)
		return Decision{Verdict: Settled, Effect: in.stillPaused(effect), Trace: append(trace, rule.settled(in, effect))}
	}
	if in.Planned != nil {
		return finish(in, *in.Planned, append(trace, contentRule().passed(in)))
	}
	if in.Slots == nil && in.Step.NeedsCalendar() {
		return Decision{Verdict: NeedSlots, Trace: trace}
	}
	content, effect, ok := compose(in)
	if !ok {
		effect = effect.Keep(in.Enrollment.Attempts)
		return Decision{Verdict: Settled, Effect: effect, Trace: append(trace, contentRule().settled(in, effect))}
	}
	return finish(in, content, append(trace, contentRule().passed(in)))
}

// finish sends the content, or hands it to a person.
func finish(in Input, content Content, trace []Check) Decision {
	person := personRule()
	if !person.applies(in) {
		return Decision{Verdict: Send, Content: content, Trace: trace}
	}
	effect, settled := askPerson(in, content)
	if !settled {
		return Decision{Verdict: Send, Content: content, Trace: append(trace, person.passed(in))}
	}
	effect = effect.Keep(in.Enrollment.Attempts)
	return Decision{Verdict: Settled, Content: content, Effect: effect, Trace: append(trace, person.settled(in, effect))}
}
