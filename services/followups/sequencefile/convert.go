package sequencefile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
)

const minutesOfDay = 24 * 60

// reader collects what is wrong.
type reader struct{ problems []string }

func (r *reader) bad(w word, format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf("line %d: ", w.line)+fmt.Sprintf(format, args...))
}

// enum is an enum of the API; its words are its value names without their prefix, in lower case.
type enum interface {
	~int32
	protoreflect.Enum
}

func wordOf[E enum](value E) string {
	prefix, _ := words(value)
	name := value.Descriptor().Values().ByNumber(value.Number())
	if name == nil || value.Number() == 0 {
		return ""
	}
	return strings.ToLower(strings.TrimPrefix(string(name.Name()), prefix))
}

// words are the prefix and the words of an enum, in order of their numbers.
func words[E enum](value E) (prefix string, all []string) {
	values := value.Descriptor().Values()
	prefix = strings.TrimSuffix(string(values.ByNumber(0).Name()), "UNSPECIFIED")
	for i := range values.Len() {
		if values.Get(i).Number() != 0 {
			all = append(all, strings.ToLower(strings.TrimPrefix(string(values.Get(i).Name()), prefix)))
		}
	}
	return prefix, all
}

func read[E enum](r *reader, w word, what string) E {
	var none E
	if w.text == "" {
		return none
	}
	prefix, all := words(none)
	value := none.Descriptor().Values().ByName(protoreflect.Name(prefix + strings.ToUpper(w.text)))
	if value == nil || value.Number() == 0 || !slices.Contains(all, w.text) {
		r.bad(w, "%s %q is not known; use one of %s", what, w.text, strings.Join(all, ", "))
		return none
	}
	return E(value.Number())
}

// minutes reads a duration such as "2d 3h 30m", whole minutes.
func (r *reader) minutes(w word, what string) int32 {
	total, err := parseMinutes(w.text)
	if err != nil {
		r.bad(w, "%s %q %s", what, w.text, err)
	}
	return total
}

func (r *reader) duration(w word, what string) *durationpb.Duration {
	if w.text == "" {
		return nil
	}
	return durationpb.New(time.Duration(r.minutes(w, what)) * time.Minute)
}

const maxMinutes = 10 * 365 * minutesOfDay

func parseMinutes(text string) (int32, error) {
	var total int32
	last := int32(1 << 30)
	for part := range strings.FieldsSeq(text) {
		var n, unit int32
		digits := strings.TrimRight(part, "dhm")
		switch strings.TrimPrefix(part, digits) {
		case "d":
			unit = minutesOfDay
		case "h":
			unit = 60
		case "m":
			unit = 1
		}
		if _, err := fmt.Sscanf(digits, "%d", &n); err != nil || unit == 0 || unit >= last || len(digits) > 7 ||
			strings.Trim(digits, "0123456789") != "" {
			return 0, fmt.Errorf(`is not a duration such as "2d 3h 30m"`)
		}
		if total += n * unit; n > maxMinutes/unit || total > maxMinutes {
			return 0, fmt.Errorf("is longer than ten years")
		}
		last = unit
	}
	return total, nil
}

func formatMinutes(total int32) word {
	var parts []string
	for _, unit := range []struct {
		minutes int32
		name    string
	}{{minutesOfDay, "d"}, {60, "h"}, {1, "m"}} {
		if n := total / unit.minutes; n > 0 {
			parts = append(parts, fmt.Sprintf("%d%s", n, unit.name))
		}
		total %= unit.minutes
	}
	return word{text: strings.Join(parts, " ")}
}

func (d document) sequence() (*followupsv1.Sequence, []string) {
	r := &reader{}
	out := &followupsv1.Sequence{
		DisplayName: d.Sequence, Description: d.Description, Active: d.Active, Trigger: followupsv1.Trigger_TRIGGER_MANUAL,
		RefusalRules: r.rules(d.Refusals), ContinueOnReply: d.Continue,
	}
	if d.Sequence == "" {
		r.problems = append(r.problems, "a sequence needs a name: write it as `sequence: <name>`")
	}
	if d.Trigger != nil {
		out.Trigger, out.TriggerOptions = r.trigger(*d.Trigger)
	}
	for i, step := range d.Steps {
		if step.ID == "" {
			step.ID = fmt.Sprintf("step-%d", i+1) // as the service names it, so that files and workspaces compare
		}
		out.Steps = append(out.Steps, r.step(step))
	}
	return out, r.problems
}

func (r *reader) trigger(t trigger) (followupsv1.Trigger, *followupsv1.TriggerOptions) {
	kind := read[followupsv1.Trigger](r, t.Type, "trigger")
	if t.Type.text == "" {
		_, all := words(kind)
		r.problems = append(r.problems, "a trigger needs a type, one of "+strings.Join(all, ", "))
	}
	options := &followupsv1.TriggerOptions{
		NoResponseMinutes: r.minutes(t.After, "after"), Tag: t.Tag.text,
		Channel: read[followupsv1.StepChannel](r, t.Channel, "channel"), ReEnroll: followupsv1.ReEnroll_RE_ENROLL_NEVER,
	}
	switch again := t.ReEnroll; again.text {
	case "", "never":
	case "always":
		options.ReEnroll = followupsv1.ReEnroll_RE_ENROLL_ALWAYS
	default:
		minutes := r.minutes(again, "re_enroll")
		if minutes > 0 && minutes%minutesOfDay != 0 {
			r.bad(again, "re_enroll %q must be never, always or whole days such as 30d", again.text)
		}
		options.ReEnroll, options.ReEnrollAfterDays = followupsv1.ReEnroll_RE_ENROLL_AFTER, minutes/minutesOfDay
	}
	if options.NoResponseMinutes == 0 && options.Tag == "" && options.Channel == 0 && options.ReEnroll == followupsv1.ReEnroll_RE_ENROLL_NEVER {
		options = nil // as the service answers it
	}
	return kind, options
}

func (r *reader) step(s step) *followupsv1.SequenceStep {
	delay := r.minutes(s.Delay, "delay")
	return &followupsv1.SequenceStep{
		StepId: s.ID, Channel: read[followupsv1.StepChannel](r, s.Channel, "channel"),
		DelayDays: delay / minutesOfDay, DelayMinutes: delay % minutesOfDay,
		Anchor: read[followupsv1.StepAnchor](r, s.From, "from"), Condition: read[followupsv1.StepCondition](r, s.If, "if"),
		Expression: s.Expression, RequiresApproval: s.Approval, SendWithinMinutes: r.minutes(s.SendWithin, "send_within"),
		RefusalRules: r.rules(s.Refusals), SubjectTemplate: s.Subject, BodyTemplate: s.Body,
	}
}

func (r *reader) rules(rules map[string]rule) []*followupsv1.RefusalRule {
	var out []*followupsv1.RefusalRule
	for _, reason := range slices.Sorted(maps.Keys(rules)) {
		in := rules[reason]
		out = append(out, &followupsv1.RefusalRule{
			Reason: reason, Action: read[followupsv1.RefusalAction](r, in.Action, "action"),
			MaxHold: r.duration(in.Max, "max"), Delay: r.duration(in.Delay, "delay"),
		})
	}
	return out
}

func documentOf(seq *followupsv1.Sequence) document {
	out := document{
		Sequence: seq.GetDisplayName(), Description: seq.GetDescription(), Active: seq.GetActive(), Continue: seq.GetContinueOnReply(),
		Trigger: triggerOf(seq), Refusals: rulesOf(seq.GetRefusalRules()),
	}
	for _, s := range seq.GetSteps() {
		written := step{
			ID: s.GetStepId(), Channel: word{text: wordOf(s.GetChannel())},
			Delay: formatMinutes(s.GetDelayDays()*minutesOfDay + s.GetDelayMinutes()), Expression: s.GetExpression(),
			Approval: s.GetRequiresApproval(), SendWithin: formatMinutes(s.GetSendWithinMinutes()),
			Refusals: rulesOf(s.GetRefusalRules()), Subject: s.GetSubjectTemplate(), Body: s.GetBodyTemplate(),
		}
		if s.GetAnchor() != followupsv1.StepAnchor_STEP_ANCHOR_PREVIOUS {
			written.From.text = wordOf(s.GetAnchor())
		}
		if s.GetCondition() != followupsv1.StepCondition_STEP_CONDITION_ALWAYS {
			written.If.text = wordOf(s.GetCondition())
		}
		out.Steps = append(out.Steps, written)
	}
	return out
}

func triggerOf(seq *followupsv1.Sequence) *trigger {
	options := seq.GetTriggerOptions()
	kind := wordOf(seq.GetTrigger())
	if kind == "" {
		kind = wordOf(followupsv1.Trigger_TRIGGER_MANUAL)
	}
	out := &trigger{
		Type: word{text: kind}, After: formatMinutes(options.GetNoResponseMinutes()), Tag: word{text: options.GetTag()},
		Channel: word{text: wordOf(options.GetChannel())},
	}
	switch options.GetReEnroll() {
	case followupsv1.ReEnroll_RE_ENROLL_ALWAYS:
		out.ReEnroll.text = "always"
	case followupsv1.ReEnroll_RE_ENROLL_AFTER:
		out.ReEnroll = formatMinutes(options.GetReEnrollAfterDays() * minutesOfDay)
	}
	return out
}

func rulesOf(rules []*followupsv1.RefusalRule) map[string]rule {
	out := map[string]rule{}
	for _, in := range rules {
		written := rule{Action: word{text: wordOf(in.GetAction())}}
		if in.GetMaxHold() != nil {
			written.Max = formatMinutes(int32(in.GetMaxHold().AsDuration() / time.Minute))
		}
		if in.GetDelay() != nil {
			written.Delay = formatMinutes(int32(in.GetDelay().AsDuration() / time.Minute))
		}
		out[in.GetReason()] = written
	}
	return out
}
