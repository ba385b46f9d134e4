package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc/filters"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
)

const (
	maxMessage       = 4 << 20
	defaultDeadline  = 30 * time.Second
	defaultDrain     = 20 * time.Second
	readyInterval    = time.Second
	readyTimeout     = 3 * time.Second
	connectionAge    = 30 * time.Minute // old connections go, so that new certificates and new replicas get used
	keepaliveTime    = 30 * time.Second
	keepaliveTimeout = 10 * time.Second
	keepaliveMinimum = 10 * time.Second
)

// ServerConfig is what a server is made of.
type ServerConfig struct {
	// Service is the service's own name ("sync"), which tokens must be meant for.
	Service string
	// Listener is where the server listens; Serve closes it.
	Listener net.Listener
	// Identity is the certificate source.
	Identity *Identity
	// Policy must have a row for each registered method.
	Policy principal.Policy
	// Logger gets the cause of internal errors; nil discards.
	Logger *slog.Logger
	// Reflection lets grpcurl list the services.
	Reflection bool
	// Now is the clock that tokens are checked against; nil means the machine's.
	Now func() time.Time
	// DrainTimeout bounds how long calls in flight may take after the end of Serve's context; 0 means 20 s.
	DrainTimeout time.Duration
	// Ready is asked each second for the health service; nil means always ready.
	Ready func(context.Context) error
}

// Server is a gRPC server with the interceptors, health and shutdown that every service has.
type Server struct {
	cfg      ServerConfig
	grpc     *grpc.Server
	health   *health.Server
	draining chan struct{}
}

// NewServer makes a server. Register services on Registrar, then Serve.
func NewServer(cfg ServerConfig) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("make server: %w", err)
	}
	s := &Server{cfg: cfg, health: health.NewServer(), draining: make(chan struct{})}
	identify := principal.IdentifyConfig{Audience: cfg.Service, Now: cfg.Now}
	s.grpc = grpc.NewServer(
		grpc.Creds(credentials.NewTLS(cfg.Identity.ServerTLS())),
		// The mapping of errors is outermost: what identify and decide answer passes through it.
		grpc.ChainUnaryInterceptor(apierr.UnaryServerInterceptor(cfg.Logger), principal.IdentifyUnary(identify),
			principal.DecideUnary(cfg.Policy), deadlineUnary),
		grpc.ChainStreamInterceptor(apierr.StreamServerInterceptor(cfg.Logger), principal.IdentifyStream(identify),
			principal.DecideStream(cfg.Policy), s.drainStream),
		grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithFilter(filters.Not(filters.HealthCheck())))),
		grpc.NumStreamWorkers(streamWorkers()),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: connectionAge, Time: keepaliveTime, Timeout: keepaliveTimeout,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveMinimum, PermitWithoutStream: true}),
	)
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	if cfg.Reflection {
		reflection.Register(s.grpc)
	}
	return s, nil
}

func (c *ServerConfig) complete() error {
	switch {
	case c.Service == "":
		return errors.New("no service name")
	case c.Listener == nil:
		return errors.New("no listener")
	case c.Identity == nil:
		return errors.New("no identity")
	case c.Identity.Name() != c.Service:
		return fmt.Errorf("service %q has the identity of %q", c.Service, c.Identity.Name())
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = defaultDrain
	}
	if c.Ready == nil {
		c.Ready = func(context.Context) error { return nil }
	}
	return nil
}

// Registrar is where services are registered, before Serve.
func (s *Server) Registrar() grpc.ServiceRegistrar { return s.grpc }

// Serve checks that the policy covers every registered method, then serves until ctx ends. Then health says not serving,
// streams are ended with Unavailable, calls in flight get DrainTimeout, and what is left is cut off. It returns nil after
// an orderly end. It can be called once.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.cfg.Policy.Check(s.grpc.GetServiceInfo()); err != nil {
		_ = s.cfg.Listener.Close()
		return fmt.Errorf("serve %s: %w", s.cfg.Service, err)
	}
	var background sync.WaitGroup
	defer background.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	background.Go(func() { s.watchReady(ctx) })
	served := make(chan error, 1)
	background.Go(func() { served <- s.grpc.Serve(s.cfg.Listener) })
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", s.cfg.Service, err)
	case <-ctx.Done():
	}
	s.drain()
	return nil
}

func (s *Server) drain() {
	s.health.Shutdown()
	close(s.draining)
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(done)
	}()
	timer := time.NewTimer(s.cfg.DrainTimeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		s.cfg.Logger.Warn("calls in flight were cut off", slog.Duration("drain_timeout", s.cfg.DrainTimeout))
		s.grpc.Stop()
		<-done
	}
}

func (s *Server) watchReady(ctx context.Context) {
	names := []string{""}
	for name := range s.grpc.GetServiceInfo() {
		names = append(names, name)
	}
	slices.Sort(names)
	ticker := time.NewTicker(readyInterval)
	defer ticker.Stop()
	last := grpc_health_v1.HealthCheckResponse_UNKNOWN
	for {
		now, err := s.readiness(ctx)
		if now != last && ctx.Err() == nil {
			for _, name := range names {
				s.health.SetServingStatus(name, now)
			}
			s.cfg.Logger.InfoContext(ctx, "readiness changed", slog.String("status", now.String()), slog.Any("cause", err))
			last = now
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (s *Server) readiness(ctx context.Context) (grpc_health_v1.HealthCheckResponse_ServingStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := s.cfg.Ready(ctx); err != nil {
		return grpc_health_v1.HealthCheckResponse_NOT_SERVING, err
	}
	return grpc_health_v1.HealthCheckResponse_SERVING, nil
}

// deadlineUnary bounds calls whose caller set no deadline.
func deadlineUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultDeadline)
		defer cancel()
	}
	return next(ctx, req)
}

// streamWorkers is how many goroutines are kept for calls: their stacks have grown already, which a new one's has to do in
// each call. Calls that find none free get one of their own. A call of ours mostly waits for a batch, so many are under way.
func streamWorkers() uint32 { return uint32(max(128, 8*runtime.GOMAXPROCS(0))) }
