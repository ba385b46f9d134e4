// Package rpctest starts a service on a real loopback socket with real mutual TLS, for tests only.
package rpctest

import (
	"context"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpc"
)

// Config is what is tested.
type Config struct {
	// Service is the short name, such as "sync".
	Service string
	// Policy is the service's decision table.
	Policy principal.Policy
	// Register registers the service.
	Register func(grpc.ServiceRegistrar)
	// Logger defaults to silence.
	Logger *slog.Logger
	// CA is shared between servers of one test when given.
	CA *rpc.CA
}

// Server is a running server.
type Server struct {
	// Addr is "127.0.0.1:port".
	Addr string
	// CA issues identities that the server trusts.
	CA *rpc.CA

	service string
	server  *rpc.Server
}

// New starts a server that ends with the test.
func New(t testing.TB, cfg Config) *Server {
	t.Helper()
	ca := cfg.CA
	if ca == nil {
		ca = NewCA(t)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	listener := Listen(t)
	server, err := rpc.NewServer(rpc.ServerConfig{
		Service: cfg.Service, Listener: listener, Identity: Issue(t, ca, cfg.Service), Policy: cfg.Policy,
		Logger: cfg.Logger, DrainTimeout: 5 * time.Second,
	})
	if err != nil {
		t.Fatalf("new server: %v", err)
	}
	cfg.Register(server.Registrar())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return &Server{Addr: listener.Addr().String(), CA: ca, service: cfg.Service, server: server}
}

// NewCA makes an authority.
func NewCA(t testing.TB) *rpc.CA {
	t.Helper()
	ca, err := rpc.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// Issue makes an identity.
func Issue(t testing.TB, ca *rpc.CA, service string) *rpc.Identity {
	t.Helper()
	identity, err := ca.Issue(service)
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

// Listen opens a free loopback port.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// Services lists what the server registered.
func (s *Server) Services() map[string]grpc.ServiceInfo { return s.server.Services() }

// Conn connects as a service by its certificate.
func (s *Server) Conn(t testing.TB, caller string) *grpc.ClientConn {
	t.Helper()
	return s.dial(t, Issue(t, s.CA, caller))
}

// ConnAs connects as the gateway with a token minted for who.
func (s *Server) ConnAs(t testing.TB, who principal.Principal) *grpc.ClientConn {
	t.Helper()
	identity := Issue(t, s.CA, "gateway")
	key, err := identity.Signer()
	if err != nil {
		t.Fatal(err)
	}
	signer := principal.NewSigner(key, time.Now)
	return s.dial(t, identity, func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		token, err := signer.Token(who, s.service)
		if err != nil {
			return err
		}
		return invoke(principal.OutgoingToken(ctx, token), method, req, reply, cc, opts...)
	})
}

func (s *Server) dial(t testing.TB, identity *rpc.Identity, interceptors ...grpc.UnaryClientInterceptor) *grpc.ClientConn {
	t.Helper()
	conn, err := rpc.Dial(rpc.ClientConfig{Target: s.Addr, Service: s.service, Identity: identity, Interceptors: interceptors})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// RequireError fails the test unless err has this code and reason, and gives it for more checks.
func RequireError(t testing.TB, err error, code codes.Code, reason string) *apierr.Error {
	t.Helper()
	e, ok := apierr.From(err)
	if !ok || e.Code != code || e.Reason != reason {
		t.Fatalf("error = %v, want %v %s", err, code, reason)
	}
	return e
}
