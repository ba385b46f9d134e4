package server

import (
	"context"
	"fmt"
	"slices"

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
	var read reader
	seq := store.Sequence{Workspace: workspace, Sequence: read.sequence(req.GetSequence())}
	var supply *followup.Supply
	if seq.Active && len(read.violations) == 0 {
		if supply, err = s.supplyOf(ctx, workspace, seq.Sequence); err != nil {
			return nil, err
		}
	}
	if err := check(seq.Sequence, read, supply, ""); err != nil {
		return nil, err
	}
	seq, err = s.cfg.Store.CreateSequence(ctx, seq, request, s.now())
	if err != nil {
		return nil, mapped(err, "sequence", "")
	}
	return &followupsv1.CreateSequenceResponse{Sequence: sequencePB(seq)}, nil
}

// check refuses what may not be stored, and for an active sequence what keeps it from being active. A nil supply leaves the
// workspace out: a sequence that is active already stays so whatever has changed there.
func check(seq followup.Sequence, read reader, supply *followup.Supply, subject string) error {
	if bad := append(read.violations, fields(seq.CheckShape())...); len(bad) > 0 {
		return apierr.Invalid(bad...)
	}
	if !seq.Active {
		return nil
	}
	violations := seq.CheckActivation()
	if supply != nil {
		violations = append(violations, seq.CheckSupply(*supply)...)
	}
	if len(violations) > 0 {
		return sequenceInvalid(violations, subject)
	}
	return nil
}

// ValidateSequence lists everything wrong with a sequence and changes nothing.
func (s *Server) ValidateSequence(ctx context.Context, req *followupsv1.ValidateSequenceRequest) (*followupsv1.ValidateSequenceResponse, error) {
	workspace, err := parent(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	var read reader
	seq := read.sequence(req.GetSequence())
	if len(read.violations) > 0 {
		return nil, apierr.Invalid(read.violations...)
	}
	settings, err := s.cfg.Store.GetSettings(ctx, workspace)
	if err != nil {
		return nil, mapped(err, "workspace", req.GetParent())
	}
	out := &followupsv1.ValidateSequenceResponse{}
	for _, v := range slices.Concat(seq.CheckShape(), seq.CheckActivation(), seq.CheckSupply(s.supply(ctx, workspace, seq, settings.Settings))) {
		out.Violations = append(out.Violations, &followupsv1.SequenceViolation{
			Field: v.Field, StepId: v.Step, Code: v.Code, Description: v.Description, Remedy: v.Remedy,
		})
	}
	for _, step := range seq.Steps {
		out.Policies = append(out.Policies, &followupsv1.StepPolicy{StepId: step.ID, Rules: resolvedPB(followup.Layers{
			Workspace: settings.Refusals, Sequence: seq.Refusals, Step: step.Refusals,
		})})
	}
	return out, nil
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
	if len(req.GetStepMoves()) > 0 && !req.GetMigrateEnrollments() {
		return nil, invalid("step_moves", "needs migrate_enrollments")
	}
	paths := req.GetUpdateMask().GetPaths()
	if err := checkMask(paths, "display_name", "description", "active", "trigger", "trigger_options",
		"refusal_rules", "continue_on_reply", "steps"); err != nil && (len(paths) > 0 || !req.GetMigrateEnrollments()) {
		return nil, err
	}
	var read reader
	asked := read.sequence(in)
	supply, err := s.supplyToActivate(ctx, workspace, id, func(seq *followup.Sequence) { takeOver(seq, asked, paths) })
	if err != nil {
		return nil, mapped(err, "sequence", in.GetName())
	}
	seq, moves, err := s.cfg.Store.UpdateSequence(ctx, workspace, id, store.Update{
		Now: s.now(), Migrate: req.GetMigrateEnrollments(), Moves: req.GetStepMoves(), DryRun: req.GetValidateOnly(),
		Change: func(seq *followup.Sequence) error {
			takeOver(seq, asked, paths)
			return check(*seq, read, supply, in.GetName())
		},
	})
	if err != nil {
		return nil, mapped(err, "sequence", in.GetName())
	}
	return &followupsv1.UpdateSequenceResponse{Sequence: sequencePB(seq), Moves: movesPB(workspace, moves)}, nil
}

// takeOver takes the fields of the mask over.
func takeOver(seq *followup.Sequence, asked followup.Sequence, paths []string) {
	for _, path := range paths {
		switch path {
		case "display_name":
			seq.DisplayName = asked.DisplayName
		case "description":
			seq.Description = asked.Description
		case "active":
			seq.Active = asked.Active
		case "trigger": // another kind has other options
			if options := asked.Trigger; seq.Trigger.Kind != options.Kind {
				seq.Trigger = options
			}
		case "trigger_options":
			kind := seq.Trigger.Kind
			seq.Trigger = asked.Trigger
			if !slices.Contains(paths, "trigger") {
				seq.Trigger.Kind = kind
			}
		case "continue_on_reply":
			seq.ContinueOnReply = asked.ContinueOnReply
		case "refusal_rules":
			seq.Refusals = asked.Refusals
		case "steps":
			seq.Steps = asked.Steps
		}
	}
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
