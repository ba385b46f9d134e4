// Package availability is the service that keeps bookable times at hand: which can be offered, how fresh they are, and
// why there are none. This package is its only wiring.
package availability

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
	_ "time/tzdata" // labels need zones on machines that have none

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel"
	"google.golang.org/grpc"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/config"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/process"
	"github.com/relance/relance/platform/rpc"
	"github.com/relance/relance/platform/secretbox"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/changes"
	"github.com/relance/relance/services/availability/internal/gauges"
	"github.com/relance/relance/services/availability/internal/jobs"
	"github.com/relance/relance/services/availability/internal/provider"
	"github.com/relance/relance/services/availability/internal/refresh"
	"github.com/relance/relance/services/availability/internal/server"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
	"github.com/relance/relance/services/availability/internal/taken"
	"github.com/relance/relance/services/availability/internal/webfetch"
)

// Name is the service's name in certificates, tokens and the database.
const Name = store.Schema

// scheduleBudget is the work of one scheduled run.
const scheduleBudget = 45 * time.Second

// Deps is what the process gives to the service.
type Deps struct {
	// Listener is where the service listens; nil means Config.Listen.
	Listener net.Listener
	// Identity is the certificate source. Required.
	Identity *rpc.Identity
	// Clock is the business clock; nil means the machine's.
	Clock clock.Clock
	// Logger is required.
	Logger *slog.Logger
	// FeedControl and FeedRoots replace the check of addresses that feeds are read from and the authorities that they are
	// trusted by. Nil means public addresses and the machine's authorities; anything else is for tests.
	FeedControl webfetch.Control
	FeedRoots   *x509.CertPool
	// FeedDial connects to whatever feed is read, in place of the network. Nil means the network; anything else is for a sandbox.
	FeedDial func(ctx context.Context) (net.Conn, error)
}

// Service is the assembled service.
type Service struct {
	cfg       Config
	deps      Deps
	pool      *pgxpool.Pool
	sync      *grpc.ClientConn
	rows      *store.Store
	refresher *refresh.Refresher
	taken     *taken.Reader
	api       *server.Server
	server    *rpc.Server
}

// Migrations is what the service's database needs.
func Migrations() postgres.Migrations { return store.Migrations() }

// Policy is the table method to callers.
func Policy() principal.Policy { return server.Policy() }

// New assembles the service. It needs neither the database nor the sync service to be up.
func New(ctx context.Context, cfg Config, deps Deps) (*Service, error) {
	cfg = cfg.withDefaults()
	if err := config.Check(cfg); err != nil {
		return nil, err
	}
	if deps.Identity == nil || deps.Logger == nil {
		return nil, errors.New("make availability service: identity and logger are required")
	}
	if deps.Clock == nil {
		deps.Clock = clock.System()
	}
	s := &Service{cfg: cfg, deps: deps}
	if err := s.assemble(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("make availability service: %w", err)
	}
	return s, nil
}

func (s *Service) assemble(ctx context.Context) (err error) {
	s.pool, err = postgres.Open(ctx, postgres.Config{
		DSN: s.cfg.DatabaseURL, Schema: store.Schema, AppName: "relance " + Name, MaxConns: s.cfg.MaxConns,
	})
	if err != nil {
		return err
	}
	s.sync, err = rpc.Dial(rpc.ClientConfig{Target: s.cfg.SyncTarget, Service: "sync", Identity: s.deps.Identity})
	if err != nil {
		return err
	}
	box, err := secretbox.New([]byte(s.cfg.KeysetJSON.Reveal()))
	if err != nil {
		return err
	}
	source, rows := provider.NewSync(s.sync), store.New(s.pool, box)
	s.rows = rows
	s.taken = taken.New(taken.Config{Store: rows, Feed: source, Clock: s.deps.Clock, Logger: s.deps.Logger})
	timing := slots.DefaultTiming()
	timing.TTL = s.cfg.TTL
	s.refresher = refresh.New(refresh.Config{
		Store: rows, Provider: s.providers(source), Directory: source, Clock: s.deps.Clock, Logger: s.deps.Logger, Timing: timing,
		CallTimeout: s.cfg.CallTimeout, Concurrency: s.cfg.Concurrency,
	})
	if s.deps.Listener == nil {
		s.deps.Listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Listen)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	s.server, err = rpc.NewServer(rpc.ServerConfig{
		Service: Name, Listener: s.deps.Listener, Identity: s.deps.Identity, Policy: Policy(), Logger: s.deps.Logger,
		Reflection: s.cfg.Reflection, DrainTimeout: s.cfg.DrainTimeout, Ready: s.Ready,
	})
	if err != nil {
		return err
	}
	s.api = server.New(server.Deps{
		Store: rows, Refresher: s.refresher, Directory: source, Bookings: source, Clock: s.deps.Clock, CacheSlots: s.cfg.CacheSlots,
	})
	availabilityv1.RegisterAvailabilityServiceServer(s.server.Registrar(), s.api)
	return nil
}

// Ready reports whether the service can answer: its database can be reached and is migrated.
func (s *Service) Ready(ctx context.Context) error {
	var migrated bool
	err := s.pool.QueryRow(ctx, `SELECT to_regclass('availability') IS NOT NULL`).Scan(&migrated)
	if err != nil {
		return fmt.Errorf("reach database: %w", err)
	}
	if !migrated {
		return errors.New("the database is not migrated; run `relance migrate`")
	}
	return nil
}

// Run serves until ctx ends, then finishes the calls, runs and looks that were begun. It can be called once.
func (s *Service) Run(ctx context.Context) error {
	defer s.close()
	stop, err := gauges.Register(gauges.Config{
		Meter: otel.Meter("github.com/relance/relance/services/availability"), Clock: s.deps.Clock, Store: s.rows, Census: s.refresher.Census,
	})
	if err != nil {
		return fmt.Errorf("availability: %w", err)
	}
	defer func() { _ = stop() }()
	components := []process.Component{
		{Name: "serve", Run: s.server.Serve},
		{Name: "statistics", Run: func(ctx context.Context) error { return postgres.KeepAnalyzed(ctx, s.pool, s.deps.Logger) }},
		{Name: "read taken times", Run: s.taken.Run},
		{Name: "hear changes", Run: func(ctx context.Context) error {
			return changes.Run(ctx, changes.Config{Pool: s.pool, Logger: s.deps.Logger, Hearer: s.api})
		}},
	}
	if s.cfg.Schedule {
		components = append(components, process.Component{Name: "schedule", Run: func(ctx context.Context) error {
			return jobs.Run(ctx, jobs.Config{
				Pool: s.pool, Schema: store.Schema, Refresher: s.refresher, Logger: s.deps.Logger,
				Interval: s.cfg.ScheduleEvery, Budget: scheduleBudget,
			})
		}})
	}
	if err := process.Run(ctx, components...); err != nil {
		return fmt.Errorf("availability: %w", err)
	}
	return nil
}

func (s *Service) close() {
	if s.refresher != nil {
		s.refresher.Wait()
	}
	if s.sync != nil {
		_ = s.sync.Close()
	}
	if s.pool != nil {
		s.pool.Close()
	}
	if s.deps.Listener != nil {
		// Serve closes it; this is for a service that never served.
		_ = s.deps.Listener.Close()
	}
}
