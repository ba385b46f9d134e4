package server

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/principal"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/refresh"
	"github.com/relance/relance/services/availability/internal/store"
)

const (
	defaultBudget, minBudget, maxBudget = 20 * time.Second, 100 * time.Millisecond, 55 * time.Second
	// answerTime is what is kept of the caller's deadline for finishing looks and for the answer.
	answerTime = 12 * time.Second
)

// modes are those of the API; unspecified is the one for what is due.
var modes = map[availabilityv1.RefreshMode]store.Mode{
	availabilityv1.RefreshMode_REFRESH_MODE_UNSPECIFIED: store.ModeDue,
	availabilityv1.RefreshMode_REFRESH_MODE_DUE:         store.ModeDue,
	availabilityv1.RefreshMode_REFRESH_MODE_ALL:         store.ModeAll,
}

// RefreshDueAvailability refreshes what is due, or all, within a budget.
func (s *Server) RefreshDueAvailability(ctx context.Context, req *availabilityv1.RefreshDueAvailabilityRequest) (*availabilityv1.RefreshDueAvailabilityResponse, error) {
	var bad problems
	mode, known := modes[req.GetMode()]
	if !known {
		bad.add("mode", "is unknown")
	}
	request := refresh.Request{ID: bad.requestID(req.GetRequestId()), Mode: mode, Budget: bad.budget(ctx, req.GetTimeBudget())}
	if err := bad.err(); err != nil {
		return nil, err
	}
	// A run reads all workspaces' calendars, and its receipt names them.
	if err := principal.AuthorizeWorkspace(ctx, ""); err != nil {
		return nil, err
	}
	run, err := s.refresher.Run(ctx, request)
	if err != nil {
		return nil, toStatus(err)
	}
	out := runProto(run)
	return &availabilityv1.RefreshDueAvailabilityResponse{
		Receipt: out.GetReceipt(), FinishedWithinBudget: run.Finished, Run: out.GetName(),
	}, nil
}

// budget takes the asked budget, shortened so that the answer reaches a caller who set a deadline.
func (p *problems) budget(ctx context.Context, asked *durationpb.Duration) time.Duration {
	budget := defaultBudget
	if asked != nil {
		budget = asked.AsDuration()
		if asked.CheckValid() != nil || budget < minBudget || budget > maxBudget {
			p.add("time_budget", "must be %v to %v", minBudget, maxBudget)
		}
	}
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		budget = min(budget, max(left-answerTime, left/4))
	}
	return budget
}

// ListRefreshRuns lists receipts, newest first.
func (s *Server) ListRefreshRuns(ctx context.Context, req *availabilityv1.ListRefreshRunsRequest) (*availabilityv1.ListRefreshRunsResponse, error) {
	var bad problems
	size := bad.pageSize(req.GetPageSize())
	before := bad.pageToken(req.GetPageToken(), runList)
	if err := bad.err(); err != nil {
		return nil, err
	}
	// A receipt tells of all workspaces: who is bound to one is not shown it.
	if err := principal.AuthorizeWorkspace(ctx, ""); err != nil {
		return nil, err
	}
	runs, err := s.store.Runs(ctx, before, size+1)
	if err != nil {
		return nil, toStatus(err)
	}
	out := &availabilityv1.ListRefreshRunsResponse{}
	if len(runs) > size {
		runs = runs[:size]
		out.NextPageToken = pageToken(runList, runs[size-1].ID)
	}
	for _, run := range runs {
		out.RefreshRuns = append(out.RefreshRuns, runProto(run))
	}
	return out, nil
}

func runProto(run store.Run) *availabilityv1.RefreshRun {
	r := run.Receipt
	receipt := &availabilityv1.RefreshReceipt{
		Checked: int32(r.Checked()), Refreshed: int32(r.Refreshed), SkippedNoDefault: int32(r.NoDefault),
		SkippedUnsupportedDuration: int32(r.Unsupported), SkippedBackoff: int32(r.Backoff), Errors: int32(r.Errors),
		Attempted: int32(r.Attempted), DirectBook: int32(r.DirectBook), Metrics: &availabilityv1.RefreshMetrics{
			TotalCaches: int32(run.Metrics.Total), DueCaches: int32(run.Metrics.Due), ErroringCaches: int32(run.Metrics.Erroring),
		},
	}
	if !run.Metrics.OldestAsOf.IsZero() {
		receipt.Metrics.OldestAsOfTime = timestamppb.New(run.Metrics.OldestAsOf)
		receipt.Metrics.OldestWorkspace = workspaceName(run.Metrics.OldestWorkspace)
	}
	for _, failure := range r.Details {
		receipt.ErrorDetails = append(receipt.ErrorDetails, &availabilityv1.RefreshError{
			Workspace: workspacePrefix + failure.Workspace, Reason: failure.Reason, SourceKind: sourceKindProto(failure.Kind),
		})
	}
	out := &availabilityv1.RefreshRun{
		Name: "refreshRuns/" + run.ID.String(), Mode: availabilityv1.RefreshMode_REFRESH_MODE_DUE, Receipt: receipt,
		FinishedWithinBudget: run.Finished, StartTime: timestamppb.New(run.Start),
	}
	if run.Mode == store.ModeAll {
		out.Mode = availabilityv1.RefreshMode_REFRESH_MODE_ALL
	}
	if !run.End.IsZero() {
		out.EndTime = timestamppb.New(run.End)
	}
	return out
}
