package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
)

const (
	maxMessage      = 4 << 20
	defaultDeadline = 60 * time.Second
	readyEvery      = time.Second
)

// ServerConfig is what a server is made of.
type ServerConfig struct {
	// Service is the short name and token audience, such as "sync". Required.
	Service string
	// Listener takes the connections; the server closes it. Required.
	Listener net.Listener
	// Identity is the server's certificate. Required.
	Identity *Identity
	// Policy says who may call what. Required; Serve fails when it misses a registered method.
	Policy principal.Policy
	// Logger gets one line for each unexpected error. Required.
	Logger *slog.Logger
	// Reflection lets grpcurl list the contract. Default off.
	Reflection bool
	// Now is the machine's clock, for tokens. Default time.Now.
	Now func() time.Time
	// DrainTimeout bounds how long calls in flight may finish at shutdown. Default 25 s.
	DrainTimeout time.Duration
	// Ready tells whether the service can work; asked each second and shown by the health service. Default always.
	Ready func(context.Context) error
}

// Server is a gRPC server with the project's interceptors.
type Server struct {
	cfg    ServerConfig
	grpc   *grpc.Server
	health *health.Server
}

// NewServer makes a server. Register services on Registrar, then call Serve.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Service == "" || cfg.Listener == nil || cfg.Identity == nil || cfg.Policy == nil || cfg.Logger == nil {
		return nil, errors.New("new server: Service, Listener, Identity, Policy and Logger are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.DrainTimeout <= 0 {
		cfg.DrainTimeout = 25 * time.Second
	}
	identify := principal.IdentifyConfig{Audience: cfg.Service, Now: cfg.Now}
	s := &Server{cfg: cfg, health: health.NewServer()}
	s.grpc = grpc.NewServer(
		grpc.Creds(credentials.NewTLS(cfg.Identity.ServerTLS())),
		grpc.StatsHandler(otelgrpc.NewServerHandler()),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(1024),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(apierr.UnaryServerInterceptor(cfg.Logger), deadline,
			principal.IdentifyUnary(identify), principal.DecideUnary(cfg.Policy)),
		grpc.ChainStreamInterceptor(apierr.StreamServerInterceptor(cfg.Logger),
			principal.IdentifyStream(identify), principal.DecideStream(cfg.Policy)),
	)
	healthv1.RegisterHealthServer(s.grpc, s.health)
	if cfg.Reflection {
		reflection.Register(s.grpc)
	}
	return s, nil
}

// Registrar is where services are registered, before Serve.
func (s *Server) Registrar() grpc.ServiceRegistrar { return s.grpc }

// Services lists what is registered, for the policy test.
func (s *Server) Services() map[string]grpc.ServiceInfo { return s.grpc.GetServiceInfo() }

// Serve answers calls until ctx ends, then drains: health turns NOT_SERVING, calls in flight finish within
// DrainTimeout, the rest is cut. It fails at once when the policy does not cover the registered methods.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.cfg.Policy.Check(s.grpc.GetServiceInfo()); err != nil {
		return errors.Join(err, s.cfg.Listener.Close())
	}
	probing, stopProbing := context.WithCancel(ctx)
	defer stopProbing()
	probed := make(chan struct{})
	go func() { defer close(probed); s.probe(probing) }()
	served := make(chan error, 1)
	go func() { served <- s.grpc.Serve(s.cfg.Listener) }()
	select {
	case err := <-served:
		stopProbing()
		<-probed
		return fmt.Errorf("serve %s: %w", s.cfg.Service, err)
	case <-ctx.Done():
	}
	<-probed
	s.health.Shutdown()
	s.drain()
	if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve %s: %w", s.cfg.Service, err)
	}
	return nil
}

func (s *Server) drain() {
	done := make(chan struct{})
	go func() { defer close(done); s.grpc.GracefulStop() }()
	timer := time.NewTimer(s.cfg.DrainTimeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		s.grpc.Stop()
		<-done
	}
}

func (s *Server) probe(ctx context.Context) {
	ticker := time.NewTicker(readyEvery)
	defer ticker.Stop()
	last := healthv1.HealthCheckResponse_UNKNOWN
	for {
		state := healthv1.HealthCheckResponse_SERVING
		var cause error
		if s.cfg.Ready != nil {
			check, cancel := context.WithTimeout(ctx, readyEvery)
			if cause = s.cfg.Ready(check); cause != nil {
				state = healthv1.HealthCheckResponse_NOT_SERVING
			}
			cancel()
		}
		if ctx.Err() != nil {
			return
		}
		if state != last {
			s.cfg.Logger.InfoContext(ctx, "readiness changed", slog.String("service", s.cfg.Service),
				slog.String("state", state.String()), slog.Any("cause", cause))
			last = state
		}
		s.health.SetServingStatus("", state)
		s.health.SetServingStatus(s.cfg.Service, state)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// deadline gives every call one, so that nothing waits for ever.
func deadline(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if _, ok := ctx.Deadline(); ok {
		return next(ctx, req)
	}
	ctx, cancel := context.WithTimeout(ctx, defaultDeadline)
	defer cancel()
	return next(ctx, req)
}
