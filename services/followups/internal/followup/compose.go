package followup

import (
	"errors"
	"slices"
	"strings"

	"github.com/relance/relance/services/followups/internal/template"
)

// NeedsCalendar reports whether the step's text uses something of the workspace's calendar.
func (s Step) NeedsCalendar() bool {
	return slices.ContainsFunc(s.Tokens(), template.Token.NeedsCalendar)
}

// NeedsSlots reports whether the step's text offers times.
func (s Step) NeedsSlots() bool { return slices.ContainsFunc(s.Tokens(), template.Token.NeedsSlots) }

// compose renders the step, or says why it cannot be.
func compose(in Input) (Content, Effect, bool) {
	if in.Slots != nil && in.Slots.Refusal.Reason == CalendarUnreachable {
		return Content{}, withoutSlots(in), false // Not even a fallback is said for times that may be known in a moment.
	}
	content, err := Render(*in.Step, data(in))
	if err != nil {
		return Content{}, renderFailure(in, err), false
	}
	if strings.TrimSpace(content.Body) == "" || (in.Step.Channel == Email && strings.TrimSpace(content.Subject) == "") {
		return Content{}, hold(ReasonMissingContent), false
	}
	if in.Slots != nil && in.Step.NeedsSlots() {
		content.Until = in.Slots.First
	}
	return content, Effect{}, true
}

func renderFailure(in Input, err error) Effect {
	var bad *template.Error
	if !errors.As(err, &bad) {
		return hold(ReasonContentTooLarge)
	}
	problem := bad.Problems[0]
	switch {
	case problem.Kind == template.SpintaxError:
		return Effect{Result: Failed, Reason: string(template.SpintaxError), Move: Hold}
	case problem.Kind == template.UnknownToken:
		return Effect{Result: Failed, Reason: "unknown_token: " + problem.Written, Move: Hold}
	case problem.Token.NeedsCalendar() && in.Slots != nil:
		return withoutSlots(in)
	}
	return hold("missing_value: " + problem.Written)
}

// withoutSlots is what the refusal policy says of a calendar that offers nothing.
func withoutSlots(in Input) Effect {
	refusal := in.Slots.Refusal
	refusal.Reason, refusal.Channel = in.Slots.Reason(), in.Step.Channel
	effect := Refused(refusal, in.Enrollment, Try{Now: in.Now, Policy: in.Policy, Channel: in.Step.Channel})
	effect.NewPart = false // Nothing was planned that could be over.
	return effect
}

// Render makes the message of a step. Errors: those of package template.
func Render(step Step, data template.Data) (Content, error) {
	var content Content
	var err error
	if content.Body, err = template.Text(step.BodyTemplate, data); err != nil || step.Channel != Email {
		return content, err
	}
	if content.HTML, err = template.HTML(step.BodyTemplate, data); err != nil {
		return content, err
	}
	data.Seed += ":subject" // or its first group would always go with the body's
	content.Subject, err = template.Subject(step.SubjectTemplate, data)
	return content, err
}

// data is what the step is rendered with. The seed is the enrollment and the step's id, so that rendering again, in
// another version too, picks the same options.
func data(in Input) template.Data {
	return template.Data{Values: values(in), Seed: in.Enrollment.ID.String() + ":" + in.Step.ID}
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
