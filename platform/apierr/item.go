package apierr

import (
	"context"
	"errors"
	"log/slog"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

// Item makes of the error of one item in a batch what UnaryServerInterceptor makes of a call's: a google.rpc.Status that may
// leave, with the cause of an internal one logged here. It gives nil for nil.
func Item(ctx context.Context, logger *slog.Logger, method string, err error) *anypb.Any {
	e := outcome(ctx, logger, method, err)
	if e == nil {
		return nil
	}
	packed, err := anypb.New(e.GRPCStatus().Proto())
	if err != nil {
		return &anypb.Any{} // read as an internal error
	}
	return packed
}

// FromItem gives the error that Item packed: an Internal for what cannot be read, and never nil.
func FromItem(packed *anypb.Any) *Error {
	var st spb.Status
	if err := packed.UnmarshalTo(&st); err != nil {
		return Internal(err)
	}
	if e := fromStatus(status.FromProto(&st)); e.Code != codes.OK {
		return e
	}
	return Internal(errors.New("an item failed with the code OK"))
}

// Caught runs fn, and gives a panic as the error that UnaryServerInterceptor would make of it: for work on one item, whose panic
// must not become the outcome of all.
func Caught(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = recovered(r)
		}
	}()
	return fn()
}
