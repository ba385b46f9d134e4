package server

import (
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/services/followups/internal/name"
	"github.com/relance/relance/services/followups/internal/simulate"
)

func (s *simulation) planPB(plan simulate.Plan) *followupsv1.LeadPlan {
	out := &followupsv1.LeadPlan{Lead: name.Lead(s.workspace, plan.Lead), Ends: plan.Ends, WaitsFor: plan.Waits}
	for _, touch := range plan.Touches {
		out.Touches = append(out.Touches, &followupsv1.PlannedTouch{
			StepPosition: int32(touch.Position), Channel: channelPB(touch.Channel), Time: stamp(touch.At),
			Outcome: string(touch.Result), Reason: touch.Reason,
		})
	}
	return out
}

func (s *simulation) countsPB() *followupsv1.SimulationCounts {
	out := &followupsv1.SimulationCounts{Leads: int32(s.counts.Leads), Ended: int32(s.counts.Ended), LeadsInOtherSequences: int32(s.counts.Beside)}
	out.Reasons, out.Waits = reasonsPB(s.counts.All()), reasonsPB(s.counts.Waits())
	return out
}

func reasonsPB(counts []simulate.Count) []*followupsv1.ReasonCount {
	out := make([]*followupsv1.ReasonCount, len(counts))
	for i, count := range counts {
		out[i] = &followupsv1.ReasonCount{Outcome: string(count.Result), Reason: count.Reason, Count: int32(count.Count)}
	}
	return out
}
