// Package explain puts together what happened to an enrollment, why, and what comes next. It is pure, and it decides
// nothing: the past are the stored decisions, the future is foreseen by package followup.
package explain

import (
	"fmt"
	"strings"
	"time"

	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/foretell"
)

// Phase says where a step stands.
type Phase int

// Phases.
const (
	Past Phase = iota + 1
	Present
	Future
	// Never is a step that the enrollment ended before.
	Never
)

// Horizon is how far explanations look ahead.
const Horizon = 400 * 24 * time.Hour

// Case is what is known.
type Case struct {
	// Input is the next step's, now.
	Input followup.Input
	// Steps are all of the enrollment's version.
	Steps []followup.Step
	// Records are the stored decisions, oldest first.
	Records []followup.Record
	// Slots is what the calendar offers; nil when it is not known.
	Slots *followup.Slots
	// Try bounds tries as in a run.
	Try followup.Try
	// Taken are the places of the lead's days that other messages have.
	Taken map[followup.DayPlace]int
	// Beside are the lead's running enrollments in other sequences; their messages count for its caps.
	Beside []followup.Life
	// Foreseen is what the look ahead saw; see Look.
	Foreseen []followup.Foreseen
}

// Look is the look ahead that the explanation needs.
func (c Case) Look() foretell.Look {
	return foretell.Look{In: c.Input, Beside: c.Beside, Outlook: followup.Outlook{
		Steps: c.Steps, Slots: c.Slots, Until: c.Input.Now.Add(Horizon), Past: true, Try: c.Try, Taken: c.Taken,
	}}
}

// Step tells about one step.
type Step struct {
	// Step as it stands in the version.
	Step followup.Step
	// Phase of it.
	Phase Phase
	// Says is one sentence.
	Says string
	// Records are stored decisions, Foreseen what would be decided.
	Records  []followup.Record
	Foreseen []followup.Foreseen
}

// Explanation tells about an enrollment.
type Explanation struct {
	// Says is one sentence, WayOut what gets it going; empty when it goes by itself.
	Says, WayOut string
	// Person tells that only a person ends the pause.
	Person bool
	// Next is when it is looked at next by itself; zero when an event or a person must come first.
	Next time.Time
	// Steps in order.
	Steps []Step
}

// Explain explains.
func Explain(c Case) Explanation {
	e := c.Input.Enrollment
	var out Explanation
	if !e.State.Ended() {
		out.Next = e.Next
	}
	for _, step := range c.Steps {
		s := Step{Step: step, Phase: phase(e, step.Position)}
		for _, record := range c.Records {
			if record.Version == e.Version && record.Position == step.Position {
				s.Records = append(s.Records, record)
			}
		}
		for _, look := range c.Foreseen {
			if look.Position == step.Position {
				s.Foreseen = append(s.Foreseen, look)
			}
		}
		s.Says = s.sentence()
		out.Steps = append(out.Steps, s)
	}
	out.standing(c.Input, c.Foreseen)
	return out
}

func phase(e followup.Enrollment, position int) Phase {
	switch {
	case position < e.Position:
		return Past
	case e.State.Ended():
		return Never
	case position == e.Position:
		return Present
	}
	return Future
}

// standing says where the enrollment stands. While a wait lasts its recorded reason counts; after that, what the rules
// would say.
func (x *Explanation) standing(in followup.Input, foreseen []followup.Foreseen) {
	e, now := in.Enrollment, in.Now
	reason := e.Reason
	switch {
	case e.State == followup.Completed:
		x.Says = ended("Completed", reason, "every step is decided")
		return
	case e.State == followup.Cancelled:
		x.Says = ended("Cancelled", reason, "no reason is recorded")
		return
	case e.State == followup.Active && reason != "" && e.Next.After(now):
	case e.State == followup.Active && len(foreseen) > 0 && foreseen[0].Effect.Result != followup.Succeeded:
		reason = foreseen[0].Effect.Reason
	case e.State == followup.Active && reason == "":
		x.Says = fmt.Sprintf("Active: step %d is to be sent at %s", e.Position, e.Next.Format(time.RFC3339))
		return
	}
	meaning, _ := followup.MeaningOf(reason)
	x.Says = fmt.Sprintf("Step %d: %s [%s]", e.Position, meaning.Says, reason)
	x.WayOut, x.Person = meaning.WayOut, meaning.Person
}

// ended says how an enrollment ended, as in "Completed because a meeting is booked".
func ended(how, reason, without string) string {
	if reason == "" {
		return how + ": " + without
	}
	text := says(reason)
	if rest, ok := strings.CutPrefix(text, strings.ToLower(how)); ok {
		return how + rest
	}
	return how + ": " + text
}

func says(reason string) string {
	meaning, _ := followup.MeaningOf(reason)
	return meaning.Says
}

// Sentence is a decision in words.
func Sentence(result followup.Result, reason string, until time.Time) string {
	if result == followup.Succeeded {
		return "sent"
	}
	text := says(reason)
	if !until.IsZero() {
		text += " until " + until.Format(time.RFC3339)
	}
	return text
}

func (s Step) sentence() string {
	if len(s.Records) > 0 && s.Phase == Past {
		last := s.Records[len(s.Records)-1]
		text := Sentence(last.Result, last.Reason, time.Time{})
		if last.Result != followup.Succeeded {
			text += ", decided"
		}
		return text + " at " + last.Last.Format(time.RFC3339)
	}
	if s.Phase == Past {
		return "decided; its record is no longer kept"
	}
	if s.Phase == Never {
		return "never: the enrollment ended before it"
	}
	if len(s.Foreseen) == 0 {
		return "nothing can be said before the steps ahead of it are settled"
	}
	last := s.Foreseen[len(s.Foreseen)-1]
	text := "would be sent"
	if last.Effect.Result != followup.Succeeded {
		text = says(last.Effect.Reason) + ", decided"
	}
	text += " at " + last.At.Format(time.RFC3339)
	if last.NoCommonHour {
		text += ", and no hour suits every zone that the lead may be in: set the lead's time zone"
	}
	if last.Assumed != "" {
		text += ", if " + last.Assumed
	}
	return text
}
