package followup

import (
	"errors"
	"strings"
	"time"

	"github.com/relance/relance/services/followups/internal/template"
)

// Lead is what a decision needs to know of a lead.
type Lead struct {
	// FirstName, LastName, Email, Phone and Company fill templates.
	FirstName, LastName, Email, Phone, Company string
	// Blocked leads are never contacted.
	Blocked bool
	// LastInbound is when the lead last wrote; zero for never.
	LastInbound time.Time
}

// Settings are a workspace's follow-up settings.
type Settings struct {
	// Hours are the business hours.
	Hours Hours
	// PausedUntil holds every step; zero for no pause.
	PausedUntil time.Time
	// SenderName, CompanyName, TargetResult and Questions fill templates.
	SenderName, CompanyName, TargetResult string
	Questions                             []string
}

// DefaultSettings hold for a workspace that set none.
func DefaultSettings() Settings { return Settings{Hours: DefaultHours()} }

// Slots are what the workspace's calendar offers.
type Slots struct {
	// Labels are up to two times to offer.
	Labels []string
	// Link is the public URL of the default calendar; empty when there is none.
	Link string
	// Unreachable says that the calendar could not be read now; nothing else is set then.
	Unreachable bool
}

// Content is a rendered message.
type Content struct {
	// Subject is for email.
	Subject string
	// Body is the text.
	Body string
	// HTML is for email.
	HTML string
}

// Input is all a decision depends on.
type Input struct {
	// Now is the business time.
	Now time.Time
	// Enrollment is due.
	Enrollment Enrollment
	// SendingDisabled is the workspace's kill switch.
	SendingDisabled bool
	// SequenceActive tells whether the sequence may send.
	SequenceActive bool
	// Step is the one at the enrollment's position; nil when none is left.
	Step *Step
	// Lead is nil when the lead is gone.
	Lead *Lead
	// Settings of the workspace.
	Settings Settings
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

// Decision is what to do with a due step.
type Decision struct {
	// Verdict is the kind.
	Verdict Verdict
	// Content is set for Send.
	Content Content
	// Effect is set for Settled.
	Effect Effect
}

// Decide is the one place where it is settled what a due step does now. It asks nobody.
func Decide(in Input) Decision {
	if effect, done := gate(in); done {
		return Decision{Verdict: Settled, Effect: effect.Keep(in.Enrollment.Attempts)}
	}
	if in.Planned != nil {
		return Decision{Verdict: Send, Content: *in.Planned}
	}
	if in.Slots == nil && needsCalendar(*in.Step) {
		return Decision{Verdict: NeedSlots}
	}
	content, effect, ok := compose(in)
	if !ok {
		return Decision{Verdict: Settled, Effect: effect.Keep(in.Enrollment.Attempts)}
	}
	return Decision{Verdict: Send, Content: content}
}

// gate asks, in order, what forbids the step for good, what pauses it, and what only delays it.
func gate(in Input) (Effect, bool) {
	switch {
	case in.Step == nil:
		return Effect{Result: Skipped, Reason: ReasonNoStepLeft, Move: Finish}, true
	case in.Lead == nil:
		return Effect{Result: Skipped, Reason: ReasonLeadGone, Move: End}, true
	case in.Lead.Blocked:
		return Effect{Result: Skipped, Reason: "LEAD_BLOCKED", Move: End}, true
	case in.Lead.LastInbound.After(in.Enrollment.RepliedSince):
		return hold(ReasonLeadReplied), true
	case !in.SequenceActive:
		return hold(ReasonSequenceInactive), true
	case in.SendingDisabled:
		return stay(ReasonSendingDisabled, in.Now, in.Now.Add(waitLong)), true
	case in.Settings.PausedUntil.After(in.Now):
		return stay(ReasonWorkspacePaused, in.Now, in.Settings.PausedUntil), true
	case in.Zone == nil:
		return stay(ReasonUnknownZone, in.Now, in.Now.Add(waitUnknownZone)), true
	}
	return schedule(in)
}

func schedule(in Input) (Effect, bool) {
	if in.Enrollment.Due.IsZero() {
		if due := Due(in.Enrollment.Base, *in.Step, in.Zone); due.After(in.Now) {
			effect := stay(ReasonScheduled, in.Now, due)
			effect.Due = due
			return effect, true
		}
	}
	opening, ok := in.Settings.Hours.NextOpening(in.Now, in.Zone)
	if !ok {
		return hold(ReasonNoBusinessHours), true
	}
	if opening.After(in.Now) {
		return stay(ReasonBusinessHours, in.Now, opening), true
	}
	return Effect{}, false
}

func needsCalendar(step Step) bool {
	for _, token := range step.Tokens() {
		if token.NeedsCalendar() {
			return true
		}
	}
	return false
}

// compose renders the step, or says why it cannot be.
func compose(in Input) (Content, Effect, bool) {
	if in.Slots != nil && in.Slots.Unreachable {
		return Content{}, stay(ReasonCalendarUnreachable, in.Now, in.Now.Add(waitLong)), false
	}
	content, err := Render(*in.Step, values(in))
	if err != nil {
		return Content{}, renderFailure(err), false
	}
	if strings.TrimSpace(content.Body) == "" || (in.Step.Channel == Email && strings.TrimSpace(content.Subject) == "") {
		return Content{}, hold(ReasonMissingContent), false
	}
	return content, Effect{}, true
}

func renderFailure(err error) Effect {
	var bad *template.Error
	if !errors.As(err, &bad) {
		return hold(ReasonContentTooLarge)
	}
	problem := bad.Problems[0]
	switch {
	case problem.Kind == template.UnknownToken:
		return Effect{Result: Failed, Reason: "unknown_token: " + problem.Written, Move: Hold}
	case problem.Token.NeedsSlots():
		return hold(ReasonMissingAvailability)
	}
	return hold("missing_value: " + problem.Written)
}

// Render makes the message of a step. Errors: those of package template.
func Render(step Step, v template.Values) (Content, error) {
	var content Content
	var err error
	if content.Body, err = template.Text(step.BodyTemplate, v); err != nil || step.Channel != Email {
		return content, err
	}
	if content.Subject, err = template.Subject(step.SubjectTemplate, v); err != nil {
		return content, err
	}
	content.HTML, err = template.HTML(step.BodyTemplate, v)
	return content, err
}

func values(in Input) template.Values {
	lead, settings := in.Lead, in.Settings
	v := template.Values{
		template.FirstName: lead.FirstName, template.LastName: lead.LastName, template.Email: lead.Email,
		template.Phone: lead.Phone, template.LeadCompanyName: lead.Company,
		template.SenderName: settings.SenderName, template.CompanyName: settings.CompanyName,
		template.Result: settings.TargetResult, template.Signature: signature(settings),
	}
	for i, token := range []template.Token{template.QuestionOne, template.QuestionTwo} {
		if i < len(settings.Questions) {
			v[token] = settings.Questions[i]
		}
	}
	if in.Slots == nil {
		return v
	}
	v[template.CalendarLink] = in.Slots.Link
	v[template.Availability] = strings.Join(in.Slots.Labels, " or ")
	for i, token := range []template.Token{template.SlotOne, template.SlotTwo} {
		if i < len(in.Slots.Labels) {
			v[token] = in.Slots.Labels[i]
		}
	}
	return v
}

// signature is the sender's name over the company's; without a name there is none.
func signature(s Settings) string {
	if s.SenderName == "" || s.CompanyName == "" {
		return s.SenderName
	}
	return s.SenderName + "\n" + s.CompanyName
}
