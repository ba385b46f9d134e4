package rpc_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/internal/echo"
	"github.com/relance/relance/platform/rpc"
	"github.com/relance/relance/platform/rpctest"
)

func TestDrainLetsCallsFinish(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	service := &echo.Server{OnSay: func(ctx context.Context, text string) (string, error) {
		close(entered)
		<-release
		return text, ctx.Err()
	}}
	r := serve(t, service, nil)
	conn := r.conn(t)
	answer := make(chan error, 1)
	go func() {
		_, err := echo.Call(context.Background(), conn, "slow")
		answer <- err
	}()
	<-entered
	r.stop()
	fresh := r.conn(t)
	eventually(t, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := grpc_health_v1.NewHealthClient(fresh).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		if apierr.Code(err) != codes.Unavailable {
			return fmt.Errorf("a draining server takes new connections: %w", err)
		}
		return nil
	})
	select {
	case err := <-r.served:
		t.Fatalf("Serve returned %v with a call in flight", err)
	default:
	}
	close(release)
	if err := <-answer; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
	if err := <-r.served; err != nil {
		t.Errorf("Serve = %v", err)
	}
}

func TestDrainTimeoutCutsOff(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	service := &echo.Server{OnSay: func(ctx context.Context, _ string) (string, error) {
		close(entered)
		<-ctx.Done()
		return "", ctx.Err()
	}}
	r := serve(t, service, func(cfg *rpc.ServerConfig) { cfg.DrainTimeout = 50 * time.Millisecond })
	conn := r.conn(t)
	answer := make(chan error, 1)
	go func() {
		_, err := echo.Call(context.Background(), conn, "stuck")
		answer <- err
	}()
	<-entered
	r.stop()
	if err := <-r.served; err != nil {
		t.Errorf("Serve = %v", err)
	}
	if err := <-answer; apierr.Code(err) != codes.Unavailable {
		t.Errorf("the stuck call: %v, want Unavailable", err)
	}
}

func TestDrainEndsStreamsAtOnce(t *testing.T) {
	t.Parallel()
	service := &echo.Server{OnWatch: func(stream grpc.ServerStream) error {
		if err := stream.SendMsg(wrapperspb.String("here")); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}}
	r := serve(t, service, func(cfg *rpc.ServerConfig) { cfg.DrainTimeout = time.Minute })
	stream, err := echo.Open(t.Context(), r.conn(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(&wrapperspb.StringValue{}); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	r.stop()
	rpctest.RequireError(t, stream.RecvMsg(&wrapperspb.StringValue{}), codes.Unavailable, "")
	if err := <-r.served; err != nil || time.Since(started) > 30*time.Second {
		t.Errorf("Serve = %v after %s", err, time.Since(started))
	}
}
