package server

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/relance/relance/platform/apierr"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/name"
	"github.com/relance/relance/services/followups/internal/store"
)

// named pairs the values of an enum of the API with those of the domain, both ways.
type named[P comparable, D comparable] map[P]D

func (n named[P, D]) of(pb P) D { return n[pb] }

// pb is the zero value of P for a domain value that the API does not have.
func (n named[P, D]) pb(value D) P {
	for pb, d := range n {
		if d == value {
			return pb
		}
	}
	var none P
	return none
}

func channels() named[followupsv1.StepChannel, followup.Channel] {
	return named[followupsv1.StepChannel, followup.Channel]{
		followupsv1.StepChannel_STEP_CHANNEL_SMS:      followup.SMS,
		followupsv1.StepChannel_STEP_CHANNEL_EMAIL:    followup.Email,
		followupsv1.StepChannel_STEP_CHANNEL_LINKEDIN: followup.LinkedIn,
		followupsv1.StepChannel_STEP_CHANNEL_CALL:     followup.Call,
		followupsv1.StepChannel_STEP_CHANNEL_WAIT:     followup.Wait,
	}
}

func anchors() named[followupsv1.StepAnchor, followup.Anchor] {
	return named[followupsv1.StepAnchor, followup.Anchor]{
		followupsv1.StepAnchor_STEP_ANCHOR_PREVIOUS: followup.FromPrevious,
		followupsv1.StepAnchor_STEP_ANCHOR_START:    followup.FromStart,
	}
}

func conditions() named[followupsv1.StepCondition, followup.Condition] {
	return named[followupsv1.StepCondition, followup.Condition]{
		followupsv1.StepCondition_STEP_CONDITION_ALWAYS:             followup.Always,
		followupsv1.StepCondition_STEP_CONDITION_PHONE_PROVIDED:     followup.PhoneProvided,
		followupsv1.StepCondition_STEP_CONDITION_EMAIL_PROVIDED:     followup.EmailProvided,
		followupsv1.StepCondition_STEP_CONDITION_NO_RESPONSE:        followup.NoResponse,
		followupsv1.StepCondition_STEP_CONDITION_LINKEDIN_CONNECTED: followup.LinkedInConnected,
	}
}

func triggers() named[followupsv1.Trigger, followup.TriggerKind] {
	return named[followupsv1.Trigger, followup.TriggerKind]{
		followupsv1.Trigger_TRIGGER_MANUAL:           followup.TriggerManual,
		followupsv1.Trigger_TRIGGER_LEAD_CREATED:     followup.TriggerLeadCreated,
		followupsv1.Trigger_TRIGGER_NO_RESPONSE:      followup.TriggerNoResponse,
		followupsv1.Trigger_TRIGGER_SETTER_REPLY:     followup.TriggerSetterReply,
		followupsv1.Trigger_TRIGGER_MEETING_SELECTED: followup.TriggerMeetingSelected,
		followupsv1.Trigger_TRIGGER_REACTIVATION:     followup.TriggerReactivation,
		followupsv1.Trigger_TRIGGER_TAG_ADDED:        followup.TriggerTagAdded,
		followupsv1.Trigger_TRIGGER_DND_SET:          followup.TriggerDNDSet,
		followupsv1.Trigger_TRIGGER_DND_CLEARED:      followup.TriggerDNDCleared,
	}
}

func reEnrolls() named[followupsv1.ReEnroll, followup.ReEnroll] {
	return named[followupsv1.ReEnroll, followup.ReEnroll]{
		followupsv1.ReEnroll_RE_ENROLL_NEVER:  followup.ReEnrollNever,
		followupsv1.ReEnroll_RE_ENROLL_ALWAYS: followup.ReEnrollAlways,
		followupsv1.ReEnroll_RE_ENROLL_AFTER:  followup.ReEnrollAfter,
	}
}

func refusalActions() named[followupsv1.RefusalAction, followup.PolicyAction] {
	return named[followupsv1.RefusalAction, followup.PolicyAction]{
		followupsv1.RefusalAction_REFUSAL_ACTION_SKIP:      followup.ActSkip,
		followupsv1.RefusalAction_REFUSAL_ACTION_HOLD:      followup.ActHold,
		followupsv1.RefusalAction_REFUSAL_ACTION_DEFER:     followup.ActDefer,
		followupsv1.RefusalAction_REFUSAL_ACTION_PAUSE:     followup.ActPause,
		followupsv1.RefusalAction_REFUSAL_ACTION_STOP:      followup.ActStop,
		followupsv1.RefusalAction_REFUSAL_ACTION_STOP_LEAD: followup.ActStopLead,
		followupsv1.RefusalAction_REFUSAL_ACTION_RETRY:     followup.ActRetry,
	}
}

func origins() named[followupsv1.PolicyOrigin, followup.Origin] {
	return named[followupsv1.PolicyOrigin, followup.Origin]{
		followupsv1.PolicyOrigin_POLICY_ORIGIN_DEFAULT:   followup.OriginDefault,
		followupsv1.PolicyOrigin_POLICY_ORIGIN_WORKSPACE: followup.OriginWorkspace,
		followupsv1.PolicyOrigin_POLICY_ORIGIN_SEQUENCE:  followup.OriginSequence,
		followupsv1.PolicyOrigin_POLICY_ORIGIN_STEP:      followup.OriginStep,
	}
}

func channelPB(channel followup.Channel) followupsv1.StepChannel { return channels().pb(channel) }

// reader turns a request's sequence into the domain's and collects what has no place there. A value that the enums do
// not know becomes one that the domain refuses, with the same path.
type reader struct {
	violations []apierr.FieldViolation
}

func (r *reader) bad(field, text string) {
	r.violations = append(r.violations, apierr.FieldViolation{Field: field, Description: text})
}

func (r *reader) sequence(in *followupsv1.Sequence) followup.Sequence {
	return followup.Sequence{
		DisplayName: in.GetDisplayName(), Description: in.GetDescription(), Active: in.GetActive(),
		ContinueOnReply: in.GetContinueOnReply(),
		Trigger:         r.trigger(in), Refusals: r.policy("sequence.", in.GetRefusalRules()), Steps: r.steps(in.GetSteps()),
	}.WithDefaults()
}

func (r *reader) trigger(in *followupsv1.Sequence) followup.Trigger {
	options := in.GetTriggerOptions()
	return followup.Trigger{
		Kind: either(triggers(), in.GetTrigger()), Tag: options.GetTag(),
		After:             time.Duration(options.GetNoResponseMinutes()) * time.Minute,
		Channel:           either(channels(), options.GetChannel()),
		ReEnroll:          either(reEnrolls(), options.GetReEnroll()),
		ReEnrollAfterDays: int(options.GetReEnrollAfterDays()),
	}
}

// unknown is a value of no enum of the domain.
const unknown = "?"

// either reads an enum: unspecified is empty, which the domain fills with its default, and a number that the enum does
// not have becomes a value that the domain refuses.
func either[P ~int32, D ~string](values named[P, D], pb P) D {
	if value, ok := values[pb]; ok || pb == 0 {
		return value
	}
	return D(unknown)
}

func (r *reader) steps(steps []*followupsv1.SequenceStep) []followup.Step {
	var out []followup.Step
	for i, step := range steps {
		out = append(out, followup.Step{
			Position: i + 1, ID: step.GetStepId(), Channel: either(channels(), step.GetChannel()),
			DelayDays: int(step.GetDelayDays()), DelayMinutes: int(step.GetDelayMinutes()),
			Anchor: either(anchors(), step.GetAnchor()), Condition: either(conditions(), step.GetCondition()),
			Expression: step.GetExpression(), RequiresApproval: step.GetRequiresApproval(),
			SendWithin:      time.Duration(step.GetSendWithinMinutes()) * time.Minute,
			SubjectTemplate: step.GetSubjectTemplate(), BodyTemplate: step.GetBodyTemplate(),
			Refusals: r.policy(fmt.Sprintf("sequence.steps[%d].", i), step.GetRefusalRules()),
		})
	}
	return out
}

// policy reads one layer; path names where it stands.
func (r *reader) policy(path string, rules []*followupsv1.RefusalRule) followup.Policy {
	var out followup.Policy
	for i, rule := range rules {
		field := fmt.Sprintf("%srefusal_rules[%d]", path, i)
		if _, twice := out[rule.GetReason()]; twice {
			r.bad(field, "the reason has a rule already")
			continue
		}
		read := followup.Rule{Action: either(refusalActions(), rule.GetAction())}
		read.Max = r.duration(field+".max_hold", rule.GetMaxHold())
		read.Delay = r.duration(field+".delay", rule.GetDelay())
		if out == nil {
			out = followup.Policy{}
		}
		out[rule.GetReason()] = read
	}
	return out
}

func (r *reader) duration(field string, in *durationpb.Duration) time.Duration {
	if in == nil {
		return 0
	}
	if in.CheckValid() != nil || in.AsDuration() <= 0 {
		r.bad(field, "must be a positive duration")
		return 0
	}
	return in.AsDuration()
}

func sequencePB(seq store.Sequence) *followupsv1.Sequence {
	out := &followupsv1.Sequence{
		Name: name.Child(seq.Workspace, "sequences", seq.ID), DisplayName: seq.DisplayName, Description: seq.Description,
		Active: seq.Active, Trigger: triggers().pb(seq.Trigger.Kind), TriggerOptions: optionsPB(seq.Trigger),
		RefusalRules: policyPB(seq.Refusals), ContinueOnReply: seq.ContinueOnReply, Version: int32(seq.Version), CreateTime: stamp(seq.Created), UpdateTime: stamp(seq.Updated),
	}
	for i, step := range seq.Steps {
		out.Steps = append(out.Steps, &followupsv1.SequenceStep{
			Position: int32(i + 1), StepId: step.ID, Channel: channelPB(step.Channel), DelayDays: int32(step.DelayDays),
			DelayMinutes: int32(step.DelayMinutes), Anchor: anchors().pb(step.Anchor), Condition: conditions().pb(step.Condition),
			Expression: step.Expression, RequiresApproval: step.RequiresApproval,
			SendWithinMinutes: int32(step.SendWithin / time.Minute), SubjectTemplate: step.SubjectTemplate,
			BodyTemplate: step.BodyTemplate, RefusalRules: policyPB(step.Refusals),
		})
	}
	return out
}

// optionsPB is nil for a trigger without options and with the default rule.
func optionsPB(trigger followup.Trigger) *followupsv1.TriggerOptions {
	if (trigger == followup.Trigger{Kind: trigger.Kind, ReEnroll: followup.ReEnrollNever}) {
		return nil
	}
	return &followupsv1.TriggerOptions{
		NoResponseMinutes: int32(trigger.After / time.Minute), Tag: trigger.Tag, Channel: channelPB(trigger.Channel),
		ReEnroll: reEnrolls().pb(trigger.ReEnroll), ReEnrollAfterDays: int32(trigger.ReEnrollAfterDays),
	}
}

func policyPB(policy followup.Policy) []*followupsv1.RefusalRule {
	var out []*followupsv1.RefusalRule
	for _, reason := range policy.Reasons() {
		out = append(out, rulePB(reason, policy[reason]))
	}
	return out
}

func rulePB(reason string, rule followup.Rule) *followupsv1.RefusalRule {
	out := &followupsv1.RefusalRule{Reason: reason, Action: refusalActions().pb(rule.Action)}
	if rule.Max > 0 {
		out.MaxHold = durationpb.New(rule.Max)
	}
	if rule.Delay > 0 {
		out.Delay = durationpb.New(rule.Delay)
	}
	return out
}

// resolvedPB is a resolved policy with the layer of each rule.
func resolvedPB(layers followup.Layers) []*followupsv1.RefusalRule {
	var out []*followupsv1.RefusalRule
	for _, resolved := range layers.All() {
		rule := rulePB(resolved.Reason, resolved.Rule)
		rule.Origin = origins().pb(resolved.Origin)
		out = append(out, rule)
	}
	return out
}

const moveSamples = 5

func movesPB(workspace uuid.UUID, moves []store.Move) []*followupsv1.EnrollmentMove {
	var out []*followupsv1.EnrollmentMove
	for _, move := range moves {
		pb := &followupsv1.EnrollmentMove{
			FromVersion: int32(move.FromVersion), FromStepId: move.From, ToVersion: int32(move.ToVersion), ToStepId: move.To,
			Count: int32(len(move.Enrollments)), HeldBackReason: move.HeldBack,
		}
		for _, id := range move.Enrollments[:min(moveSamples, len(move.Enrollments))] {
			pb.SampleEnrollments = append(pb.SampleEnrollments, name.Child(workspace, "enrollments", id))
		}
		out = append(out, pb)
	}
	return out
}
