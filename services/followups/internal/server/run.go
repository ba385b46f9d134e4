package server

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/principal"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/services/followups/internal/name"
	"github.com/relance/relance/services/followups/internal/run"
	"github.com/relance/relance/services/followups/internal/store"
)

// ofAll refuses who is bound to one workspace: a run takes up all of them, and its receipt names them.
func ofAll(ctx context.Context) error { return principal.AuthorizeWorkspace(ctx, "") }

// RunDueFollowUps takes up what is due.
func (s *Server) RunDueFollowUps(ctx context.Context, req *followupsv1.RunDueFollowUpsRequest) (*followupsv1.RunDueFollowUpsResponse, error) {
	if err := ofAll(ctx); err != nil {
		return nil, err
	}
	request, err := requestID(req.GetRequestId())
	if err != nil {
		return nil, err
	}
	budget := time.Duration(0)
	if req.GetTimeBudget() != nil {
		budget = req.GetTimeBudget().AsDuration()
		if budget <= 0 || budget > run.MaxBudget {
			return nil, invalid("time_budget", "must be more than 0 s and at most 55 s")
		}
	}
	receipt, err := s.cfg.Runner.Run(ctx, run.Request{ID: request, Budget: budget})
	if err != nil {
		return nil, mapped(err, "run", "")
	}
	return &followupsv1.RunDueFollowUpsResponse{Run: runPB(receipt)}, nil
}

// GetRun reads a receipt.
func (s *Server) GetRun(ctx context.Context, req *followupsv1.GetRunRequest) (*followupsv1.GetRunResponse, error) {
	id, err := name.ParseRun(req.GetName())
	if err != nil {
		return nil, invalid("name", err.Error())
	}
	if err := ofAll(ctx); err != nil {
		return nil, err
	}
	receipt, err := s.cfg.Store.GetRun(ctx, id)
	if err != nil {
		return nil, mapped(err, "run", req.GetName())
	}
	return &followupsv1.GetRunResponse{Run: runPB(receipt)}, nil
}

// ListRuns lists receipts without their breakdown.
func (s *Server) ListRuns(ctx context.Context, req *followupsv1.ListRunsRequest) (*followupsv1.ListRunsResponse, error) {
	if err := ofAll(ctx); err != nil {
		return nil, err
	}
	page, paging, err := newPaging(req.GetPageSize(), req.GetPageToken(), "runs")
	if err != nil {
		return nil, err
	}
	rows, err := s.cfg.Store.ListRuns(ctx, page)
	if err != nil {
		return nil, mapped(err, "run", "")
	}
	out := &followupsv1.ListRunsResponse{}
	rows, out.NextPageToken = cut(rows, paging, func(run store.Run) uuid.UUID { return run.ID })
	for _, row := range rows {
		out.Runs = append(out.Runs, runPB(row))
	}
	return out, nil
}
