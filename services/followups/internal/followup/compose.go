package followup

import (
	"errors"
	"strings"

	"github.com/relance/relance/services/followups/internal/template"
)

// NeedsCalendar reports whether the step's text uses something of the workspace's calendar.
func (s Step) NeedsCalendar() bool {
	for _, token := range s.Tokens() {
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
	content, err := Render(*in.Step, data(in))
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
	case problem.Kind == template.SpintaxError:
		return Effect{Result: Failed, Reason: string(template.SpintaxError), Move: Hold}
	case problem.Kind == template.UnknownToken:
		return Effect{Result: Failed, Reason: "unknown_token: " + problem.Written, Move: Hold}
	case problem.Token.NeedsSlots():
		return hold(ReasonMissingAvailability)
	}
	return hold("missing_value: " + problem.Written)
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
