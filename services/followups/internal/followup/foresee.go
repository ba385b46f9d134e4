package followup

import (
	"cmp"
	"time"
)

// Foreseen is one look at a step that has not been taken yet.
type Foreseen struct {
	// Position of the step; At is when it is looked at.
	Position int
	At       time.Time
	// Effect is what it would amount to, and Trace why.
	Effect Effect
	Trace  []Check
	// Assumed is what had to be assumed to come this far, such as "lead_replied is over"; empty for none.
	Assumed string
}

// Outlook bounds a look ahead.
type Outlook struct {
	// Steps are all steps of the enrollment's version, in order.
	Steps []Step
	// Slots is what the calendar offers now, taken to stay so; nil when it is not known.
	Slots *Slots
	// Until is the last time to look at.
	Until time.Time
	// Past goes on beyond a pause as if it had been ended, and says so.
	Past bool
	// Try bounds tries as in a run; its Now is not used.
	Try Try
}

const looksPerStep = 12

// Foresee walks the enrollment of in ahead in time by the very decisions that runs make, taking what is known now to stay
// as it is. It stops when the enrollment ends, waits for something that has no time, or leaves the outlook.
func Foresee(in Input, o Outlook) []Foreseen {
	walk := walk{in: in, o: o, e: in.Enrollment}
	for range (len(o.Steps) + 1) * looksPerStep {
		if !walk.look() {
			break
		}
	}
	return walk.out
}

type walk struct {
	in      Input
	o       Outlook
	e       Enrollment
	assumed string
	out     []Foreseen
}

func (w *walk) step(position int) *Step {
	if position < 1 || position > len(w.o.Steps) {
		return nil
	}
	return &w.o.Steps[position-1]
}

// look takes one look and reports whether there is more to see.
func (w *walk) look() bool {
	if w.e.State.Ended() || !w.running() {
		return false
	}
	at := w.in.Now
	if w.e.Next.After(at) {
		at = w.e.Next
	}
	if at.After(w.o.Until) {
		return false
	}
	w.in.Now, w.in.Enrollment, w.in.Step = at, w.e, w.step(w.e.Position)
	effect, trace := w.decide()
	seen := Foreseen{Position: w.e.Position, At: at, Effect: effect, Trace: trace, Assumed: w.assumed}
	stuck := w.repeats(seen)
	if !stuck {
		w.out = append(w.out, seen)
	}
	if w.e.Position != seen.Position || effect.Move == Advance {
		w.in.Planned = nil
	}
	if stuck || effect.Move == Hold || effect.Move == Await {
		return w.beyond(cmp.Or(effect.Reason, string(effect.Move)))
	}
	w.move(effect)
	return true
}

func (w *walk) move(effect Effect) {
	w.e = w.e.GoOn(w.in.Now).Apply(effect, w.step(w.e.Position+1), w.in.leadZone(), w.in.Now)
}

// decide asks the rules, and foretells sync's answer from what sync says of the lead.
func (w *walk) decide() (Effect, []Check) {
	in := w.in
	in.Policy = w.o.Try.Policy
	if in.Step != nil {
		in.Policy.Step = in.Step.Refusals
	}
	decision := Decide(in)
	if decision.Verdict == NeedSlots {
		if in.Slots = w.o.Slots; in.Slots == nil {
			in.Slots = &Slots{Refusal: Refusal{Reason: CalendarUnreachable}}
		}
		decision = Decide(in)
	}
	if decision.Verdict != Send {
		return decision.Effect, decision.Trace
	}
	effect, refusal := w.answer()
	return effect, append(decision.Trace, AnswerCheck(RuleSend, effect, flag("foreseen", true), Fact{"refusal", cmp.Or(refusal, "none")}))
}

func (w *walk) answer() (Effect, string) {
	try := w.o.Try
	try.Now, try.Channel, try.Policy.Step = w.in.Now, w.in.Step.Channel, w.in.Step.Refusals
	if reason := w.in.Lead.refusal(w.in.Step.Channel); reason != "" {
		return Refused(Refusal{Reason: reason, Channel: try.Channel}, w.e, try), reason
	}
	return Answered(Answer{State: "accepted"}, w.e, try), ""
}

// refusal is the reason with which sync would refuse the channel as the lead stands; empty for none.
func (l *Lead) refusal(channel Channel) string {
	switch {
	case l.Closed[channel] != "":
		return l.Closed[channel]
	case channel == SMS && l.Phone == "":
		return "NO_PHONE"
	case channel == Email && l.Email == "":
		return "NO_EMAIL"
	}
	return ""
}

// repeats reports whether the look only says again what the one before said: nothing known ends the wait.
func (w *walk) repeats(seen Foreseen) bool {
	if len(w.out) == 0 || seen.Effect.Move != Stay {
		return false
	}
	before := w.out[len(w.out)-1]
	return before.Position == seen.Position && before.Effect.Move == Stay && before.Effect.Reason == seen.Effect.Reason
}

// running makes a paused or waiting enrollment run, if the outlook goes beyond pauses.
func (w *walk) running() bool {
	switch w.e.State {
	case Paused:
		if !w.e.Next.IsZero() {
			return true // the rules tell whether it is over then
		}
		if !w.o.Past {
			return false
		}
		w.assumed = w.e.Reason + " is over"
		w.e, _ = w.e.Resume(w.in.Now) // a paused enrollment can be resumed
	case Awaiting:
		return w.beyond(w.e.Reason)
	}
	return true
}

// beyond goes on with the next step as if this one had been settled.
func (w *walk) beyond(reason string) bool {
	if !w.o.Past {
		return false
	}
	w.assumed = reason + " is over"
	w.in.Planned = nil
	w.move(Effect{Result: Succeeded, Move: Advance})
	return !w.e.State.Ended()
}
