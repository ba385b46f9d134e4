// Package rpctest runs a service's gRPC surface for tests as it runs for real: mutual TLS over loopback sockets, the real
// interceptors, the real policy.
package rpctest

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpc"
)

// Config says what to serve.
type Config struct {
	// Service is the name of the service under test; empty means "test".
	Service string
	// Policy is the service's policy; the server does not start without a row for each method.
	Policy principal.Policy
	// Register puts the service on the server.
	Register func(grpc.ServiceRegistrar)
	// Now is the clock tokens are minted and checked with; nil means the machine's.
	Now func() time.Time
}

// Server is a running server that ends with its test.
type Server struct {
	service string
	target  string
	ca      *rpc.CA
	now     func() time.Time
}

// New starts a server; it stops at the end of the test.
func New(t testing.TB, cfg Config) *Server {
	t.Helper()
	if cfg.Service == "" {
		cfg.Service = "test"
	}
	ca, err := rpc.NewCA(rpc.TrustDomain)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{service: cfg.Service, ca: ca, now: cfg.Now}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.target = listener.Addr().String()
	server, err := rpc.NewServer(rpc.ServerConfig{
		Service: cfg.Service, Listener: listener, Identity: s.Identity(t, cfg.Service), Policy: cfg.Policy,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: cfg.Now, DrainTimeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Register != nil {
		cfg.Register(server.Registrar())
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("server under test: %v", err)
		}
	})
	return s
}

// Target is the address the server listens on.
func (s *Server) Target() string { return s.target }

// Identity issues an identity from the server's CA.
func (s *Server) Identity(t testing.TB, service string) *rpc.Identity {
	t.Helper()
	identity, err := s.ca.Issue(service)
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

// Conn connects with the certificate of callerService ("followups").
func (s *Server) Conn(t testing.TB, callerService string) *grpc.ClientConn {
	t.Helper()
	return s.dial(t, s.Identity(t, callerService))
}

// ConnAs connects as p: as the gateway with a minted token for the callers that the gateway authenticates, with their own
// certificate for services, which no token can name.
func (s *Server) ConnAs(t testing.TB, p principal.Principal) *grpc.ClientConn {
	t.Helper()
	switch p.Kind {
	case principal.KindFollowUps, principal.KindAvailability, principal.KindSync, principal.KindGateway:
		if p.Workspace != "" {
			t.Fatalf("a service is not bound to a workspace: %s", p)
		}
		return s.Conn(t, strings.TrimPrefix(string(p.Kind), "system:"))
	}
	gateway := s.Identity(t, "gateway")
	signer := principal.NewSigner(gateway.Signer(), s.now)
	if _, err := signer.Token(p, s.service); err != nil {
		t.Fatal(err)
	}
	with := func(ctx context.Context) (context.Context, error) {
		token, err := signer.Token(p, s.service)
		return principal.OutgoingToken(ctx, token), err
	}
	return s.dial(t, gateway, grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any,
		conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
	) error {
		ctx, err := with(ctx)
		if err != nil {
			return err
		}
		return invoke(ctx, method, req, reply, conn, opts...)
	}), grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn,
		method string, stream grpc.Streamer, opts ...grpc.CallOption,
	) (grpc.ClientStream, error) {
		ctx, err := with(ctx)
		if err != nil {
			return nil, err
		}
		return stream(ctx, desc, conn, method, opts...)
	}))
}

func (s *Server) dial(t testing.TB, identity *rpc.Identity, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := rpc.Dial(rpc.ClientConfig{Target: s.target, Service: s.service, Identity: identity, Options: opts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// RequireError ends the test unless err has this code and reason (empty for errors without one), and gives it decoded.
func RequireError(t testing.TB, err error, code codes.Code, reason string) *apierr.Error {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s %s", code, reason)
	}
	e, ok := apierr.From(err)
	if !ok {
		t.Fatalf("error %v is not typed, want %s %s", err, code, reason)
	}
	if e.Code != code || e.Reason != reason {
		t.Fatalf("error %s %q (%v), want %s %q", e.Code, e.Reason, err, code, reason)
	}
	return e
}
