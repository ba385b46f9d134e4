package server

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/apierr"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store"
)

// CreateSequence adds a sequence.
func (s *Server) CreateSequence(ctx context.Context, req *followupsv1.CreateSequenceRequest) (*followupsv1.CreateSequenceResponse, error) {
	workspace, err := parent(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	request, err := requestID(req.GetRequestId())
	if err != nil {
		return nil, err
	}
	in := req.GetSequence()
	seq := store.Sequence{Workspace: workspace, Sequence: followup.Sequence{
		DisplayName: in.GetDisplayName(), Active: in.GetActive(), Trigger: triggerOf(in.GetTrigger()), Steps: stepsOf(in.GetSteps()),
	}}
	if err := check(seq.Sequence, ""); err != nil {
		return nil, err
	}
	seq, err = s.cfg.Store.CreateSequence(ctx, seq, request, s.now())
	if err != nil {
		return nil, mapped(err, "sequence", "")
	}
	return &followupsv1.CreateSequenceResponse{Sequence: sequencePB(seq)}, nil
}

// check refuses what may not be stored, and for an active sequence what keeps it from being active.
func check(seq followup.Sequence, subject string) error {
	if violations := seq.CheckShape(); len(violations) > 0 {
		return badFields(violations)
	}
	if !seq.Active {
		return nil
	}
	if violations := seq.CheckActivation(); len(violations) > 0 {
		return sequenceInvalid(violations, subject)
	}
	return nil
}

// GetSequence reads one.
func (s *Server) GetSequence(ctx context.Context, req *followupsv1.GetSequenceRequest) (*followupsv1.GetSequenceResponse, error) {
	workspace, id, err := child(ctx, "name", req.GetName(), "sequences")
	if err != nil {
		return nil, err
	}
	seq, err := s.cfg.Store.GetSequence(ctx, workspace, id)
	if err != nil {
		return nil, mapped(err, "sequence", req.GetName())
	}
	return &followupsv1.GetSequenceResponse{Sequence: sequencePB(seq)}, nil
}

// ListSequences lists a workspace's.
func (s *Server) ListSequences(ctx context.Context, req *followupsv1.ListSequencesRequest) (*followupsv1.ListSequencesResponse, error) {
	workspace, err := parent(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	page, paging, err := newPaging(req.GetPageSize(), req.GetPageToken(), collection(workspace, "sequences"))
	if err != nil {
		return nil, err
	}
	rows, err := s.cfg.Store.ListSequences(ctx, workspace, page)
	if err != nil {
		return nil, mapped(err, "workspace", req.GetParent())
	}
	out := &followupsv1.ListSequencesResponse{}
	rows, out.NextPageToken = cut(rows, paging, func(seq store.Sequence) uuid.UUID { return seq.ID })
	for _, row := range rows {
		out.Sequences = append(out.Sequences, sequencePB(row))
	}
	return out, nil
}

// UpdateSequence changes the fields of the mask.
func (s *Server) UpdateSequence(ctx context.Context, req *followupsv1.UpdateSequenceRequest) (*followupsv1.UpdateSequenceResponse, error) {
	in := req.GetSequence()
	workspace, id, err := child(ctx, "sequence.name", in.GetName(), "sequences")
	if err != nil {
		return nil, err
	}
	if err := checkMask(req.GetUpdateMask().GetPaths(), "display_name", "active", "trigger", "steps"); err != nil {
		return nil, err
	}
	seq, err := s.cfg.Store.UpdateSequence(ctx, workspace, id, s.now(), func(seq *followup.Sequence) error {
		for _, path := range req.GetUpdateMask().GetPaths() {
			switch path {
			case "display_name":
				seq.DisplayName = in.GetDisplayName()
			case "active":
				seq.Active = in.GetActive()
			case "trigger":
				seq.Trigger = triggerOf(in.GetTrigger())
			case "steps":
				seq.Steps = stepsOf(in.GetSteps())
			}
		}
		return check(*seq, in.GetName())
	})
	if err != nil {
		return nil, mapped(err, "sequence", in.GetName())
	}
	return &followupsv1.UpdateSequenceResponse{Sequence: sequencePB(seq)}, nil
}

// checkMask refuses an empty mask and names every unknown path.
func checkMask(paths []string, allowed ...string) error {
	if len(paths) == 0 {
		return invalid("update_mask", "is required")
	}
	known := map[string]bool{}
	for _, path := range allowed {
		known[path] = true
	}
	var violations []apierr.FieldViolation
	for _, path := range paths {
		if !known[path] {
			violations = append(violations, apierr.FieldViolation{Field: "update_mask", Description: fmt.Sprintf("%q cannot be changed", path)})
		}
	}
	if len(violations) > 0 {
		return apierr.Invalid(violations...)
	}
	return nil
}

// DeleteSequence removes a sequence without running enrollments.
func (s *Server) DeleteSequence(ctx context.Context, req *followupsv1.DeleteSequenceRequest) (*followupsv1.DeleteSequenceResponse, error) {
	workspace, id, err := child(ctx, "name", req.GetName(), "sequences")
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Store.DeleteSequence(ctx, workspace, id, s.now()); err != nil {
		return nil, mapped(err, "sequence", req.GetName())
	}
	return &followupsv1.DeleteSequenceResponse{}, nil
}
