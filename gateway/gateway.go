// Package gateway is the HTTP edge of Relance: cron, webhook and admin routes and the /v1 resources in front of the gRPC
// services. It owns nothing; it authenticates strangers and speaks to the services as principals.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"

	"github.com/relance/relance/gateway/internal/edge"
	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/config"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpc"
)

// Limits of the HTTP server against slow and large requests.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 90 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10
)

// Deps are what the gateway is given.
type Deps struct {
	// Listener takes the HTTP connections; nil listens on Config.Listen.
	Listener net.Listener
	// Identity is the certificate of svc/gateway, whose Ed25519 key also signs principal tokens. Required.
	Identity *rpc.Identity
	// Clock is the business clock, for the timestamps of answers. Required.
	Clock clock.Clock
	// Logger gets one line per request. Required.
	Logger *slog.Logger
}

// Gateway is the HTTP edge. Make it with New, then call Run once.
type Gateway struct {
	cfg      Config
	logger   *slog.Logger
	listener net.Listener
	conns    []*grpc.ClientConn
	server   *http.Server
}

// New checks the configuration, opens the listener and prepares the connections, which connect when first used: the
// gateway starts and answers 503 or 429 while services are away. Errors list every configuration problem at once.
func New(ctx context.Context, cfg Config, deps Deps) (*Gateway, error) {
	if deps.Identity == nil || deps.Clock == nil || deps.Logger == nil {
		return nil, errors.New("new gateway: Identity, Clock and Logger are required")
	}
	cfg = cfg.withDefaults()
	if err := config.Check(cfg); err != nil {
		return nil, err
	}
	parts, _ := cfg.load()
	g := &Gateway{cfg: cfg, logger: deps.Logger, listener: deps.Listener}
	handler, err := g.connect(deps, parts)
	if err == nil && g.listener == nil {
		g.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("new gateway: %w", err), g.close())
	}
	g.server = &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(deps.Logger.Handler(), slog.LevelDebug),
	}
	return g, nil
}

func (g *Gateway) connect(deps Deps, parts loaded) (http.Handler, error) {
	targets := []struct{ service, target string }{
		{"sync", g.cfg.SyncTarget}, {"followups", g.cfg.FollowUpsTarget}, {"availability", g.cfg.AvailabilityTarget},
	}
	for _, t := range targets {
		conn, err := rpc.Dial(rpc.ClientConfig{
			Target: t.target, Service: t.service, Identity: deps.Identity, DefaultTimeout: g.cfg.CallTimeout,
		})
		if err != nil {
			return nil, err
		}
		g.conns = append(g.conns, conn)
	}
	return edge.New(edge.Options{
		Sync: g.conns[0], FollowUps: g.conns[1], Availability: g.conns[2],
		// Tokens belong to transport: they live by the machine's clock, even when business time is moved.
		Tokens: principal.NewSigner(deps.Identity.Signer(), clock.System().Now),
		Cron:   parts.cron, Admin: parts.admin, WebhookKeys: parts.keys,
		CronBudget: g.cfg.CronTimeBudget, CallTimeout: g.cfg.CallTimeout, WebhookTimeout: g.cfg.WebhookTimeout, Clock: deps.Clock, Logger: deps.Logger,
	})
}

// Addr is where the gateway listens.
func (g *Gateway) Addr() net.Addr { return g.listener.Addr() }

// Handler is the edge without its server, for tests and embedding.
func (g *Gateway) Handler() http.Handler { return g.server.Handler }

// Run answers requests until ctx ends, then lets those in flight finish within DrainTimeout. It returns nil after an
// orderly end.
func (g *Gateway) Run(ctx context.Context) error {
	g.logger.InfoContext(ctx, "gateway listening", slog.String("address", g.listener.Addr().String()))
	served := make(chan error, 1)
	go func() { served <- g.server.Serve(g.listener) }()
	var err error
	select {
	case end := <-served:
		err = closedInOrder(end)
	case <-ctx.Done():
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.cfg.DrainTimeout)
		defer cancel()
		if err = g.server.Shutdown(drain); err != nil {
			err = errors.Join(err, g.server.Close())
		}
		err = errors.Join(err, closedInOrder(<-served))
	}
	if err = errors.Join(err, g.close()); err != nil {
		return fmt.Errorf("run gateway: %w", err)
	}
	return nil
}

// closedInOrder drops the error that every shutdown gives.
func closedInOrder(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (g *Gateway) close() error {
	var problems []error
	for _, conn := range g.conns {
		problems = append(problems, conn.Close())
	}
	return errors.Join(problems...)
}
