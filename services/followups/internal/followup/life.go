package followup

import (
	"cmp"
	"slices"
	"time"
)

// Transitions are the changes of state that can happen, as data; the database refuses every other one by a trigger that
// a test compares with this table. A state can always stay.
func Transitions() map[State][]State {
	return map[State][]State{
		Active:    {Paused, Awaiting, Completed, Cancelled},
		Paused:    {Active, Completed, Cancelled},
		Awaiting:  {Active, Paused, Completed, Cancelled},
		Completed: nil,
		Cancelled: nil,
	}
}

// States lists all states.
func States() []State { return []State{Active, Paused, Awaiting, Completed, Cancelled} }

// CanBecome reports whether the table allows the change.
func (s State) CanBecome(to State) bool { return s == to || slices.Contains(Transitions()[s], to) }

// Reasons of the life around the steps.
const (
	ReasonSnoozed = "lead_snoozed"
	ReasonBooked  = "meeting_booked"
	// ReasonUnbooked is of a sequence that began with an appointment which was cancelled.
	ReasonUnbooked = "meeting_cancelled"
	// ReasonSkippedByHand is of a task that a person skipped.
	ReasonSkippedByHand = "skipped_by_hand"
)

// Complete ends an enrollment that has not ended, as done. Error: ErrTransition.
func (e Enrollment) Complete(reason string, now time.Time) (Enrollment, error) {
	ended, err := e.Cancel(reason, now)
	if err == nil {
		ended.State = Completed
	}
	return ended, err
}

// Replied holds an enrollment because the lead wrote at the time. What a person or a switch paused stays so; what has
// ended, waits for an outcome, or began after the reply is left alone. It reports whether anything changed.
func (e Enrollment) Replied(at time.Time) (Enrollment, bool) {
	if !e.RepliedSince.Before(at) {
		return e, false
	}
	switch {
	case e.State == Active:
	case e.State == Paused && e.Reason != ReasonLeadReplied && !e.Next.IsZero():
		// A pause that would end by the clock must not end over a reply that nobody has answered.
	default:
		return e, false
	}
	return e.pause(ReasonLeadReplied, at), true
}

// Snooze holds an enrollment until the date that the lead or a person named. It reports whether anything changed.
func (e Enrollment) Snooze(until, at time.Time) (Enrollment, bool) {
	replied := e.State == Paused && (e.Reason == ReasonLeadReplied || e.Reason == ReasonSnoozed)
	if e.State != Active && !replied {
		return e, false
	}
	e = e.pause(ReasonSnoozed, at)
	e.Next = until
	if at.After(e.RepliedSince) {
		e.RepliedSince = at
	}
	return e, true
}

// rebaseTolerance is how far a due time may lie from the counted one and still be left alone.
const rebaseTolerance = 5 * time.Minute

// Outbound counts the wait of the next step from a message that a person wrote to the lead at the time, and ends a pause
// for a reply, which it answers. The step is never due earlier than it was. It reports whether anything changed.
func (e Enrollment) Outbound(step *Step, zone *time.Location, at time.Time) (Enrollment, bool) {
	answered := e.State == Paused && e.Reason == ReasonLeadReplied && at.After(e.RepliedSince)
	if step == nil || (e.State != Active && !answered) || at.Before(e.Base) {
		return e, false
	}
	if step.NeedsZone() && zone == nil {
		zone = time.UTC // a day more or less exact is better than a step on the heels of a person
	}
	due := Due(Anchors{Start: e.Start, Previous: at}, *step, orUTC(zone))
	if !answered && !due.After(e.Due.Add(rebaseTolerance)) {
		return e, false
	}
	if e.Due.After(due) {
		due = e.Due
	}
	e.Base, e.Due, e.Next = at, due, due
	if answered {
		e.State, e.Reason, e.Attempts, e.RepliedSince = Active, "", 0, at
	}
	return e, true
}

// Recheck looks at a pause at once, because what it may have waited for changed. It reports whether anything changed.
func (e Enrollment) Recheck(now time.Time) (Enrollment, bool) {
	meaning, _ := MeaningOf(e.Reason)
	if e.State != Paused || meaning.Recheck != recheckSetup {
		return e, false
	}
	e.Next = now
	return e, true
}

// DNDCleared ends a hold for do-not-disturb of the channel; an empty channel means every one. It reports whether anything
// changed.
func (e Enrollment) DNDCleared(channel Channel, now time.Time) (Enrollment, bool) {
	for _, c := range []Channel{SMS, Email} {
		if channel != "" && channel != c {
			continue
		}
		if woken, ok := e.Wake(WakeDNDCleared.On(c), now); ok {
			return woken, true
		}
	}
	return e, false
}

// Ahead is what follows the present step.
type Ahead struct {
	// Next is the step after it, or nil.
	Next *Step
	// Zone that waits are counted in.
	Zone *time.Location
}

// TaskFinished goes on after a person has done or skipped the task that the sequence waited for: an approved message is
// to be sent, everything else is over. It reports whether anything changed.
func (e Enrollment) TaskFinished(done bool, step Step, ahead Ahead, now time.Time) (Enrollment, bool) {
	if e.State != Paused || e.Reason != ReasonAwaitingApproval {
		return e, false
	}
	e = e.GoOn(now)
	if done && step.Channel.Automatic() {
		e.Approved = true
		return e, true
	}
	return e.Apply(Effect{Result: Succeeded, Move: Advance}, ahead.Next, ahead.Zone, now), true
}

// MendedBySettings lists the reasons of pauses that a change of the settings can end; what follows a colon is left out.
func MendedBySettings() []string {
	return []string{"missing_value", ReasonNoBusinessHours, ReasonMissingAvailability}
}

// pauseRule asks whether a pause that is looked at is over.
func pauseRule() rule {
	return rule{
		name: "pause_over", version: 1, applies: func(in Input) bool { return in.Enrollment.State == Paused },
		facts: func(in Input) []Fact {
			return []Fact{
				{"reason", in.Enrollment.Reason},
				moment("next_look", in.Enrollment.Next),
				moment("last_inbound", in.Lead.LastInbound), moment("last_outbound", in.Lead.LastOutbound),
				{"waits_for", in.Enrollment.WakeOn},
			}
		},
		ask: askPause,
	}
}

func askPause(in Input) (Effect, bool) {
	e := in.Enrollment
	meaning, _ := MeaningOf(e.Reason)
	over := Effect{Result: Resumed, Reason: e.Reason, Move: Resume}
	switch {
	case e.Reason == ReasonSnoozed:
		return over, true
	case e.Reason == ReasonAwaitingEnrichment:
		return askEnrichment(in)
	case e.Reason == ReasonLeadReplied && in.ghosted():
		over.Heard = in.Lead.LastInbound
		return over, true
	case e.Reason == ReasonLeadReplied:
		effect := hold(e.Reason)
		effect.Until = in.nextGhostLook()
		return effect, true
	case meaning.Person || meaning.Recheck == 0:
		return hold(e.Reason), true
	}
	return Effect{}, false // what was missing may be there now: the other rules tell
}

// stillPaused keeps a pause over a rule that only puts the look off: whether the cause is mended, a missing value or a provider
// that is not connected, is seen when the step is rendered and sent, and until then nobody knows that it is.
func (in Input) stillPaused(effect Effect) Effect {
	e := in.Enrollment
	if e.State != Paused || effect.Move != Stay || e.Reason == ReasonNoBusinessHours {
		return effect
	}
	lasts := hold(e.Reason).Keep(effect.Attempts)
	lasts.Until = effect.Until
	return lasts
}

// ghosted reports whether the lead was answered and has been silent since, long enough.
func (in Input) ghosted() bool {
	return in.Lead.answered() && !in.Lead.LastInbound.Add(in.Settings.ghostAfter()).After(in.Now)
}

// nextGhostLook is when the silence of an answered lead is long enough; for one that nobody has answered it is as long from
// now, since the answer itself ends the pause.
func (in Input) nextGhostLook() time.Time {
	if end := in.Lead.LastInbound.Add(in.Settings.ghostAfter()); in.Lead.answered() && end.After(in.Now) {
		return end
	}
	return in.Now.Add(in.Settings.ghostAfter())
}

func (l *Lead) answered() bool { return l.LastOutbound.After(l.LastInbound) }

func (s Settings) ghostAfter() time.Duration {
	return time.Duration(cmp.Or(s.GhostDays, DefaultGhostDays)) * 24 * time.Hour
}

// outcomeRule is asked of a message whose outcome is open, and nothing else is: asking sync again with the same id sends
// nothing anew.
func outcomeRule() rule {
	return rule{name: "outcome_open", version: 1, facts: func(in Input) []Fact {
		return []Fact{flag("rendered_before", in.Planned != nil), moment("next_look", in.Enrollment.Next)}
	}}
}

func askOutcome(in Input) Decision {
	if in.Planned != nil {
		return Decision{Verdict: Send, Content: *in.Planned, Trace: []Check{outcomeRule().passed(in)}}
	}
	effect := Effect{Result: Unknown, Reason: in.Enrollment.Reason, Move: Await}
	return Decision{Verdict: Settled, Effect: effect, Trace: []Check{outcomeRule().settled(in, effect)}}
}
