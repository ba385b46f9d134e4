package server

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"google.golang.org/grpc/codes"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

const reasonConflictSettled = "LEAD_CONFLICT_SETTLED"

// ListLeadConflicts lists the conflicts of a workspace, newest first.
func (s *Server) ListLeadConflicts(ctx context.Context, req *syncv1.ListLeadConflictsRequest) (*syncv1.ListLeadConflictsResponse, error) {
	var c check
	workspace := c.workspace("parent", req.GetParent())
	scope := "leadConflicts:" + req.GetParent()
	if req.GetShowResolved() {
		scope += ":all"
	}
	size, last := c.page(scope, req.GetPageSize(), req.GetPageToken())
	if err := c.err(); err != nil {
		return nil, err
	}
	var rows []db.LeadConflict
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) (err error) {
		rows, err = tx.ListConflicts(ctx, db.ListConflictsParams{
			WorkspaceID: workspace, Resolved: req.GetShowResolved(), Before: before(last), Page: size + 1,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &syncv1.ListLeadConflictsResponse{}
	if len(rows) > int(size) {
		rows = rows[:size]
		out.NextPageToken = pageToken(scope, rows[size-1].ID)
	}
	for _, row := range rows {
		out.LeadConflicts = append(out.LeadConflicts, conflictProto(row))
	}
	return out, nil
}

// ResolveLeadConflict records a person's decision about a conflict.
func (s *Server) ResolveLeadConflict(ctx context.Context, req *syncv1.ResolveLeadConflictRequest) (*syncv1.ResolveLeadConflictResponse, error) {
	var c check
	in := store.Resolution{Reason: strings.TrimSpace(req.GetReason()), Resolver: whoAsks(ctx)}
	in.Workspace, in.ID = c.child("name", req.GetName(), "leadConflicts")
	switch req.GetResolution() {
	case syncv1.LeadConflictResolution_LEAD_CONFLICT_RESOLUTION_KEEP:
	case syncv1.LeadConflictResolution_LEAD_CONFLICT_RESOLUTION_MOVE:
		in.Move = true
	default:
		c.add("resolution", "must be LEAD_CONFLICT_RESOLUTION_KEEP or LEAD_CONFLICT_RESOLUTION_MOVE")
	}
	c.reason(in.Reason)
	if err := c.err(); err != nil {
		return nil, err
	}
	var row db.LeadConflict
	var changed bool
	err := s.inWorkspace(ctx, in.Workspace, func(tx *store.Tx) (err error) {
		row, changed, err = tx.ResolveConflict(ctx, in)
		if errors.Is(err, store.ErrConflictSettled) {
			return conflictSettled(row, req.GetName())
		}
		return found(err, "leadConflict", req.GetName())
	})
	if err != nil {
		return nil, err
	}
	if changed {
		s.Logger.InfoContext(ctx, "lead conflict resolved", slog.String("conflict", req.GetName()), slog.String("resolution", row.Resolution),
			slog.String("resolver", in.Resolver))
	}
	return &syncv1.ResolveLeadConflictResponse{LeadConflict: conflictProto(row)}, nil
}

func conflictSettled(row db.LeadConflict, name string) error {
	const text = "the conflict was decided otherwise, or its holder does not hold the address or number any more"
	return typed(codes.FailedPrecondition, reasonConflictSettled, text).
		With("resolution", resolution(row.Resolution)).WithPrecondition(reasonConflictSettled, name, text)
}

// resolution gives the public name of a stored resolution.
func resolution(stored string) string {
	return map[string]string{store.Kept: "KEEP", store.Moved: "MOVE"}[stored]
}

func conflictProto(r db.LeadConflict) *syncv1.LeadConflict {
	return &syncv1.LeadConflict{
		Name: workspaceName(r.WorkspaceID) + "/leadConflicts/" + r.ID.String(), Lead: leadName(r.WorkspaceID, r.LeadID),
		Holder: leadName(r.WorkspaceID, r.HolderID), Key: r.Key, Value: r.Value, Resolver: r.Resolver, Reason: r.Reason,
		Resolution: syncv1.LeadConflictResolution(syncv1.LeadConflictResolution_value["LEAD_CONFLICT_RESOLUTION_"+resolution(r.Resolution)]),
		CreateTime: stamp(r.CreateTime), ResolveTime: optStamp(r.ResolveTime),
	}
}
