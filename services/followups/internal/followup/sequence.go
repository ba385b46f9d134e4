// Package followup holds the rules of follow-ups: what a valid sequence is, when a step is due, whether it may run now,
// and what each answer means for the enrollment. It is pure: times, settings, leads and slots are handed in, and it
// refuses to know of databases, transports and logs.
package followup

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/relance/relance/services/followups/internal/template"
)

// Limits of a sequence.
const (
	// MaxSteps is the largest number of steps.
	MaxSteps = 50
	// MaxDelayDays is the longest wait in days.
	MaxDelayDays = 365
	// MaxDelayMinutes is the longest wait in minutes on top of the days.
	MaxDelayMinutes = 1439
	// MaxName is the longest display name, in characters.
	MaxName = 100
	// MaxDescription is the longest description, in characters.
	MaxDescription = 1000
	// MaxSubject is the longest subject template, in bytes.
	MaxSubject = 1024
	// MaxExpression is the longest CEL condition, in bytes.
	MaxExpression = 2000
	// MaxSpan is the longest time that a no-response trigger or a send-within can name.
	MaxSpan = 365 * 24 * time.Hour

	maxStepID   = 40
	maxTag      = 100
	maxReEnroll = 3650
)

// Sequence is an ordered list of steps.
type Sequence struct {
	// ID is the sequence.
	ID uuid.UUID
	// DisplayName and Description are shown to people.
	DisplayName, Description string
	// Active sequences take enrollments and send.
	Active bool
	// Trigger enrolls leads.
	Trigger Trigger
	// ContinueOnReply tells that a reply does not pause it.
	ContinueOnReply bool
	// Refusals say what refusals mean in this sequence, in all its versions.
	Refusals Policy
	// Version of the steps, from 1.
	Version int
	// Steps in order.
	Steps []Step
}

// WithDefaults numbers the steps and fills what may be left out.
func (s Sequence) WithDefaults() Sequence {
	s.Trigger = s.Trigger.WithDefaults()
	s.Steps = slices.Clone(s.Steps)
	for i := range s.Steps {
		s.Steps[i].Position = i + 1
		s.Steps[i] = s.Steps[i].WithDefaults()
	}
	return s
}

// Violation is one thing wrong with a sequence.
type Violation struct {
	// Field is the path, such as "sequence.steps[0].body_template".
	Field string
	// Step is the step's id; empty for one of the whole sequence.
	Step string
	// Code is a stable name of the kind, such as "unknown_token".
	Code string
	// Description says what is wrong.
	Description string
	// Remedy says what to do about it.
	Remedy string
}

// CodeShape is the code of what may never be stored.
const CodeShape = "invalid_value"

// violations collects what is wrong below one path.
type violations struct {
	list []Violation
	path string
	step string
}

func (v *violations) add(field, code, description, remedy string) {
	v.list = append(v.list, Violation{Field: v.path + field, Step: v.step, Code: code, Description: description, Remedy: remedy})
}

// check adds an invalid value unless ok.
func (v *violations) check(ok bool, field, description string) {
	if !ok {
		v.add(field, CodeShape, description, "correct the value")
	}
}

// at collects below the step's path.
func (v *violations) at(i int, step Step) *violations {
	return &violations{path: fmt.Sprintf("sequence.steps[%d].", i), step: step.ID}
}

// CheckShape lists what may never be stored: names, channels, waits and sizes out of range. The sequence has its defaults.
func (s Sequence) CheckShape() []Violation {
	v := &violations{path: "sequence."}
	n := utf8.RuneCountInString(strings.TrimSpace(s.DisplayName))
	v.check(n >= 1 && n <= MaxName, "display_name", fmt.Sprintf("must have 1 to %d characters", MaxName))
	v.check(utf8.RuneCountInString(s.Description) <= MaxDescription, "description", fmt.Sprintf("must have at most %d characters", MaxDescription))
	v.check(!hasNUL(s.DisplayName), "display_name", "must not hold a NUL character")
	v.check(!hasNUL(s.Description), "description", "must not hold a NUL character")
	v.check(len(s.Steps) <= MaxSteps, "steps", fmt.Sprintf("must be at most %d", MaxSteps))
	s.Trigger.checkShape(v)
	s.Refusals.checkShape(v)
	seen := map[string]int{}
	for i, step := range s.Steps {
		own := v.at(i, step)
		step.checkShape(own)
		if first, taken := seen[step.ID]; taken {
			own.check(false, "step_id", fmt.Sprintf("is the id of step %d too; ids must be unique", first))
		}
		seen[step.ID] = i + 1
		v.list = append(v.list, own.list...)
	}
	return v.list
}

func hasNUL(text string) bool { return strings.ContainsRune(text, 0) }

func (s Step) checkShape(v *violations) {
	v.check(slices.Contains(Channels(), s.Channel), "channel", "must be SMS, EMAIL, LINKEDIN, CALL or WAIT")
	v.check(validID(s.ID), "step_id", fmt.Sprintf("must have 1 to %d lower case letters, digits and hyphens", maxStepID))
	v.check(s.DelayDays >= 0 && s.DelayDays <= MaxDelayDays, "delay_days", fmt.Sprintf("must be 0 to %d", MaxDelayDays))
	v.check(s.DelayMinutes >= 0 && s.DelayMinutes <= MaxDelayMinutes, "delay_minutes", fmt.Sprintf("must be 0 to %d", MaxDelayMinutes))
	v.check(s.Anchor == FromPrevious || s.Anchor == FromStart, "anchor", "must be PREVIOUS or START")
	v.check(slices.Contains(Conditions(), s.Condition), "condition", "is not a condition")
	v.check(len(s.Expression) <= MaxExpression, "expression", fmt.Sprintf("must have at most %d bytes", MaxExpression))
	v.check(s.SendWithin >= 0 && s.SendWithin <= MaxSpan, "send_within_minutes", "must be 0 to 525600")
	v.check(len(s.SubjectTemplate) <= MaxSubject, "subject_template", fmt.Sprintf("must have at most %d bytes", MaxSubject))
	v.check(len(s.BodyTemplate) <= template.MaxText, "body_template", fmt.Sprintf("must have at most %d bytes", template.MaxText))
	v.check(!hasNUL(s.SubjectTemplate+s.BodyTemplate+s.Expression), "body_template", "must not hold a NUL character")
	s.Refusals.checkShape(v)
}

func (t Trigger) checkShape(v *violations) {
	v.check(slices.Contains(TriggerKinds(), t.Kind), "trigger", "is not a trigger")
	if t.Kind.WaitsForSilence() {
		v.check(t.After >= time.Minute && t.After <= MaxSpan, "trigger_options.no_response_minutes", "must be 1 to 525600")
	} else {
		v.check(t.After == 0, "trigger_options.no_response_minutes", "is for the triggers NO_RESPONSE and REACTIVATION only")
	}
	if t.Kind == TriggerTagAdded {
		n := utf8.RuneCountInString(strings.TrimSpace(t.Tag))
		v.check(n >= 1 && n <= maxTag && !hasNUL(t.Tag), "trigger_options.tag", fmt.Sprintf("must have 1 to %d characters", maxTag))
	} else {
		v.check(t.Tag == "", "trigger_options.tag", "is for the trigger TAG_ADDED only")
	}
	v.check(t.Channel == "" || (t.Kind.HasChannel() && t.Channel.Automatic()), "trigger_options.channel",
		"must be SMS or EMAIL, and only for NO_RESPONSE, DND_SET and DND_CLEARED")
	v.check(slices.Contains([]ReEnroll{ReEnrollNever, ReEnrollAlways, ReEnrollAfter}, t.ReEnroll), "trigger_options.re_enroll", "is not a rule")
	if t.ReEnroll == ReEnrollAfter {
		v.check(t.ReEnrollAfterDays >= 1 && t.ReEnrollAfterDays <= maxReEnroll, "trigger_options.re_enroll_after_days", fmt.Sprintf("must be 1 to %d", maxReEnroll))
	} else {
		v.check(t.ReEnrollAfterDays == 0, "trigger_options.re_enroll_after_days", "is for the rule AFTER only")
	}
}

// Check lists what is wrong with a policy whose rules are at path, such as "settings.".
func (p Policy) Check(path string) []Violation {
	v := &violations{path: path}
	p.checkShape(v)
	return v.list
}

func (p Policy) checkShape(v *violations) {
	for _, reason := range p.Reasons() {
		rule, field := p[reason], fmt.Sprintf("refusal_rules[%s]", reason)
		row, known := refusals()[reason]
		switch {
		case !known:
			v.check(false, field, "is not a reason that sync gives; see docs/errors.md")
			continue
		case len(row.allowed) == 0:
			v.check(false, field, "cannot be overridden")
			continue
		}
		v.check(row.allows(rule.Action), field, fmt.Sprintf("allows only %s", list(row.allowed)))
		v.check(rule.Max == 0 || (rule.Action == ActHold && rule.Max >= MinHold && rule.Max <= MaxHold), field,
			"max_hold is for HOLD only and must be 1 hour to 365 days")
		v.check(rule.Delay == 0 || (rule.Action == ActDefer && rule.Delay >= MinDelay && rule.Delay <= MaxDelay), field,
			"delay is for DEFER only and must be 1 minute to 30 days")
		v.check((rule.Max+rule.Delay)%time.Minute == 0, field, "durations must be whole minutes")
	}
}

// Reasons lists the reasons that the layer has rules for, sorted.
func (p Policy) Reasons() []string {
	var reasons []string
	for reason := range p {
		reasons = append(reasons, reason)
	}
	slices.Sort(reasons)
	return reasons
}

func list(actions []PolicyAction) string {
	texts := make([]string, len(actions))
	for i, action := range actions {
		texts[i] = strings.ToUpper(string(action))
	}
	return strings.Join(texts, ", ")
}
