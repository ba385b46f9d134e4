// Package followups is the service that decides when a step of a sequence is due: what happened to it, why, and what
// comes next. This package is its only wiring.
package followups

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/config"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/process"
	"github.com/relance/relance/platform/rpc"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups/internal/jobs"
	"github.com/relance/relance/services/followups/internal/run"
	"github.com/relance/relance/services/followups/internal/server"
	"github.com/relance/relance/services/followups/internal/store"
)

// Name is the service's name in certificates, tokens and the database.
const Name = store.Schema

// scheduleBudget is the work of one scheduled run.
const scheduleBudget = 45 * time.Second

// pruneBatch is how many records are removed in one transaction.
const pruneBatch = 5000

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
}

// Service is the assembled service.
type Service struct {
	cfg    Config
	deps   Deps
	pool   *pgxpool.Pool
	conns  []*grpc.ClientConn
	rows   *store.Store
	runner *run.Runner
	server *rpc.Server
}

// Migrations is what the service's database needs.
func Migrations() postgres.Migrations { return store.Migrations() }

// Policy is the table method to callers.
func Policy() principal.Policy { return server.Policy() }

// New assembles the service. It needs neither the database nor the other services to be up.
func New(ctx context.Context, cfg Config, deps Deps) (*Service, error) {
	cfg = cfg.withDefaults()
	if err := config.Check(cfg); err != nil {
		return nil, err
	}
	if deps.Identity == nil || deps.Logger == nil {
		return nil, errors.New("make followups service: identity and logger are required")
	}
	if deps.Clock == nil {
		deps.Clock = clock.System()
	}
	s := &Service{cfg: cfg, deps: deps}
	if err := s.assemble(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("make followups service: %w", err)
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
	sync, err := s.dial("sync", s.cfg.SyncTarget)
	if err != nil {
		return err
	}
	availability, err := s.dial("availability", s.cfg.AvailabilityTarget)
	if err != nil {
		return err
	}
	rows, leads, slots := store.New(s.pool), syncv1.NewSyncServiceClient(sync), availabilityv1.NewAvailabilityServiceClient(availability)
	s.rows = rows
	s.runner = run.New(run.Config{
		Store: rows, Sync: leads, Availability: slots,
		Clock: s.deps.Clock, Logger: s.deps.Logger, BatchSize: s.cfg.BatchSize, Lease: s.cfg.LeaseDuration,
		MaxAttempts: s.cfg.MaxAttempts,
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
	followupsv1.RegisterFollowUpsServiceServer(s.server.Registrar(), server.New(server.Config{
		Store: rows, Runner: s.runner, Sync: leads, Availability: slots, Clock: s.deps.Clock, MaxAttempts: s.cfg.MaxAttempts,
	}))
	return nil
}

func (s *Service) dial(service, target string) (*grpc.ClientConn, error) {
	conn, err := rpc.Dial(rpc.ClientConfig{Target: target, Service: service, Identity: s.deps.Identity})
	if err != nil {
		return nil, err
	}
	s.conns = append(s.conns, conn)
	return conn, nil
}

// Ready reports whether the service can answer: its database can be reached and is migrated.
func (s *Service) Ready(ctx context.Context) error {
	var migrated bool
	err := s.pool.QueryRow(ctx, `SELECT to_regclass('enrollment') IS NOT NULL`).Scan(&migrated)
	if err != nil {
		return fmt.Errorf("reach database: %w", err)
	}
	if !migrated {
		return errors.New("the database is not migrated; run `relance migrate`")
	}
	return nil
}

// Run serves until ctx ends, then finishes the calls and runs that were begun. It can be called once.
func (s *Service) Run(ctx context.Context) error {
	defer s.close()
	components := []process.Component{{Name: "serve", Run: s.server.Serve}, {Name: "statistics", Run: s.keepAnalyzed}}
	if s.cfg.SchedulerInterval > 0 {
		components = append(components, process.Component{Name: "schedule", Run: func(ctx context.Context) error {
			return jobs.Run(ctx, jobs.Config{
				Pool: s.pool, Schema: store.Schema, Logger: s.deps.Logger, Run: s.runDue,
				Interval: s.cfg.SchedulerInterval, Budget: scheduleBudget, Prune: s.prune,
			})
		}})
	}
	if err := process.Run(ctx, components...); err != nil {
		return fmt.Errorf("followups: %w", err)
	}
	return nil
}

func (s *Service) keepAnalyzed(ctx context.Context) error {
	return postgres.KeepAnalyzed(ctx, s.pool, s.deps.Logger)
}

func (s *Service) runDue(ctx context.Context, budget time.Duration) error {
	_, err := s.runner.Run(ctx, run.Request{Budget: budget})
	return err
}

// prune removes decision records older than the policy keeps them.
func (s *Service) prune(ctx context.Context) error {
	before := s.deps.Clock.Now().Add(-s.cfg.DecisionRetention)
	for {
		deleted, err := s.rows.DeleteOldDecisions(ctx, before, pruneBatch)
		if err != nil || deleted < pruneBatch {
			return err
		}
	}
}

func (s *Service) close() {
	for _, conn := range s.conns {
		_ = conn.Close()
	}
	if s.pool != nil {
		s.pool.Close()
	}
}
