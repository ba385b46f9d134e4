package server

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/apierr"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/services/followups/internal/explain"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/foretell"
	"github.com/relance/relance/services/followups/internal/name"
	"github.com/relance/relance/services/followups/internal/store"
)

// ExplainEnrollment tells what happened to an enrollment, why, and what comes next.
func (s *Server) ExplainEnrollment(ctx context.Context, req *followupsv1.ExplainEnrollmentRequest) (*followupsv1.ExplainEnrollmentResponse, error) {
	workspace, id, err := child(ctx, "name", req.GetName(), "enrollments")
	if err != nil {
		return nil, err
	}
	stored, err := s.cfg.Store.GetCase(ctx, workspace, id)
	if err != nil {
		return nil, mapped(err, "enrollment", req.GetName())
	}
	known, err := s.learn(ctx, stored)
	if err != nil {
		return nil, err
	}
	out := &followupsv1.EnrollmentExplanation{
		Enrollment: enrollmentPB(stored.Item.Enrollment), AsOfTime: stamp(known.Input.Now),
	}
	if known.Input.Zone != nil {
		out.TimeZone = known.Input.Zone.String()
	}
	seen, err := foretell.Run(ctx, s.reader.Gate(workspace), []foretell.Look{known.Look()})
	if err != nil {
		return nil, apierr.Unavailable("sync's gate cannot be asked now", err)
	}
	known.Foreseen = seen[0]
	explanation := explain.Explain(known)
	out.Summary, out.WayOut, out.NeedsPerson = explanation.Says, explanation.WayOut, explanation.Person
	out.NextLookTime = stamp(explanation.Next)
	for _, step := range explanation.Steps {
		out.Steps = append(out.Steps, stepExplanationPB(step))
	}
	return &followupsv1.ExplainEnrollmentResponse{Explanation: out}, nil
}

// learn reads what a run would read before it decides.
func (s *Server) learn(ctx context.Context, stored store.Case) (out explain.Case, err error) {
	item := stored.Item
	e := item.Enrollment
	workspace, ok := s.reader.Workspace(ctx, e.Workspace)
	if !ok {
		return explain.Case{}, apierr.Unavailable("the workspace cannot be read now", nil)
	}
	leads, ok := s.reader.Leads(ctx, e.Workspace, []uuid.UUID{e.Lead})
	if !ok {
		return explain.Case{}, apierr.Unavailable("the lead cannot be read now", nil)
	}
	out = explain.Case{
		Steps: stored.Steps, Records: stored.Records,
		Try: followup.Try{Now: s.now(), Max: s.cfg.MaxAttempts, Policy: item.Policy()},
		Input: followup.Input{
			Now: s.now(), Enrollment: e, SequenceActive: item.SequenceActive, ContinueOnReply: item.ContinueOnReply, Meeting: item.Meeting, Step: item.Step, Lead: leads[e.Lead],
			Settings: item.Settings, Zone: workspace.Zone, SendingDisabled: workspace.SendingDisabled, Planned: item.Planned,
		},
	}
	items, err := s.cfg.Store.ListBeside(ctx, e.Workspace, e.Sequence, []uuid.UUID{e.Lead})
	if err != nil {
		return explain.Case{}, mapped(err, "enrollment", "")
	}
	if out.Taken, err = s.places(ctx, append(items, item), workspace.Zone); err != nil {
		return explain.Case{}, err
	}
	read, all := versions{}, stored.Steps
	for _, other := range items {
		life, err := read.life(ctx, s.cfg.Store, other)
		if err != nil {
			return explain.Case{}, mapped(err, "enrollment", "")
		}
		out.Beside, all = append(out.Beside, life), slices.Concat(all, life.Outlook.Steps)
	}
	if slices.ContainsFunc(all, followup.Step.NeedsCalendar) {
		out.Slots, _ = s.reader.Slots(ctx, e.Workspace, workspace.ZoneName)
	}
	return out, nil
}

// places are those of a lead's days that messages have which are not foretold: the next ones of the items are.
func (s *Server) places(ctx context.Context, items []store.Item, zone *time.Location) (map[followup.DayPlace]int, error) {
	first := items[0]
	if first.Settings.DailyCap == 0 || zone == nil {
		return nil, nil
	}
	lead, own := first.Enrollment.Lead, []uuid.UUID{uuid.Nil}
	for _, item := range items {
		if item.Step != nil {
			own = append(own, item.Key().RequestID())
		}
	}
	taken, err := s.cfg.Store.ListPlaces(ctx, first.Enrollment.Workspace, followup.DayOf(s.now(), zone), map[uuid.UUID][]uuid.UUID{lead: own})
	return taken[lead], mapped(err, "enrollment", "")
}

func stepExplanationPB(step explain.Step) *followupsv1.StepExplanation {
	out := &followupsv1.StepExplanation{
		Position: int32(step.Step.Position), Channel: channelPB(step.Step.Channel),
		Phase: followupsv1.StepPhase(step.Phase), Summary: step.Says,
	}
	for _, record := range step.Records {
		decision := &followupsv1.StepDecision{
			Time: stamp(record.Last), FirstTime: stamp(record.First), Times: int32(record.Times), Outcome: string(record.Result),
			Reason: record.Reason, Summary: explain.Sentence(record.Result, record.Reason, record.Until),
			UntilTime: stamp(record.Until), Checks: checksPB(record.Checks), Message: record.Message,
		}
		if record.Run != uuid.Nil {
			decision.Run = name.Run(record.Run)
		}
		out.Decisions = append(out.Decisions, decision)
	}
	for _, look := range step.Foreseen {
		out.Decisions = append(out.Decisions, &followupsv1.StepDecision{
			Foreseen: true, Time: stamp(look.At), FirstTime: stamp(look.At), Times: 1, Outcome: string(look.Effect.Result),
			Reason: look.Effect.Reason, Summary: explain.Sentence(look.Effect.Result, look.Effect.Reason, look.Effect.Until),
			UntilTime: stamp(look.Effect.Until), Checks: checksPB(look.Trace), Assumption: look.Assumed,
		})
	}
	return out
}

func checksPB(checks []followup.Check) []*followupsv1.RuleCheck {
	out := make([]*followupsv1.RuleCheck, len(checks))
	for i, check := range checks {
		out[i] = &followupsv1.RuleCheck{
			Rule: check.Rule, Version: int32(check.Version), Passed: check.Passed(), Move: string(check.Move),
			Reason: check.Reason, UntilTime: stamp(check.Until),
		}
		for _, input := range check.Inputs {
			out[i].Inputs = append(out[i].Inputs, &followupsv1.RuleInput{Name: input.Name, Value: input.Value})
		}
	}
	return out
}
