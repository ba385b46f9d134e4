package followup

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/followups/internal/template"
)

// Channel is how a step reaches the lead.
type Channel string

// Channels. SMS and Email leave through sync, LinkedIn and Call are tasks for people, Wait reaches nobody.
const (
	SMS      Channel = "sms"
	Email    Channel = "email"
	LinkedIn Channel = "linkedin"
	Call     Channel = "call"
	Wait     Channel = "wait"
)

// Channels lists all of them.
func Channels() []Channel { return []Channel{SMS, Email, LinkedIn, Call, Wait} }

// Automatic reports whether a message leaves by itself.
func (c Channel) Automatic() bool { return c == SMS || c == Email }

// ByPerson reports whether a person does the step.
func (c Channel) ByPerson() bool { return c == LinkedIn || c == Call }

// Anchor is what a step's delay counts from.
type Anchor string

// Anchors.
const (
	// FromPrevious counts from when the step before was done.
	FromPrevious Anchor = "previous"
	// FromStart counts from the start of the enrollment.
	FromStart Anchor = "start"
)

// Condition says when a step is done; otherwise it is skipped and the sequence goes on.
type Condition string

// Conditions.
const (
	Always            Condition = "always"
	PhoneProvided     Condition = "phone_provided"
	EmailProvided     Condition = "email_provided"
	NoResponse        Condition = "no_response"
	LinkedInConnected Condition = "linkedin_connected"
)

// Conditions lists all of them.
func Conditions() []Condition {
	return []Condition{Always, PhoneProvided, EmailProvided, NoResponse, LinkedInConnected}
}

// Step is one touch of a sequence.
type Step struct {
	// Position counts from 1.
	Position int
	// ID tells the step's identity over versions.
	ID string
	// Channel of the step.
	Channel Channel
	// DelayDays are calendar days in the lead's zone; DelayMinutes come on top.
	DelayDays, DelayMinutes int
	// Anchor is what they count from; empty means FromPrevious.
	Anchor Anchor
	// Condition must hold; empty means Always.
	Condition Condition
	// Expression is a CEL condition that must hold too; empty for none.
	Expression string
	// RequiresApproval holds a message until a person approves it, and the sequence until a person's task is done.
	RequiresApproval bool
	// SendWithin is how long after its due time the step may still be done; 0 means no limit.
	SendWithin time.Duration
	// SubjectTemplate is for email.
	SubjectTemplate string
	// BodyTemplate is plain text with tokens.
	BodyTemplate string
	// Refusals say what refusals mean at this step, where that differs from the sequence.
	Refusals Policy
}

// Tokens are the variables that the step's templates use.
func (s Step) Tokens() []template.Token {
	return template.Tokens(s.SubjectTemplate + "\n" + s.BodyTemplate)
}

// WithDefaults fills what may be left out.
func (s Step) WithDefaults() Step {
	if s.ID == "" {
		s.ID = fmt.Sprintf("step-%d", s.Position)
	}
	if s.Anchor == "" {
		s.Anchor = FromPrevious
	}
	if s.Condition == "" {
		s.Condition = Always
	}
	return s
}

// Late reports whether the step, due at due, may not be done any more at now.
func (s Step) Late(due, now time.Time) bool {
	return s.SendWithin > 0 && !due.IsZero() && now.Sub(due) > s.SendWithin
}

// StepKey is one part of one step of one enrollment: the thing that is sent at most once.
type StepKey struct {
	// Workspace and Enrollment own the step.
	Workspace, Enrollment uuid.UUID
	// Version of the sequence that Position counts in: a migrated enrollment's positions are other steps than before.
	Version int
	// Position is the step.
	Position int
	// Channel it goes out on.
	Channel Channel
	// Part counts the attempts to say it anew after a definite refusal that paused the enrollment; usually 0.
	Part int
}

// RequestID is the derived id that makes sending the step idempotent: the same key always gives the same id.
func (k StepKey) RequestID() uuid.UUID {
	name := fmt.Sprintf("%s/%d/%d/%s/%d", k.Enrollment, k.Version, k.Position, k.Channel, k.Part)
	return uuid.NewSHA1(k.Workspace, []byte(name))
}

// validID reports whether id can be a step's: 1 to 40 lower case letters, digits and hyphens.
func validID(id string) bool {
	return len(id) >= 1 && len(id) <= maxStepID && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
