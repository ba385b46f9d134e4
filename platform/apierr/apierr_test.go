package apierr_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/internal/echo"
	"github.com/relance/relance/platform/rpctest"
)

func full() *apierr.Error {
	return &apierr.Error{
		Code: codes.FailedPrecondition, Domain: "sync.relance.dev", Reason: "DND_ACTIVE", Message: "do not disturb is on",
		Metadata:      map[string]string{"channel": "sms", "source": "provider"},
		Violations:    []apierr.FieldViolation{{Field: "channel", Description: "is off"}, {Field: "lead", Description: "x"}},
		Preconditions: []apierr.PreconditionViolation{{Type: "DND", Subject: "workspaces/w/leads/l", Description: "on"}},
		Help:          []apierr.Link{{Description: "how", URL: "https://relance.dev/docs/errors#dnd_active"}},
		Resource:      &apierr.Resource{Type: "lead", Name: "workspaces/w/leads/l"},
		RetryAfter:    90 * time.Second,
	}
}

func callWith(t *testing.T, fail error) error {
	t.Helper()
	service := &echo.Server{OnSay: func(context.Context, string) (string, error) { return "", fail }}
	server := rpctest.New(t, rpctest.Config{Policy: echo.Policy(), Register: service.Register})
	_, err := echo.Call(t.Context(), server.Conn(t, "followups"), "hi")
	return err
}

func TestWireRoundTripKeepsEveryDetail(t *testing.T) {
	t.Parallel()
	sent := full()
	sent.Cause = errors.New("secret cause")
	err := callWith(t, fmt.Errorf("send message: %w", sent))
	got := rpctest.RequireError(t, err, codes.FailedPrecondition, "DND_ACTIVE")
	if diff := cmp.Diff(full(), got); diff != "" {
		t.Errorf("(-sent +received)\n%s", diff)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the cause crossed the wire: %v", err)
	}
	if !apierr.Is(err, "sync.relance.dev", "DND_ACTIVE") || apierr.Is(err, "relance.dev", "DND_ACTIVE") {
		t.Error("Is must compare domain and reason")
	}
}

func TestConstructorsCrossTheWire(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want *apierr.Error
	}{
		{"invalid", apierr.Invalid(apierr.FieldViolation{Field: "a", Description: "b"}), &apierr.Error{
			Code: codes.InvalidArgument, Violations: []apierr.FieldViolation{{Field: "a", Description: "b"}},
		}},
		{"not found", apierr.NotFound("lead", "leads/1"), &apierr.Error{
			Code: codes.NotFound, Resource: &apierr.Resource{Type: "lead", Name: "leads/1"},
		}},
		{"aborted", apierr.Aborted("read again"), &apierr.Error{Code: codes.Aborted}},
		{
			"text that is not UTF-8 keeps its details", apierr.New(codes.Unavailable, "d", "R", "bad \xff").With("k", "\xfe"),
			&apierr.Error{Code: codes.Unavailable, Domain: "d", Reason: "R", Metadata: map[string]string{"k": "\uFFFD"}},
		},
		{"chained", apierr.New(codes.ResourceExhausted, "d", "R", "m").WithHelp("h", "u").WithPrecondition("t", "s", "d").
			WithRetryAfter(time.Second).WithCause(errors.New("c")), &apierr.Error{
			Code: codes.ResourceExhausted, Domain: "d", Reason: "R", Help: []apierr.Link{{Description: "h", URL: "u"}},
			Preconditions: []apierr.PreconditionViolation{{Type: "t", Subject: "s", Description: "d"}}, RetryAfter: time.Second,
		}},
		{"unimplemented is told as such", status.Error(codes.Unimplemented, "no"), &apierr.Error{Code: codes.Unimplemented}},
		{"an error with code OK is still an error", &apierr.Error{}, &apierr.Error{Code: codes.Internal}},
		{"the status of another service is hidden", status.Error(codes.NotFound, "inner"), &apierr.Error{Code: codes.Internal}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := rpctest.RequireError(t, callWith(t, tt.err), tt.want.Code, tt.want.Reason)
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(apierr.Error{}, "Message"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func intercept(ctx context.Context, handler func(context.Context) error) (string, error) {
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	_, err := apierr.UnaryServerInterceptor(logger)(ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/s/M"},
		func(ctx context.Context, _ any) (any, error) { return "partial", handler(ctx) })
	return log.String(), err
}

func TestUnknownErrorIsNeutralAndLoggedOnce(t *testing.T) {
	t.Parallel()
	log, err := intercept(t.Context(), func(context.Context) error { return errors.New("connect to 10.0.0.7: refused") })
	if e := rpctest.RequireError(t, err, codes.Internal, ""); strings.Contains(e.Message, "10.0.0.7") {
		t.Errorf("the cause is in the answer: %q", e.Message)
	}
	if strings.Count(log, "10.0.0.7") != 1 || strings.Count(log, "\n") != 1 {
		t.Errorf("want one line with the cause, got %q", log)
	}
}

func TestExpectedErrorIsNotLogged(t *testing.T) {
	t.Parallel()
	if log, _ := intercept(t.Context(), func(context.Context) error { return full() }); log != "" {
		t.Errorf("logged %q", log)
	}
}

func TestPanicBecomesInternal(t *testing.T) {
	t.Parallel()
	log, err := intercept(t.Context(), func(context.Context) error { panic("boom") })
	rpctest.RequireError(t, err, codes.Internal, "")
	if !strings.Contains(log, "boom") || !strings.Contains(log, "apierr_test.go") {
		t.Errorf("want the panic and its stack in the log, got %q", log)
	}
}

func TestContextErrors(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		ctx  context.Context //nolint:containedctx // the case under test
		err  error
		want codes.Code
	}{
		{"cancelled", cancelled, fmt.Errorf("query: %w", context.Canceled), codes.Canceled},
		{"expired", t.Context(), fmt.Errorf("query: %w", context.DeadlineExceeded), codes.DeadlineExceeded},
		{"status of a call that died with ours", cancelled, status.Error(codes.Canceled, "x"), codes.Canceled},
		{"typed stays typed", cancelled, apierr.Aborted("m").WithCause(context.Canceled), codes.Aborted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log, err := intercept(tt.ctx, func(context.Context) error { return tt.err })
			rpctest.RequireError(t, err, tt.want, "")
			if log != "" {
				t.Errorf("logged %q", log)
			}
		})
	}
}

func TestStreamErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		watch  func(grpc.ServerStream) error
		code   codes.Code
		reason string
	}{
		{"typed after a message", func(s grpc.ServerStream) error {
			if err := s.SendMsg(wrapperspb.String("one")); err != nil {
				return err
			}
			return full()
		}, codes.FailedPrecondition, "DND_ACTIVE"},
		{"panic", func(grpc.ServerStream) error { panic("boom") }, codes.Internal, ""},
		{"plain", func(grpc.ServerStream) error { return errors.New("x") }, codes.Internal, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			service := &echo.Server{OnWatch: tt.watch}
			server := rpctest.New(t, rpctest.Config{Policy: echo.Policy(), Register: service.Register})
			stream, err := echo.Open(t.Context(), server.Conn(t, "sync"))
			for err == nil {
				err = stream.RecvMsg(&wrapperspb.StringValue{})
			}
			rpctest.RequireError(t, err, tt.code, tt.reason)
		})
	}
}

func TestPlainErrorsHaveNoMeaning(t *testing.T) {
	t.Parallel()
	plain := errors.New("x")
	if _, ok := apierr.From(plain); ok || apierr.Reason(plain) != "" || apierr.Code(plain) != codes.Unknown {
		t.Error("a plain error must not look typed")
	}
	if _, ok := apierr.From(nil); ok || apierr.Code(nil) != codes.OK {
		t.Error("nil is OK")
	}
}
