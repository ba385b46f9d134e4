package apierr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// UnaryServerInterceptor turns every error into a typed status: ours as they are, a cancelled or expired context as
// such, everything else into a neutral Internal whose cause is logged once, here. It also turns a panic into Internal.
// It is the outermost interceptor, so that what the others answer is mapped too.
func UnaryServerInterceptor(logger *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
		defer func() {
			if r := recover(); r != nil {
				resp, err = nil, outcome(ctx, logger, info.FullMethod, recovered(r)).GRPCStatus().Err()
			}
		}()
		resp, err = next(ctx, req)
		if e := outcome(ctx, logger, info.FullMethod, err); e != nil {
			return nil, e.GRPCStatus().Err()
		}
		return resp, nil
	}
}

// StreamServerInterceptor does for streams what UnaryServerInterceptor does for unary calls.
func StreamServerInterceptor(logger *slog.Logger) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = outcome(stream.Context(), logger, info.FullMethod, recovered(r)).GRPCStatus().Err()
			}
		}()
		if e := outcome(stream.Context(), logger, info.FullMethod, next(srv, wire{stream})); e != nil {
			return e.GRPCStatus().Err()
		}
		return nil
	}
}

// wire marks what the transport of our own caller reports, so that it is not taken for another service's answer.
type wire struct{ grpc.ServerStream }

func (w wire) RecvMsg(m any) error { return fromWire(w.ServerStream.RecvMsg(m)) }

func (w wire) SendMsg(m any) error { return fromWire(w.ServerStream.SendMsg(m)) }

func fromWire(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	e, ok := From(err)
	if !ok {
		return err
	}
	return e
}

func recovered(r any) error { return fmt.Errorf("panic: %v\n%s", r, debug.Stack()) }

func outcome(ctx context.Context, logger *slog.Logger, method string, err error) *Error {
	if err == nil {
		return nil
	}
	e := classify(ctx, method, err)
	if e.Code == codes.OK || e.Code == codes.Unknown {
		// An error must never arrive as a success, nor as something that callers cannot read.
		e = Internal(err)
	}
	if e.Code == codes.Internal {
		logger.ErrorContext(ctx, "call failed", slog.String("method", method), slog.Any("error", err))
	}
	return e
}

func classify(ctx context.Context, method string, err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	st, isStatus := status.FromError(err)
	switch {
	case isStatus && (strings.HasPrefix(method, "/grpc.") || st.Code() == codes.Unimplemented):
		// gRPC's own services and the generated "not implemented" answer with statuses of their own.
		return fromStatus(st)
	case errors.Is(err, context.DeadlineExceeded), isStatus && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &Error{Code: codes.DeadlineExceeded, Message: "the deadline passed before the work was done"}
	case errors.Is(err, context.Canceled), isStatus && errors.Is(ctx.Err(), context.Canceled):
		return &Error{Code: codes.Canceled, Message: "the call was cancelled"}
	default:
		// A status received from another service is that service's answer to us, not ours to our caller.
		return Internal(err)
	}
}
