package followup

import (
	"cmp"
	"errors"
	"strings"
	"time"

	"github.com/relance/relance/services/followups/internal/condition"
)

// stepRules are what the step itself asks for: a hold that is over, a pure wait, a time by which it had to be done, and its
// condition.
func stepRules() []rule {
	return []rule{
		{
			name: "hold_not_over", version: 1, applies: func(in Input) bool { return in.Enrollment.WakeOn != "" },
			facts: func(in Input) []Fact {
				return []Fact{{"waits_for", in.Enrollment.WakeOn}, moment("hold_until", in.Enrollment.HoldUntil)}
			},
			ask: func(in Input) (Effect, bool) { return askHold(in.Enrollment, in.Now), true },
		},
		{
			name: "step_is_a_touch", version: 1, applies: func(in Input) bool { return in.Step.Channel == Wait },
			facts: func(in Input) []Fact { return []Fact{{"channel", string(in.Step.Channel)}} },
			ask: func(Input) (Effect, bool) {
				return Effect{Result: Skipped, Reason: ReasonWaited, Move: Advance}, true
			},
		},
		{
			name: "send_within", version: 1, applies: func(in Input) bool { return in.Step.SendWithin > 0 },
			facts: func(in Input) []Fact {
				return []Fact{moment("due", in.Enrollment.Due), {"within", in.Step.SendWithin.String()}, moment("now", in.Now)}
			},
			ask: func(in Input) (Effect, bool) {
				return Effect{Result: Skipped, Reason: ReasonTooLate, Move: Advance, Task: TaskSkipped}, in.Step.Late(in.Enrollment.Due, in.Now)
			},
		},
	}
}

// conditionRule asks the step's condition; it comes after the business hours, so that it holds when the step is done.
func conditionRule() rule {
	return rule{
		name: "condition", version: 1, applies: func(in Input) bool { return !in.Step.unconditional() },
		facts: func(in Input) []Fact {
			facts := []Fact{{"condition", string(cmp.Or(in.Step.Condition, Always))}}
			if in.Step.Expression != "" {
				facts = append(facts, flag("expression", true))
			}
			return facts
		},
		ask: askCondition,
	}
}

// askHold skips a step whose hold has come to its maximum without the event, and waits on before that.
func askHold(e Enrollment, now time.Time) Effect {
	if !e.HoldUntil.After(now) {
		return Effect{Result: Skipped, Reason: heldFor(e), Move: Advance, Task: TaskSkipped}
	}
	effect := stay(e.Reason, now, e.HoldUntil)
	effect.WakeOn, effect.HoldUntil = e.WakeOn, e.HoldUntil
	return effect
}

func (s Step) unconditional() bool {
	return cmp.Or(s.Condition, Always) == Always && s.Expression == ""
}

func askCondition(in Input) (Effect, bool) {
	holds, failed := in.Step.Met(in)
	switch {
	case failed:
		return hold(ReasonConditionError), true
	case !holds:
		return Effect{Result: Skipped, Reason: ReasonConditionUnmet, Move: Advance}, true
	}
	return Effect{}, false
}

// Met tells whether the step's condition and its expression hold. It reports failed for an expression that cannot be
// evaluated for these facts, which is nothing to guess about.
func (s Step) Met(in Input) (holds, failed bool) {
	if !s.Condition.met(in) {
		return false, false
	}
	if s.Expression == "" {
		return true, false
	}
	holds, err := condition.Holds(s.Expression, factsOf(in))
	return holds, err != nil
}

func (c Condition) met(in Input) bool {
	switch c {
	case PhoneProvided:
		return strings.TrimSpace(in.Lead.Phone) != ""
	case EmailProvided:
		return strings.TrimSpace(in.Lead.Email) != ""
	case NoResponse:
		return !in.repliedSinceStart()
	case LinkedInConnected:
		return in.Lead.LinkedInConnected
	}
	return true
}

func (in Input) repliedSinceStart() bool { return in.Lead.LastInbound.After(in.Enrollment.Start) }

// factsOf is what expressions can read; docs/sequences.md describes it.
func factsOf(in Input) condition.Facts {
	lead := in.Lead
	return condition.Facts{
		Lead: condition.Lead{
			FirstName: lead.FirstName, LastName: lead.LastName, Email: lead.Email, Phone: lead.Phone, Company: lead.Company,
			TimeZone: zoneName(in.leadZone()), Replied: !lead.LastInbound.IsZero(), LastInbound: lead.LastInbound,
			LinkedInConnected: lead.LinkedInConnected,
		},
		Enrollment: condition.Enrollment{
			StartTime: in.Enrollment.Start, Step: in.Step.ID, Position: int64(in.Step.Position), Replied: in.repliedSinceStart(),
		},
		Now: in.Now,
	}
}

// leadZone is the zone that delays are counted in: the lead's, or the workspace's while that is unknown.
func (in Input) leadZone() *time.Location {
	if in.Lead != nil && in.Lead.Zone != nil {
		return in.Lead.Zone
	}
	return in.Zone
}

func zoneName(zone *time.Location) string {
	if zone == nil {
		return time.UTC.String()
	}
	return zone.String()
}

// CheckExpression compiles an expression and tells what is wrong with it; empty when nothing is.
func CheckExpression(expression string) string {
	err := condition.Check(expression)
	if err == nil {
		return ""
	}
	if errors.Is(err, condition.ErrInvalid) {
		return strings.TrimPrefix(err.Error(), condition.ErrInvalid.Error()+": ")
	}
	return err.Error()
}

// askPerson is asked with the rendered text: what a person does becomes a pending task with the text, and the sequence
// goes on at once or, when the step asks for it, when the task is done; a message that needs approval waits for it.
func askPerson(in Input, content Content) (Effect, bool) {
	step := *in.Step
	if step.Channel.Automatic() && (!step.RequiresApproval || in.Enrollment.Approved) {
		return Effect{}, false
	}
	effect := Effect{Result: Succeeded, Reason: ReasonTaskCreated, Move: Advance, Task: TaskPending, Suggested: &content}
	if step.RequiresApproval {
		effect.Move, effect.Reason = Hold, ReasonAwaitingApproval
	}
	return effect, true
}

func personRule() rule {
	return rule{
		name: "done_by_itself", version: 1, applies: func(in Input) bool { return !in.Step.Channel.Automatic() || in.Step.RequiresApproval },
		facts: func(in Input) []Fact {
			return []Fact{
				{"channel", string(in.Step.Channel)}, flag("requires_approval", in.Step.RequiresApproval), flag("approved", in.Enrollment.Approved),
			}
		},
	}
}
