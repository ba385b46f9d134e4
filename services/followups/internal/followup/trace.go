package followup

import (
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Fact is one thing that a rule looked at. Values are times (RFC 3339, UTC), counts, flags and names; never a phone
// number, an address or a text that a person wrote.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Check is one rule that was asked: what it looked at and what it said.
type Check struct {
	// Rule is the rule's stable name, such as "business_hours", and Version counts its changes of meaning.
	Rule    string `json:"rule"`
	Version int    `json:"version"`
	// Inputs are what it looked at.
	Inputs []Fact `json:"inputs,omitempty"`
	// Move is what it decided for the enrollment; empty when it let the step pass.
	Move Move `json:"move,omitempty"`
	// Reason and Until are those of the effect, when it decided.
	Reason string    `json:"reason,omitempty"`
	Until  time.Time `json:"until,omitzero"`
}

// Passed reports whether the rule let the step pass.
func (c Check) Passed() bool { return c.Move == "" }

// Checks that others make.
const (
	// RuleSend is sync's: whether the message may leave now, and whether it left.
	RuleSend = "send"
	// RuleLearn is whether the services that a decision needs answered at all.
	RuleLearn = "services_answer"
	// RuleIntact is whether the step could be worked on at all.
	RuleIntact = "step_intact"
)

// AnswerCheck is the trace of what another service answered.
func AnswerCheck(rule string, effect Effect, inputs ...Fact) Check {
	check := Check{Rule: rule, Version: 1, Inputs: append(inputs, effect.policyFacts()...)}
	if effect.Result == Succeeded {
		return check
	}
	check.Move, check.Reason, check.Until = effect.Move, effect.Reason, effect.Until
	return check
}

// SettledCheck is the trace of an outcome that came by event.
func SettledCheck(effect Effect, outcome string) Check {
	return AnswerCheck(RuleSend, effect, Fact{"outcome", outcome}, Fact{"by", "event"})
}

// rule is one question that every due step is asked.
type rule struct {
	// name and version are those of its checks. A change of meaning raises the version.
	name    string
	version int
	// applies tells whether the question makes sense for the input; nil means always.
	applies func(Input) bool
	// facts are what ask looks at.
	facts func(Input) []Fact
	// ask gives the effect and true when the rule settles the step.
	ask func(Input) (Effect, bool)
}

func (r rule) passed(in Input) Check {
	return Check{Rule: r.name, Version: r.version, Inputs: r.facts(in)}
}

func (r rule) settled(in Input, effect Effect) Check {
	check := r.passed(in)
	check.Inputs = append(check.Inputs, effect.policyFacts()...)
	check.Move, check.Reason, check.Until = effect.Move, effect.Reason, effect.Until
	return check
}

func flag(name string, value bool) Fact { return Fact{name, strconv.FormatBool(value)} }

func count(name string, value int) Fact { return Fact{name, strconv.Itoa(value)} }

func moment(name string, value time.Time) Fact {
	if value.IsZero() {
		return Fact{name, "never"}
	}
	return Fact{name, value.UTC().Format(time.RFC3339)}
}

// Record is a stored decision: why a step went as it did.
type Record struct {
	// Version and Position name the step, Part its plan.
	Version, Position, Part int
	// Result, Move, Reason, Until and Message are those of the effect.
	Result  Result
	Move    Move
	Reason  string
	Until   time.Time
	Message string
	// Run it was decided in; uuid.Nil for one that came by an event.
	Run uuid.UUID
	// Checks are the rules that were asked, the last time.
	Checks []Check
	// Times counts how often the same was decided, from First to Last.
	Times       int
	First, Last time.Time
}
