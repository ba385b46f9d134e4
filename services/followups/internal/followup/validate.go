package followup

import (
	"strings"

	"github.com/relance/relance/services/followups/internal/condition"
	"github.com/relance/relance/services/followups/internal/template"
)

// Codes of what keeps a sequence from being active.
const (
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
