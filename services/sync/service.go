// Package sync is the sync service: who a lead is, what was said, whether a message may leave now, and whether it left.
// This package wires it; the work is in the packages below internal.
package sync

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"google.golang.org/grpc"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/config"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/process"
	"github.com/relance/relance/platform/rpc"
	"github.com/relance/relance/platform/secretbox"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/booker"
	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/feed"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/inbox"
	"github.com/relance/relance/services/sync/internal/jobs"
	"github.com/relance/relance/services/sync/internal/lateness"
	"github.com/relance/relance/services/sync/internal/linker"
	"github.com/relance/relance/services/sync/internal/mirror"
	"github.com/relance/relance/services/sync/internal/once"
	"github.com/relance/relance/services/sync/internal/outage"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/provider/calendly"
	"github.com/relance/relance/services/sync/internal/push"
	"github.com/relance/relance/services/sync/internal/reconcile"
	"github.com/relance/relance/services/sync/internal/sender"
	"github.com/relance/relance/services/sync/internal/server"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/token"
	"github.com/relance/relance/services/sync/internal/work"
)

const (
	schema      = "sync"
	maxAttempts = 8
	startRetry  = time.Second
	// probeMargin is how much longer than a call a read may take that finds out whether the provider answers again.
	probeMargin = 5 * time.Second
)

// Deps are what the process gives the service.
type Deps struct {
	// Listener is where the gRPC server listens; Run closes it. Nil means Config.Listen.
	Listener net.Listener
	// Identity is the service's certificate source.
	Identity *rpc.Identity
	// Clock is the business clock.
	Clock clock.Clock
	// Logger gets everything worth a line.
	Logger *slog.Logger
}

// Service is a wired sync service.
type Service struct {
	cfg      Config
	deps     Deps
	store    *store.Store
	sender   *sender.Sender
	booker   *booker.Booker
	linker   *linker.Linker
	client   *ghl.Client
	mail     map[provider.Kind]provider.Mail
	calendly *calendly.Client
	closers  []func()
	oauth    *ghl.OAuth
	budget   *budget.Limiter
	guard    *outage.Guard
	assumed  *lateness.Book
	server   *rpc.Server
	feed     *feed.Feed
	inbox    *inbox.Inbox
	jobs     *river.Client[pgx.Tx]
	pools    []*pgxpool.Pool
	events   *grpc.ClientConn
	draining atomic.Bool
	clocks   sender.ClockWatch
}

// Migrations is the database schema of the service.
func Migrations() postgres.Migrations { return store.Migrations() }

// New wires the service. The database may be away; Ready tells. Errors name every configuration problem.
func New(ctx context.Context, cfg Config, deps Deps) (*Service, error) {
	if err := config.Check(cfg); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg.withDefaults(), deps: deps}
	if err := s.wire(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("make sync service: %w", err)
	}
	return s, nil
}

func (s *Service) wire(ctx context.Context) error {
	box, err := secretbox.New([]byte(s.cfg.KeysetJSON.Reveal()))
	if err != nil {
		return err
	}
	// Two pools, so that busy jobs cannot keep webhooks from being stored.
	for _, name := range []string{"relance-sync", "relance-sync-jobs"} {
		pool, err := postgres.Open(ctx, postgres.Config{DSN: s.cfg.DatabaseURL, Schema: schema, AppName: name, MaxConns: s.cfg.MaxConns})
		if err != nil {
			return err
		}
		s.pools = append(s.pools, pool)
	}
	serving, err := s.storeOn(s.pools[0], box)
	if err != nil {
		return err
	}
	working, err := s.storeOn(s.pools[1], box)
	if err != nil {
		return err
	}
	s.store, s.assumed = serving, lateness.New(s.cfg.timing())
	s.feed = feed.New(serving, s.pools[0], s.deps.Logger)
	s.budget = budget.New(budget.Config{
		Rows: serving.Budgets(), Clock: clock.System(), Initial: initialLimit,
	})
	s.guard = outage.New(outage.Config{
		Store: serving, Clock: clock.System(), Limit: s.cfg.BreakerFailures, Lease: s.cfg.SendCall + probeMargin, Logger: s.deps.Logger,
	})
	s.oauth, err = ghl.NewOAuth(ghl.OAuthConfig{
		BaseURL: s.cfg.GHLBaseURL, ClientID: s.cfg.GHLClientID, ClientSecret: s.cfg.GHLClientSecret.Secret,
	})
	if err != nil {
		return err
	}
	s.client, err = ghl.New(ghl.Config{BaseURL: s.cfg.GHLBaseURL, Timeout: s.cfg.SendCall, Budget: s.budget, Guard: s.guard})
	if err != nil {
		return err
	}
	if err := s.wireMail(); err != nil {
		return err
	}
	s.sender, s.booker, s.linker = s.senderOn(serving), s.bookerOn(serving), s.linkerOn(serving)
	if err := s.wireJobs(working); err != nil {
		return err
	}
	return s.wireServer(ctx)
}

func (s *Service) storeOn(pool *pgxpool.Pool, box *secretbox.Box) (*store.Store, error) {
	inserter, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: s.deps.Logger, MaxAttempts: maxAttempts})
	if err != nil {
		return nil, fmt.Errorf("make job inserter: %w", err)
	}
	return store.New(store.Config{
		Pool: pool, Box: box, Queue: work.NewQueue(inserter), Clock: s.deps.Clock, Inbox: func(workspace uuid.UUID) { s.inbox.Stored(workspace) },
	}), nil
}

func (s *Service) reconcilerOn(on *store.Store) *reconcile.Reconciler {
	return reconcile.New(reconcile.Config{
		Store: on, Client: s.client, Clock: s.deps.Clock, Assumed: s.assumed, Logger: s.deps.Logger,
		Account: s.keeperOn(on).UsableOf, Mail: s.mail,
	})
}

func (s *Service) keeperOn(on *store.Store) *token.Keeper {
	return token.NewKeeper(token.Config{Store: on, OAuth: s.oauth, Logger: s.deps.Logger})
}

func (s *Service) mirrorOn(on *store.Store) *mirror.Mirror {
	return mirror.New(mirror.Config{
		Store: on, Client: s.client, Account: s.keeperOn(on).Usable, Clock: s.deps.Clock, Logger: s.deps.Logger,
	})
}

func (s *Service) senderOn(on *store.Store) *sender.Sender {
	return sender.New(sender.Config{
		Looker: s.reconcilerOn(on),
		Store:  on, Client: s.senders(), Clock: s.deps.Clock, Timing: s.cfg.timing(), Assumed: s.assumed, MaxFailures: s.cfg.MaxFailures,
		Stopped: s.stopped, Logger: s.deps.Logger, Accounts: s.keeperOn(on), Budget: s.budget, BreakerLimit: s.cfg.BreakerFailures,
	})
}

func (s *Service) bookerOn(on *store.Store) *booker.Booker {
	return booker.New(s.callsOn(on), map[provider.Kind]provider.Calendar{provider.GHL: ghl.Calendars{Client: s.client}, provider.Calendly: s.calendly})
}

func (s *Service) linkerOn(on *store.Store) *linker.Linker {
	return linker.New(s.callsOn(on), s.client)
}

func (s *Service) callsOn(on *store.Store) once.Config {
	return once.Config{
		Store: on, Accounts: s.keeperOn(on), Budget: s.budget, Assumed: s.assumed, Clock: s.deps.Clock, Stopped: s.stopped, Logger: s.deps.Logger,
	}
}

func (s *Service) wireJobs(on *store.Store) error {
	deps := jobs.Deps{
		Store: on, Client: s.client, Calendly: s.calendly, Mail: s.mail, Accounts: s.keeperOn(on), Sender: s.senderOn(on), Reconciler: s.reconcilerOn(on), Clock: s.deps.Clock, Logger: s.deps.Logger,
		Timing: s.cfg.timing(), Poll: s.cfg.poll(), PollTick: s.cfg.PollTick,
		Mirror:   s.mirrorOn(on),
		Pusher:   push.New(push.Config{Store: on, Client: s.client, Account: s.keeperOn(on).Usable, Logger: s.deps.Logger}),
		Booker:   s.bookerOn(on),
		Linker:   s.linkerOn(on),
		SoftStop: s.cfg.SendCall + 5*time.Second, HistoryMonths: s.cfg.HistoryMonths,
		WebhookRetention: jobs.Retention{Processed: s.cfg.WebhookRetention, Aside: s.cfg.WebhookAsideRetention},
	}
	if s.cfg.FollowUpsTarget != "" {
		conn, err := rpc.Dial(rpc.ClientConfig{Target: s.cfg.FollowUpsTarget, Service: "followups", Identity: s.deps.Identity})
		if err != nil {
			return err
		}
		s.events, deps.FollowUps = conn, followupsv1.NewFollowUpsServiceClient(conn)
	}
	s.inbox = inbox.New(inbox.Config{Effects: jobs.Inbox{Deps: deps}, Logger: s.deps.Logger, SoftStop: deps.SoftStop})
	var err error
	s.jobs, err = jobs.NewClient(s.pools[1], deps)
	return err
}

func (s *Service) wireServer(ctx context.Context) error {
	// The keyset is the one secret of the service. A changed keyset changes the keys of webhooks without an id, which matters
	// within one minute only.
	webhookKey, err := hkdf.Key(sha256.New, []byte(s.cfg.KeysetJSON.Reveal()), nil, "relance sync webhook keys", sha256.Size)
	if err != nil {
		return fmt.Errorf("derive webhook key: %w", err)
	}
	if s.deps.Listener == nil {
		if s.deps.Listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Listen); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	s.server, err = rpc.NewServer(rpc.ServerConfig{
		Service: schema, Listener: s.deps.Listener, Identity: s.deps.Identity, Policy: Policy(), Logger: s.deps.Logger,
		Reflection: s.cfg.Reflection, DrainTimeout: s.cfg.DrainTimeout, Ready: s.Ready,
	})
	if err != nil {
		return err
	}
	syncv1.RegisterSyncServiceServer(s.server.Registrar(), server.New(server.Config{
		Store: s.store, Sender: s.sender, Booker: s.booker, Linker: s.linker, Client: s.client, Calendly: s.calendly, Mail: s.mail, LocalProviders: s.cfg.AllowLocalProviders, Accounts: s.keeperOn(s.store), Clock: s.deps.Clock, Logger: s.deps.Logger,
		WebhookKey: webhookKey, Mirror: s.mirrorOn(s.store), Feed: s.feed, WatchStall: s.cfg.WatchStall,
	}))
	return nil
}

// Ready tells whether the service can work: its database answers.
func (s *Service) Ready(ctx context.Context) error { return s.store.Ping(ctx) }

// Run serves until ctx ends, then lets calls and jobs in flight finish, begins no new send, and releases everything.
func (s *Service) Run(ctx context.Context) error {
	defer s.close()
	stop := context.AfterFunc(ctx, func() { s.draining.Store(true) })
	defer stop()
	if err := s.checkDurability(ctx); err != nil {
		return err
	}
	err := process.Run(ctx,
		process.Component{Name: "clock watch", Run: s.watch},
		process.Component{Name: "lateness", Run: s.watchLateness},
		process.Component{Name: "statistics", Run: func(ctx context.Context) error { return postgres.KeepAnalyzed(ctx, s.pools[1], s.deps.Logger) }},
		process.Component{Name: "jobs", Run: s.runJobs},
		process.Component{Name: "inbox", Run: s.inbox.Run},
		process.Component{Name: "feed", Run: s.feed.Run},
		process.Component{Name: "server", Run: s.server.Serve},
	)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

func (s *Service) watch(ctx context.Context) error { return s.clocks.Run(ctx, s.deps.Logger) }

func (s *Service) watchLateness(ctx context.Context) error {
	return s.assumed.Run(ctx, s.store, s.deps.Logger)
}

func (s *Service) stopped() bool { return s.draining.Load() || s.clocks.Tripped() }

// checkDurability refuses a database that can lose acknowledged commits (assumption A4). A database that is away is
// looked at again by readiness; it is asked here only when it answers.
func (s *Service) checkDurability(ctx context.Context) error {
	if s.cfg.AllowVolatileDatabase {
		return nil
	}
	err := postgres.CheckDurability(ctx, s.pools[0])
	if err == nil || postgres.IsUnavailable(err) {
		return nil
	}
	return fmt.Errorf("sync: %w", err)
}

// runJobs works jobs until ctx ends. It begins as soon as the database answers.
func (s *Service) runJobs(ctx context.Context) error {
	for {
		err := s.jobs.Start(context.WithoutCancel(ctx))
		if err == nil {
			break
		}
		s.deps.Logger.WarnContext(ctx, "jobs not started yet", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(startRetry):
		}
	}
	<-ctx.Done()
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainTimeout+5*time.Second)
	defer cancel()
	if err := s.jobs.Stop(bound); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

func (s *Service) close() {
	if s.events != nil {
		_ = s.events.Close()
	}
	if s.client != nil {
		s.client.Close()
	}
	if s.oauth != nil {
		s.oauth.Close()
	}
	for _, end := range s.closers {
		end()
	}
	for _, pool := range s.pools {
		pool.Close()
	}
}
