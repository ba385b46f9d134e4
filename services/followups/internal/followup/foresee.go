package followup

import (
	"cmp"
	"time"

	"github.com/google/uuid"
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
	// NoCommonHour tells that no hour suits every zone that the lead may be in, so that no time can be foretold.
	NoCommonHour bool

	// timed tells that the gate named when the wait is over.
	timed bool
}

// Ask is a message of which only sync's gate can tell whether it may leave.
type Ask struct {
	// Lead gets it on Channel.
	Lead    uuid.UUID
	Channel Channel
	// At is when it would leave.
	At time.Time
}

// Said is what the gate says; the zero value lets the message leave.
type Said struct {
	// Refusal is what a send would be refused with; its Reason is empty when it may leave.
	Refusal Refusal
	// Waits tells that it may leave later; otherwise a refusal stands as far as is known.
	Waits bool
	// Rule and Source name the rule of the law that decided, if one did.
	Rule, Source string
	// NoCommonHour tells that no hour suits every zone that the lead may be in.
	NoCommonHour bool
}

// Gate says whether a message could leave; before are those that left earlier, in order, which count for its caps.
type Gate func(ask Ask, before []Ask) Said

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
	// Gate is asked for every message; nil lets all leave.
	Gate Gate
	// Taken are the places of days that other messages to the lead have, for the workspace's daily cap.
	Taken map[DayPlace]int
}

// DayPlace is a lead's day on a channel.
type DayPlace struct {
	// Day as DayOf gives it.
	Day     time.Time
	Channel Channel
}

const looksPerStep = 12

// Foresee walks the enrollment of in ahead in time by the very decisions that runs make, taking what is known now to stay
// as it is. It stops when the enrollment ends, waits for something that has no time, or leaves the outlook.
func Foresee(in Input, o Outlook) []Foreseen {
	return ForeseeTogether([]Life{{In: in, Outlook: o}})[0]
}

type walk struct {
	in      Input
	o       Outlook
	e       Enrollment
	assumed string
	out     []Foreseen
	// sent are the messages to the lead that left so far, of this walk and those beside it.
	sent *[]Ask
	// at counts the looks at the present step, left those that may be taken.
	at, left int
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
	at := w.when()
	if at.After(w.o.Until) {
		return false
	}
	w.in.Now, w.in.Enrollment, w.in.Step = at, w.e, w.step(w.e.Position)
	seen := Foreseen{Position: w.e.Position, At: at, Assumed: w.assumed}
	w.decide(&seen)
	effect, stuck := seen.Effect, w.repeats(seen)
	if !stuck {
		w.out = append(w.out, seen)
	}
	if w.at++; effect.Move == Advance {
		w.in.Planned, w.at = nil, 0
	}
	if effect.NewPart {
		w.in.Planned = nil
	}
	stuck = stuck || seen.NoCommonHour || w.at >= looksPerStep
	if effect.Move == Hold && !effect.Until.IsZero() && w.at < 2 { // a pause that ends by the clock
		w.move(effect)
		return true
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

// decide asks the rules, and the gate what sync would say.
func (w *walk) decide(seen *Foreseen) {
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
	seen.Effect, seen.Trace = decision.Effect, decision.Trace
	if decision.Verdict != Send {
		return
	}
	if w.full() {
		seen.Effect = Capped(in)
		seen.Trace = append(seen.Trace, CapCheck(seen.Effect, in.Settings.DailyCap))
		return
	}
	w.answer(seen, decision.Content)
}

// answer is what sync would say, and what that means for the step.
func (w *walk) answer(seen *Foreseen, content Content) {
	try := w.o.Try
	try.Now, try.Channel, try.Policy.Step = w.in.Now, w.in.Step.Channel, w.in.Step.Refusals
	ask, said := Ask{Lead: w.e.Lead, Channel: try.Channel, At: w.in.Now}, Said{}
	switch until := content.Until; {
	case !until.IsZero() && !until.After(w.in.Now): // the gate would look at this first
		said.Refusal.Reason = reasonExpired
	case w.o.Gate != nil:
		said = w.o.Gate(ask, *w.sent)
	}
	facts := []Fact{flag("foreseen", true), {"refusal", cmp.Or(said.Refusal.Reason, "none")}}
	if said.Rule != "" {
		facts = append(facts, Fact{"law", said.Rule}, Fact{"source", said.Source})
	}
	if said.Refusal.Reason == "" {
		*w.sent = append(*w.sent, ask)
		seen.Effect = Answered(Answer{State: "accepted"}, w.e, try)
	} else {
		said.Refusal.Channel = try.Channel
		seen.Effect = Refused(said.Refusal, w.e, try)
		until := refusals()[said.Refusal.Reason].until
		seen.timed, seen.NoCommonHour = said.Refusal.Metadata[until] != "", said.NoCommonHour
		if said.NoCommonHour {
			facts = append(facts, flag("no_common_hour", true))
		}
	}
	seen.Trace = append(seen.Trace, AnswerCheck(RuleSend, seen.Effect, facts...))
}

// full tells that the lead's day on the channel has no place left under the workspace's daily cap.
func (w *walk) full() bool {
	room := w.in.Settings.DailyCap
	if room == 0 || w.in.Zone == nil {
		return false
	}
	here := DayPlace{Day: DayOf(w.in.Now, w.in.Zone), Channel: w.in.Step.Channel}
	taken := w.o.Taken[here]
	for _, ask := range *w.sent {
		if (DayPlace{Day: DayOf(ask.At, w.in.Zone), Channel: ask.Channel}) == here {
			taken++
		}
	}
	return taken >= room
}

// repeats reports whether the look only says again what the one before said: nothing known ends the wait.
func (w *walk) repeats(seen Foreseen) bool {
	if len(w.out) == 0 || seen.Effect.Move != Stay || seen.timed {
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
		w.e, _ = w.e.Resume(w.in.Now, w.in.Now) // a paused enrollment can be resumed
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
	w.in.Planned, w.at = nil, 0
	w.move(Effect{Result: Succeeded, Move: Advance})
	return !w.e.State.Ended()
}
