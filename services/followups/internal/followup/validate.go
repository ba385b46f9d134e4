package followup

import (
	"strings"
	"time"

	"github.com/relance/relance/services/followups/internal/condition"
	"github.com/relance/relance/services/followups/internal/template"
)

// Codes of what keeps a sequence from being active.
const (
	CodeMissingValue = "missing_workspace_value"
	CodeWindow       = "impossible_window"
	CodeUnreachable  = "step_unreachable"
	CodeChannel      = "missing_channel"

	CodeNoSteps      = "no_steps"
	CodeEmptyContent = "empty_content"
	CodeUnknownToken = "unknown_token"
	CodeSpintax      = "spintax_error"
	CodeExpression   = "expression_error"
	CodeNeverDone    = "step_never_done"
)

// CheckActivation lists everything that keeps a sequence from being active, whatever the workspace is.
func (s Sequence) CheckActivation() []Violation {
	v := &violations{path: "sequence."}
	if len(s.Steps) == 0 {
		v.add("steps", CodeNoSteps, "an active sequence needs at least one step", "add a step")
	}
	for i, step := range s.Steps {
		own := v.at(i, step)
		step.checkContent(own)
		step.checkExpression(own)
		v.list = append(v.list, own.list...)
	}
	return v.list
}

func (s Step) checkContent(v *violations) {
	if s.Channel == Wait {
		return
	}
	v.checkText("body_template", s.BodyTemplate)
	if s.Channel == Email {
		v.checkText("subject_template", s.SubjectTemplate)
	}
}

func (v *violations) checkText(field, text string) {
	if strings.TrimSpace(text) == "" {
		v.add(field, CodeEmptyContent, "is required", "write the text")
	}
	for _, problem := range template.Parse(text).Problems() {
		switch problem.Kind {
		case template.UnknownToken:
			v.add(field, CodeUnknownToken, problem.String(), `use a token of docs/sequences.md, or write \\{ for a brace that is text`)
		case template.SpintaxError:
			v.add(field, CodeSpintax, problem.String(), `write [[one|two]], or \\[ for a bracket that is text`)
		}
	}
}

func (s Step) checkExpression(v *violations) {
	if s.Expression == "" {
		return
	}
	if problem := CheckExpression(s.Expression); problem != "" {
		v.add("expression", CodeExpression, problem, "use the variables lead, enrollment and now as docs/sequences.md describes them")
	} else if condition.NeverHolds(s.Expression) {
		v.add("expression", CodeNeverDone, "is false whatever the lead is, so the step is never done", "change the expression or remove the step")
	}
}

// Supply is what a workspace can fill templates with and send through, as far as it is known.
type Supply struct {
	// Settings are the workspace's.
	Settings Settings
	// Calendar is why there are no times, or no link, for sure: a reason of availability; empty when there are, or when it
	// is not known.
	Calendar string
	// Closed are the channels on which the workspace cannot send for sure, with the reason of sync.
	Closed map[Channel]string
}

// Legal hours of texts and calls where the lead lives (47 CFR 64.1200(c)(1)), in minutes of the day.
const legalStart, legalEnd = 8 * 60, 21 * 60

// CheckSupply lists what cannot work in this workspace: values and channels that it does not have, windows that never open,
// steps that cannot be reached. It keeps the sequence from being made active.
func (s Sequence) CheckSupply(supply Supply) []Violation {
	var out []Violation
	var earliest time.Duration
	for i, step := range s.Steps {
		v := (&violations{}).at(i, step)
		step.checkValues(v, supply)
		step.checkChannel(v, supply)
		step.checkWindow(v, supply.Settings.Hours)
		own := time.Duration(step.DelayDays)*24*time.Hour + time.Duration(step.DelayMinutes)*time.Minute
		if step.Anchor == FromStart {
			// An hour for a change of the clocks.
			if step.SendWithin > 0 && earliest > own+step.SendWithin+time.Hour {
				v.add("send_within_minutes", CodeUnreachable, "the steps before it are never done in time for it", "let it wait longer, or drop send_within_minutes")
			}
			earliest = max(earliest, own)
		} else {
			earliest += own
		}
		s.checkTrigger(v, step)
		if step.Channel == Wait && i == len(s.Steps)-1 {
			v.add("channel", CodeUnreachable, "nothing comes after this wait", "remove it or add a step")
		}
		out = append(out, v.list...)
	}
	return out
}

// checkTrigger finds steps that the trigger itself makes impossible.
func (s Sequence) checkTrigger(v *violations, step Step) {
	if s.Trigger.Kind == TriggerDNDSet && s.Trigger.Channel != "" && step.Channel == s.Trigger.Channel {
		v.add("channel", CodeUnreachable, "the sequence starts when do-not-disturb is set for this channel", "use another channel")
	}
}

func (s Step) checkValues(v *violations, supply Supply) {
	have := values(Input{Lead: &Lead{}, Settings: supply.Settings})
	for _, at := range []Fact{{"subject_template", s.SubjectTemplate}, {"body_template", s.BodyTemplate}} {
		for _, use := range template.Parse(at.Value).Uses() {
			problem := template.Problem{Kind: template.MissingValue, Written: use.Written, Token: use.Token}
			fallback := ", or write a fallback such as " + strings.TrimSuffix(use.Written, "}") + "|...}"
			switch {
			case use.HasFallback:
			case use.Token.NeedsCalendar():
				if lack, lacks := supply.calendarLack(use.Token); lacks {
					v.add(at.Name, CodeMissingValue, problem.String()+": "+lack.says, lack.remedy+fallback)
				}
			case use.Token.OfWorkspace() && strings.TrimSpace(have[use.Token]) == "":
				v.add(at.Name, CodeMissingValue, problem.String(), "set it for the workspace"+fallback)
			}
		}
	}
}

// lack is what a workspace does not have, and how it gets it.
type lack struct{ says, remedy string }

// calendarLack tells what keeps a token without its value. A link needs a calendar only, times need one that can be read.
func (s Supply) calendarLack(token template.Token) (lack, bool) {
	if s.Calendar == "NO_DEFAULT_CALENDAR" {
		return lack{"the workspace has no default calendar", "set a default calendar link"}, true
	}
	if !token.NeedsSlots() {
		return lack{}, false
	}
	found, known := map[string]lack{
		"UNSUPPORTED_CALENDAR": {"the default calendar is of no kind that can be read", "set another default calendar"},
		"UNSUPPORTED_DURATION": {"the default calendar has no meetings of the workspace's length", "set a length that it serves"},
		"CALENDAR_INACTIVE":    {"the default calendar is off or gone at the provider", "turn it on there, or set another one"},
	}[s.Calendar]
	return found, known
}

// checkChannel finds messages that no connection of the workspace can send.
func (s Step) checkChannel(v *violations, supply Supply) {
	var through string
	switch s.Channel {
	case SMS:
		through = "a GoHighLevel connection"
	case Email:
		through = "a GoHighLevel connection or an email sender"
	default:
		return
	}
	switch supply.Closed[s.Channel] {
	case "PROVIDER_NOT_CONNECTED":
		v.add("channel", CodeChannel, "the workspace has nothing to send it through", "connect "+through)
	case "PROVIDER_AUTH_REVOKED":
		v.add("channel", CodeChannel, "the provider refuses the workspace's token", "connect "+through+" anew")
	}
}

// checkWindow finds business hours in which no text may be sent at all.
func (s Step) checkWindow(v *violations, hours Hours) {
	if s.Channel != SMS {
		return
	}
	open := hours.Start < legalEnd && hours.End >= legalStart
	if hours.Start > hours.End { // overnight: until midnight, and from midnight on
		open = hours.Start < legalEnd || hours.End >= legalStart
	}
	if !open {
		v.add("channel", CodeWindow, "business hours "+FormatClock(hours.Start)+"-"+FormatClock(hours.End)+" never overlap the legal hours 08:00-21:00 of a lead in the same zone",
			"change the business hours in the settings")
	}
}
