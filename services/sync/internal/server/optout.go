package server

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

const reasonNotPending = "OPT_OUT_NOT_PENDING"

// ListOptOuts lists the opt-outs of a workspace, newest first.
func (s *Server) ListOptOuts(ctx context.Context, req *syncv1.ListOptOutsRequest) (*syncv1.ListOptOutsResponse, error) {
	var c check
	workspace := c.workspace("parent", req.GetParent())
	scope := "optOuts:" + req.GetParent()
	if req.GetNeedsReview() {
		scope += ":needsReview"
	}
	size, last := c.page(scope, req.GetPageSize(), req.GetPageToken())
	if err := c.err(); err != nil {
		return nil, err
	}
	var rows []db.OptOut
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) (err error) {
		rows, err = tx.ListOptOuts(ctx, db.ListOptOutsParams{
			WorkspaceID: workspace, Pending: req.GetNeedsReview(), Before: before(last), Page: size + 1,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &syncv1.ListOptOutsResponse{}
	if len(rows) > int(size) {
		rows = rows[:size]
		out.NextPageToken = pageToken(scope, rows[size-1].ID)
	}
	for _, row := range rows {
		out.OptOuts = append(out.OptOuts, optOutProto(row))
	}
	return out, nil
}

// ReviewOptOut records what a person reads in unclear words.
func (s *Server) ReviewOptOut(ctx context.Context, req *syncv1.ReviewOptOutRequest) (*syncv1.ReviewOptOutResponse, error) {
	var c check
	in := store.OptOutDecision{Reason: strings.TrimSpace(req.GetReason()), Reviewer: whoAsks(ctx)}
	in.Workspace, in.ID = c.child("name", req.GetName(), "optOuts")
	switch req.GetDecision() {
	case syncv1.OptOutDecision_OPT_OUT_DECISION_CONFIRM:
	case syncv1.OptOutDecision_OPT_OUT_DECISION_DISMISS:
		in.Dismiss = true
	default:
		c.add("decision", "must be OPT_OUT_DECISION_CONFIRM or OPT_OUT_DECISION_DISMISS")
	}
	c.reason(in.Reason)
	if err := c.err(); err != nil {
		return nil, err
	}
	var row db.OptOut
	var changed bool
	err := s.inWorkspace(ctx, in.Workspace, func(tx *store.Tx) (err error) {
		row, changed, err = tx.DecideOptOut(ctx, in)
		var standing *store.NotPendingError
		if errors.As(err, &standing) {
			return notPending(standing, req.GetName())
		}
		return found(err, "optOut", req.GetName())
	})
	if err != nil {
		return nil, err
	}
	if changed {
		s.Logger.InfoContext(ctx, "opt-out reviewed", slog.String("opt_out", req.GetName()), slog.String("review", optOutReview(row.Review)),
			slog.String("reviewer", in.Reviewer))
	}
	return &syncv1.ReviewOptOutResponse{OptOut: optOutProto(row)}, nil
}

// reason checks what a person gives for the record.
func (c *check) reason(text string) {
	n := utf8.RuneCountInString(text)
	c.when(n < 1 || n > maxText || strings.ContainsRune(text, 0), "reason", "must be 1 to 500 characters, none of them NUL")
}

func whoAsks(ctx context.Context) string {
	who, _ := principal.FromContext(ctx)
	return who.String()
}

func notPending(e *store.NotPendingError, name string) error {
	const text = "only an opt-out that was read in unclear words can be reviewed, once; this one stays as it is"
	return typed(codes.FailedPrecondition, reasonNotPending, text).
		With("review", optOutReview(e.Review)).WithPrecondition(reasonNotPending, name, text)
}

// optOutReview gives the public name of a stored state of review.
func optOutReview(stored string) string {
	switch stored {
	case "NONE":
		return "NOT_NEEDED"
	case "REVERSED":
		return "DISMISSED"
	default:
		return stored
	}
}

func optOutProto(r db.OptOut) *syncv1.OptOut {
	out := &syncv1.OptOut{
		Name: optOutName(r.WorkspaceID, r.ID), Lead: leadName(r.WorkspaceID, r.LeadID), Source: r.Source, Rule: r.Rule,
		Channel: channelProto(r.Channel), Active: r.State == "ACTIVE",
		Review:   syncv1.OptOutReview(syncv1.OptOutReview_value["OPT_OUT_REVIEW_"+optOutReview(r.Review)]),
		Reviewer: r.Reviewer, ReviewReason: r.ReviewNote, ReviewTime: optStamp(r.ReviewTime), OptOutTime: stamp(r.OptOutTime),
		CreateTime: stamp(r.CreateTime), Push: pushProto(r),
	}
	out.LiftedBy, out.LiftReason, out.LiftTime = r.LiftedBy, r.LiftReason, optStamp(r.LiftTime)
	for to, id := range map[*string]*uuid.UUID{&out.Message: r.MessageID, &out.Confirmation: r.ConfirmationID, &out.LiftMessage: r.LiftMessageID} {
		if id != nil {
			*to = messageName(r.WorkspaceID, *id)
		}
	}
	return out
}

func optOutName(workspace, id uuid.UUID) string {
	return workspaceName(workspace) + "/optOuts/" + id.String()
}

func pushProto(r db.OptOut) *syncv1.OptOutPush {
	return &syncv1.OptOutPush{
		State: pushState(r.Push), LastError: r.PushError, AttemptCount: r.PushAttempt, NextAttemptTime: optStamp(r.PushNextTime),
		PushTime: optStamp(r.PushTime), ConfirmTime: optStamp(r.ConfirmTime),
	}
}

func pushState(stored string) syncv1.OptOutPushState {
	return syncv1.OptOutPushState(syncv1.OptOutPushState_value["OPT_OUT_PUSH_STATE_"+stored])
}
