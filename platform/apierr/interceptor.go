package apierr

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// UnaryServerInterceptor turns every error into a typed status: ours as they are, a cancelled or expired context as
// such, everything else into a neutral Internal whose cause is logged once, here. It also turns a panic into Internal.
func UnaryServerInterceptor(logger *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
		defer func() {
			if r := recover(); r != nil {
				resp, err = nil, outcome(ctx, logger, info.FullMethod, recovered(r))
			}
		}()
		resp, err = next(ctx, req)
		return resp, outcome(ctx, logger, info.FullMethod, err)
	}
}

// StreamServerInterceptor does for streams what UnaryServerInterceptor does for unary calls.
func StreamServerInterceptor(logger *slog.Logger) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = outcome(stream.Context(), logger, info.FullMethod, recovered(r))
			}
		}()
		return outcome(stream.Context(), logger, info.FullMethod, next(srv, stream))
	}
}

func recovered(r any) error { return fmt.Errorf("panic: %v\n%s", r, debug.Stack()) }

func outcome(ctx context.Context, logger *slog.Logger, method string, err error) error {
	if err == nil {
		return nil
	}
	e := classify(err)
	if e.Code == codes.Internal || e.Code == codes.Unknown {
		logger.ErrorContext(ctx, "call failed", slog.String("method", method), slog.Any("error", err))
	}
	return e.GRPCStatus().Err()
}

func classify(err error) *Error {
	var own *Error
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: codes.DeadlineExceeded, Message: "the deadline passed before the work was done"}
	case errors.Is(err, context.Canceled):
		return &Error{Code: codes.Canceled, Message: "the caller went away"}
	default:
		// A status received from another service is that service's answer to us, not ours to our caller.
		return Internal(err)
	}
}
