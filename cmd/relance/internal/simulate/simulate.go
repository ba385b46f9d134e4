// Package simulate asks the followups service, over the gateway, what a sequence would do, and adds up the answers.
package simulate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/cmd/relance/internal/api"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
)

// leadsPerCall keeps a request below what the gateway takes.
const leadsPerCall = 2000

// errBroken: the last part, with the counts, did not come.
var errBroken = errors.New("the answer broke off before its end")

// Simulation is what is asked.
type Simulation struct {
	// Client calls the gateway.
	Client *api.Client
	// Sequence is "workspaces/{w}/sequences/{uuid}".
	Sequence string
	// Leads are the cohort; none means the running enrollments.
	Leads []string
	// From and To bound the simulated time; zero leaves them to the service.
	From, To time.Time
	// Plan is called for every lead, in order.
	Plan func(*followupsv1.LeadPlan) error
	// Progress is called with the leads done so far and in all.
	Progress func(done, total int)
}

// Run asks, part by part, and adds up. When it fails, or ctx ends, the sum is of what was answered until then.
func (s Simulation) Run(ctx context.Context) (*Sum, error) {
	sum := &Sum{waits: map[string]int{}, steps: map[step]int{}}
	if len(s.Leads) == 0 {
		return sum, s.call(ctx, sum, nil, 0)
	}
	done := 0
	for leads := range slices.Chunk(s.Leads, leadsPerCall) {
		if err := s.call(ctx, sum, leads, done); err != nil {
			return sum, err
		}
		done += len(leads)
	}
	return sum, nil
}

func (s Simulation) call(ctx context.Context, sum *Sum, leads []string, before int) error {
	req, complete := &followupsv1.SimulateSequenceRequest{Leads: leads}, false
	if !s.From.IsZero() {
		req.FromTime = timestamppb.New(s.From)
	}
	if !s.To.IsZero() {
		req.ToTime = timestamppb.New(s.To)
	}
	err := s.Client.Stream(ctx, "/v1/"+s.Sequence+":simulate", req, func(raw json.RawMessage) error {
		var part followupsv1.SimulateSequenceResponse
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, &part); err != nil {
			return fmt.Errorf("read a part: %w", err)
		}
		for _, plan := range part.GetPlans() {
			sum.add(plan)
			if err := s.Plan(plan); err != nil {
				return err
			}
		}
		complete = part.GetCounts() != nil
		sum.Beside += int(part.GetCounts().GetLeadsInOtherSequences())
		s.Progress(before+int(part.GetDone()), max(len(s.Leads), int(part.GetTotal())))
		return nil
	})
	if err == nil && !complete {
		err = errBroken
	}
	if err != nil {
		return fmt.Errorf("simulate: %w", err)
	}
	return nil
}

// step is what several leads have in common at a step.
type step struct {
	position        int32
	channel         followupsv1.StepChannel
	outcome, reason string
}

// Sum adds up plans.
type Sum struct {
	// Leads were simulated; Ended are those whose sequence ends in the simulated time.
	Leads, Ended int
	// Beside are the leads that run through other sequences too.
	Beside int
	// First and Last are when the first and the last step of all is settled.
	First, Last time.Time

	waits map[string]int
	steps map[step]int
}

func (s *Sum) add(plan *followupsv1.LeadPlan) {
	s.Leads++
	if plan.GetEnds() {
		s.Ended++
	} else {
		s.waits[cmp.Or(plan.GetWaitsFor(), "the end of the simulated time")]++
	}
	for _, touch := range plan.GetTouches() {
		s.steps[step{touch.GetStepPosition(), touch.GetChannel(), touch.GetOutcome(), touch.GetReason()}]++
		at := touch.GetTime().AsTime()
		if s.First.IsZero() || at.Before(s.First) {
			s.First = at
		}
		if at.After(s.Last) {
			s.Last = at
		}
	}
}

// Stuck counts leads whose sequence waits for something that time alone does not bring.
func (s *Sum) Stuck() int {
	stuck := 0
	for reason, n := range s.waits {
		if !slices.Contains([]string{"the end of the simulated time", "scheduled", "outside_business_hours", "daily_cap", "spaced_after_delay", "QUIET_HOURS", "FREQUENCY_CAP"}, reason) {
			stuck += n
		}
	}
	return stuck
}

func (s *Sum) sortedSteps() []step {
	return slices.SortedFunc(maps.Keys(s.steps), func(a, b step) int {
		return cmp.Or(cmp.Compare(a.position, b.position), cmp.Compare(s.steps[b], s.steps[a]), cmp.Compare(a.outcome+a.reason, b.outcome+b.reason))
	})
}
