package server

import (
	"context"
	"log/slog"
	"strings"

	"github.com/google/uuid"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// LiftOptOut ends an opt-out because the lead asked a person for it.
func (s *Server) LiftOptOut(ctx context.Context, req *syncv1.LiftOptOutRequest) (*syncv1.LiftOptOutResponse, error) {
	var c check
	in := store.Lift{Reason: strings.TrimSpace(req.GetReason()), By: whoAsks(ctx)}
	in.Workspace, in.ID = c.child("name", req.GetName(), "optOuts")
	c.reason(in.Reason)
	if err := c.err(); err != nil {
		return nil, err
	}
	var row db.OptOut
	var changed bool
	err := s.inWorkspace(ctx, in.Workspace, func(tx *store.Tx) (err error) {
		if row, changed, err = tx.LiftOptOut(ctx, in); err != nil || !changed {
			return found(err, "optOut", req.GetName())
		}
		return tx.Publish(ctx, store.Event{
			Type: store.EventDNDChanged, Workspace: in.Workspace, Lead: row.LeadID, At: tx.Now, Channel: sending.Channel(row.Channel),
		})
	})
	if err != nil {
		return nil, err
	}
	if changed {
		s.Logger.InfoContext(ctx, "opt-out lifted", slog.String("opt_out", req.GetName()), slog.String("by", in.By))
	}
	return &syncv1.LiftOptOutResponse{OptOut: optOutProto(row)}, nil
}

// UnblockLead lifts the block of a lead.
func (s *Server) UnblockLead(ctx context.Context, req *syncv1.UnblockLeadRequest) (*syncv1.UnblockLeadResponse, error) {
	var c check
	workspace, id := c.child("name", req.GetName(), "leads")
	reason, by := strings.TrimSpace(req.GetReason()), whoAsks(ctx)
	c.reason(reason)
	if err := c.err(); err != nil {
		return nil, err
	}
	out := &syncv1.UnblockLeadResponse{}
	var changed int64
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) (err error) {
		changed, err = tx.UnblockLead(ctx, db.UnblockLeadParams{UnblockedBy: by, Reason: reason, Now: &tx.Now, WorkspaceID: workspace, ID: id})
		if err != nil {
			return err
		}
		row, err := tx.Lead(ctx, db.LeadParams{WorkspaceID: workspace, ID: id})
		if err != nil {
			return found(err, "lead", req.GetName())
		}
		channels, err := tx.LeadChannels(ctx, db.LeadChannelsParams{WorkspaceID: workspace, LeadIds: []uuid.UUID{id}})
		out.Lead = leadProto(row, channels)
		return err
	})
	if err != nil {
		return nil, err
	}
	if changed > 0 {
		s.Logger.InfoContext(ctx, "lead unblocked", slog.String("lead", req.GetName()), slog.String("by", by))
	}
	return out, nil
}
