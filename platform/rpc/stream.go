package rpc

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
)

var errDraining = errors.New("the server is stopping")

// drainStream ends streams when the server drains: they last as long as their reader likes, and would otherwise hold
// every shutdown for the whole timeout.
func (s *Server) drainStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-s.draining:
			cancel(errDraining)
		case <-done:
		}
	}()
	err := next(srv, drainable{ServerStream: stream, ctx: ctx})
	if err != nil && errors.Is(context.Cause(ctx), errDraining) {
		return &apierr.Error{Code: codes.Unavailable, Message: "the server is stopping; connect again", Cause: err}
	}
	return err
}

type drainable struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // gRPC hands a stream its context this way
}

func (d drainable) Context() context.Context { return d.ctx }
