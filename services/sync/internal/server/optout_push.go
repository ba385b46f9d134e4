package server

import (
	"context"
	"log/slog"

	"google.golang.org/grpc/codes"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/push"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

const reasonPushNotFailed = "OPT_OUT_PUSH_NOT_FAILED"

// RetryOptOutPush tells the provider of an opt-out again after that was given up.
func (s *Server) RetryOptOutPush(ctx context.Context, req *syncv1.RetryOptOutPushRequest) (*syncv1.RetryOptOutPushResponse, error) {
	var c check
	workspace, id := c.child("name", req.GetName(), "optOuts")
	if err := c.err(); err != nil {
		return nil, err
	}
	var row db.OptOut
	var changed bool
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) (err error) {
		if row, changed, err = tx.RetryPush(ctx, workspace, id); err != nil {
			return found(err, "optOut", req.GetName())
		}
		switch push.State(row.Push) {
		case push.Pending, push.Withdrawing:
			return nil
		default:
			return pushNotFailed(row, req.GetName())
		}
	})
	if err != nil {
		return nil, err
	}
	if changed {
		s.Logger.InfoContext(ctx, "opt-out is told again", slog.String("opt_out", req.GetName()), slog.String("by", whoAsks(ctx)))
	}
	return &syncv1.RetryOptOutPushResponse{OptOut: optOutProto(row)}, nil
}

func pushNotFailed(row db.OptOut, name string) error {
	const text = "the provider was told, or need not be; only what was given up is tried again"
	return typed(codes.FailedPrecondition, reasonPushNotFailed, text).
		With("push", row.Push).WithPrecondition(reasonPushNotFailed, name, text)
}
