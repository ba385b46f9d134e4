package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/internal/echo"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpc"
	"github.com/relance/relance/platform/rpctest"
)

func newCA(t *testing.T) *rpc.CA {
	t.Helper()
	ca, err := rpc.NewCA(rpc.TrustDomain)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issue(t *testing.T, ca *rpc.CA, service string) *rpc.Identity {
	t.Helper()
	identity, err := ca.Issue(service)
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// running is a server under test whose end the test decides.
type running struct {
	ca     *rpc.CA
	target string
	stop   context.CancelFunc
	served chan error
}

func serve(t *testing.T, service *echo.Server, change func(*rpc.ServerConfig)) *running {
	t.Helper()
	ca, listener := newCA(t), listen(t)
	cfg := rpc.ServerConfig{
		Service: "sync", Listener: listener, Identity: issue(t, ca, "sync"), Policy: echo.Policy(), DrainTimeout: 10 * time.Second,
	}
	if change != nil {
		change(&cfg)
	}
	server, err := rpc.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	service.Register(server.Registrar())
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{ca: ca, target: listener.Addr().String(), stop: cancel, served: make(chan error, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.served <- server.Serve(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

func (r *running) dial(t *testing.T, identity *rpc.Identity, service string) *grpc.ClientConn {
	t.Helper()
	conn, err := rpc.Dial(rpc.ClientConfig{Target: r.target, Service: service, Identity: identity})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (r *running) conn(t *testing.T) *grpc.ClientConn {
	t.Helper()
	return r.dial(t, issue(t, r.ca, "followups"), "sync")
}

// eventually polls until check is content.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestMutualTLS(t *testing.T) {
	t.Parallel()
	r := serve(t, &echo.Server{}, nil)
	otherDomain, err := rpc.NewCA("elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := echo.Call(t.Context(), r.conn(t), "hi"); err != nil || got != "hi" {
		t.Fatalf("the good caller: %q, %v", got, err)
	}
	tests := map[string]*grpc.ClientConn{
		"client of another CA":           r.dial(t, issue(t, newCA(t), "followups"), "sync"),
		"client of another trust domain": r.dial(t, issue(t, otherDomain, "followups"), "sync"),
		"server is not who was asked":    r.dial(t, issue(t, r.ca, "followups"), "availability"),
	}
	for name, conn := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := echo.Call(t.Context(), conn, "hi")
			rpctest.RequireError(t, err, codes.Unavailable, "")
		})
	}
}

func TestServerAllowList(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	server, listener := issue(t, ca, "sync"), listen(t)
	// The bare TLS configs, as others than gRPC use them.
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _ = tlsServe(conn, server.ServerTLS("gateway")) }()
		}
	}()
	for name, allowed := range map[string]bool{"gateway": true, "followups": false} {
		err := tlsPing(listener.Addr().String(), issue(t, ca, name).ClientTLS("sync"))
		if (err == nil) != allowed {
			t.Errorf("%s: %v, want allowed %t", name, err, allowed)
		}
	}
}

func TestPanicLeavesTheServerAlive(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	service := &echo.Server{OnSay: func(_ context.Context, text string) (string, error) {
		if text == "panic" {
			panic("boom")
		}
		return text, nil
	}}
	r := serve(t, service, func(cfg *rpc.ServerConfig) { cfg.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
	conn := r.conn(t)
	_, err := echo.Call(t.Context(), conn, "panic")
	rpctest.RequireError(t, err, codes.Internal, "")
	if got, err := echo.Call(t.Context(), conn, "still there"); err != nil || got != "still there" {
		t.Errorf("after the panic: %q, %v", got, err)
	}
	if strings.Count(log.String(), "boom") != 1 {
		t.Errorf("want the panic logged once, got %s", log.String())
	}
}

func TestServeNamesTheMethodWithoutRow(t *testing.T) {
	t.Parallel()
	r := serve(t, &echo.Server{}, func(cfg *rpc.ServerConfig) { cfg.Policy = principal.Policy{echo.Watch: nil} })
	if err := <-r.served; err == nil || !strings.Contains(err.Error(), echo.Say) {
		t.Errorf("Serve = %v, want %s named", err, echo.Say)
	}
}

func TestNewServerRefusesHalfConfigs(t *testing.T) {
	t.Parallel()
	identity := issue(t, newCA(t), "sync")
	for name, cfg := range map[string]rpc.ServerConfig{
		"no service":       {Listener: listen(t), Identity: identity},
		"no listener":      {Service: "sync", Identity: identity},
		"no identity":      {Service: "sync", Listener: listen(t)},
		"another identity": {Service: "followups", Listener: listen(t), Identity: identity},
	} {
		if _, err := rpc.NewServer(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	left := make(chan time.Duration, 1)
	service := &echo.Server{OnSay: func(ctx context.Context, text string) (string, error) {
		deadline, ok := ctx.Deadline()
		if !ok {
			return "", errors.New("no deadline")
		}
		left <- time.Until(deadline)
		return text, nil
	}}
	r := serve(t, service, nil)
	tests := []struct {
		name    string
		timeout time.Duration
		most    time.Duration
	}{{"client default", 0, 10 * time.Second}, {"client's own", 3 * time.Second, 3 * time.Second}}
	for _, tt := range tests {
		conn, err := rpc.Dial(rpc.ClientConfig{
			Target: r.target, Service: "sync", Identity: issue(t, r.ca, "cron"), DefaultTimeout: tt.timeout,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := echo.Call(context.Background(), conn, "x"); err != nil {
			t.Fatal(err)
		}
		if got := <-left; got > tt.most || got < tt.most/2 {
			t.Errorf("%s: %s left, want about %s", tt.name, got, tt.most)
		}
		_ = conn.Close()
	}
	// A caller without any: what remains is the server's own bound.
	bare, err := grpc.NewClient(r.target, rawCredentials(issue(t, r.ca, "cron")))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bare.Close() }()
	if _, err := echo.Call(context.Background(), bare, "x"); err != nil {
		t.Fatal(err)
	}
	if got := <-left; got > 30*time.Second || got < 20*time.Second {
		t.Errorf("server default: %s left, want about 30s", got)
	}
}

func TestHealthFollowsReady(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	bad := errors.New("no database")
	r := serve(t, &echo.Server{}, func(cfg *rpc.ServerConfig) {
		cfg.Ready = func(context.Context) error { mu.Lock(); defer mu.Unlock(); return bad }
	})
	client := grpc_health_v1.NewHealthClient(r.dial(t, issue(t, r.ca, "gateway"), "sync"))
	is := func(want grpc_health_v1.HealthCheckResponse_ServingStatus) func() error {
		return func() error {
			for _, name := range []string{"", echo.Service} {
				got, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: name})
				if err != nil || got.GetStatus() != want {
					return fmt.Errorf("health of %q = %v, %w; want %v", name, got.GetStatus(), err, want)
				}
			}
			return nil
		}
	}
	eventually(t, is(grpc_health_v1.HealthCheckResponse_NOT_SERVING))
	mu.Lock()
	bad = nil
	mu.Unlock()
	eventually(t, is(grpc_health_v1.HealthCheckResponse_SERVING))
	_, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "unknown"})
	rpctest.RequireError(t, err, codes.NotFound, "")
}

func TestReflectionIsASwitch(t *testing.T) {
	t.Parallel()
	for on, want := range map[bool]codes.Code{true: codes.OK, false: codes.Unimplemented} {
		r := serve(t, &echo.Server{}, func(cfg *rpc.ServerConfig) { cfg.Reflection = on })
		stream, err := grpc_reflection_v1.NewServerReflectionClient(r.conn(t)).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&grpc_reflection_v1.ServerReflectionRequest{
			MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
		})
		if _, err := stream.Recv(); apierr.Code(err) != want {
			t.Errorf("reflection %t: %v, want %s", on, err, want)
		}
	}
}

func TestTooLargeMessage(t *testing.T) {
	t.Parallel()
	r := serve(t, &echo.Server{}, nil)
	_, err := echo.Call(t.Context(), r.conn(t), strings.Repeat("x", 4<<20+1))
	rpctest.RequireError(t, err, codes.ResourceExhausted, "")
}

func TestCallsFailAtOnceWhileTheServerIsAway(t *testing.T) {
	t.Parallel()
	ca, listener := newCA(t), listen(t)
	_ = listener.Close()
	conn, err := rpc.Dial(rpc.ClientConfig{Target: listener.Addr().String(), Service: "sync", Identity: issue(t, ca, "cron")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = echo.Call(t.Context(), conn, "x")
	rpctest.RequireError(t, err, codes.Unavailable, "")
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
