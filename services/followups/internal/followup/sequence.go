// Package followup holds the rules of follow-ups: what a valid sequence is, when a step is due, whether it may run now,
// and what each answer means for the enrollment. It is pure: times, settings, leads and slots are handed in, and it
// refuses to know of databases, transports and logs.
package followup

import (
	"fmt"
	"strings"
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
	// MaxSubject is the longest subject template, in bytes.
	MaxSubject = 1024
)

// Channel is how a step reaches the lead.
type Channel string

// Channels.
const (
	SMS   Channel = "sms"
	Email Channel = "email"
)

// Trigger says what enrolls leads by itself.
type Trigger string

// Triggers.
const (
	TriggerManual      Trigger = "manual"
	TriggerLeadCreated Trigger = "lead_created"
)

// Step is one touch of a sequence. The wait counts from the step before it, or from the start.
type Step struct {
	// Position counts from 1.
	Position int
	// Channel is SMS or Email.
	Channel Channel
	// DelayDays are calendar days in the workspace's zone; DelayMinutes come on top.
	DelayDays, DelayMinutes int
	// SubjectTemplate is for email.
	SubjectTemplate string
	// BodyTemplate is plain text with tokens.
	BodyTemplate string
}

// Tokens are the variables that the step's templates use.
func (s Step) Tokens() []template.Token {
	return template.Tokens(s.SubjectTemplate + "\n" + s.BodyTemplate)
}

// Sequence is an ordered list of steps.
type Sequence struct {
	// ID is the sequence.
	ID uuid.UUID
	// DisplayName is shown to people.
	DisplayName string
	// Active sequences take enrollments and send.
	Active bool
	// Trigger enrolls leads.
	Trigger Trigger
	// Version of the steps, from 1.
	Version int
	// Steps in order.
	Steps []Step
}

// Violation is one thing wrong with a sequence.
type Violation struct {
	// Field is the path, such as "sequence.steps[0].body_template".
	Field string
	// Description says what is wrong.
	Description string
}

// CheckShape lists what may never be stored: names, channels, waits and sizes out of range.
func (s Sequence) CheckShape() []Violation {
	var out []Violation
	add := func(field, text string) { out = append(out, Violation{"sequence." + field, text}) }
	if n := utf8.RuneCountInString(strings.TrimSpace(s.DisplayName)); n < 1 || n > MaxName {
		add("display_name", fmt.Sprintf("must have 1 to %d characters", MaxName))
	}
	if len(s.Steps) > MaxSteps {
		add("steps", fmt.Sprintf("must be at most %d", MaxSteps))
	}
	for i, step := range s.Steps {
		for _, v := range step.checkShape() {
			add(fmt.Sprintf("steps[%d].%s", i, v.Field), v.Description)
		}
	}
	if strings.ContainsRune(s.DisplayName, 0) {
		add("display_name", "must not hold a NUL character")
	}
	return out
}

func (s Step) checkShape() []Violation {
	var out []Violation
	if s.Channel != SMS && s.Channel != Email {
		out = append(out, Violation{"channel", "must be SMS or EMAIL"})
	}
	if s.DelayDays < 0 || s.DelayDays > MaxDelayDays {
		out = append(out, Violation{"delay_days", fmt.Sprintf("must be 0 to %d", MaxDelayDays)})
	}
	if s.DelayMinutes < 0 || s.DelayMinutes > MaxDelayMinutes {
		out = append(out, Violation{"delay_minutes", fmt.Sprintf("must be 0 to %d", MaxDelayMinutes)})
	}
	if len(s.SubjectTemplate) > MaxSubject {
		out = append(out, Violation{"subject_template", fmt.Sprintf("must have at most %d bytes", MaxSubject)})
	}
	if len(s.BodyTemplate) > template.MaxText {
		out = append(out, Violation{"body_template", fmt.Sprintf("must have at most %d bytes", template.MaxText)})
	}
	if strings.ContainsRune(s.SubjectTemplate+s.BodyTemplate, 0) {
		out = append(out, Violation{"body_template", "must not hold a NUL character"})
	}
	return out
}

// CheckActivation lists everything that keeps a sequence from being active: no steps, missing content, unknown tokens.
func (s Sequence) CheckActivation() []Violation {
	if len(s.Steps) == 0 {
		return []Violation{{"sequence.steps", "an active sequence needs at least one step"}}
	}
	var out []Violation
	for i, step := range s.Steps {
		path := func(field string) string { return fmt.Sprintf("sequence.steps[%d].%s", i, field) }
		if strings.TrimSpace(step.BodyTemplate) == "" {
			out = append(out, Violation{path("body_template"), "is required"})
		}
		if step.Channel == Email && strings.TrimSpace(step.SubjectTemplate) == "" {
			out = append(out, Violation{path("subject_template"), "is required for email"})
		}
		for _, token := range template.Unknown(step.SubjectTemplate) {
			out = append(out, Violation{path("subject_template"), "unknown token " + token})
		}
		for _, token := range template.Unknown(step.BodyTemplate) {
			out = append(out, Violation{path("body_template"), "unknown token " + token})
		}
	}
	return out
}

// StepKey is one part of one step of one enrollment: the thing that is sent at most once.
type StepKey struct {
	// Workspace and Enrollment own the step.
	Workspace, Enrollment uuid.UUID
	// Position is the step.
	Position int
	// Channel it goes out on.
	Channel Channel
	// Part counts the attempts to say it anew after a definite refusal that paused the enrollment; usually 0.
	Part int
}

// RequestID is the derived id that makes sending the step idempotent: the same key always gives the same id.
func (k StepKey) RequestID() uuid.UUID {
	name := fmt.Sprintf("%s/%d/%s/%d", k.Enrollment, k.Position, k.Channel, k.Part)
	return uuid.NewSHA1(k.Workspace, []byte(name))
}
