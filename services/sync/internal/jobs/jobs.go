// Package jobs runs the sync service's background work on River, as the principal system:sync. A job that runs twice, or
// at the same time as another, has one effect: each reads the state it works on under a lock first.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/loglevel"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/services/sync/internal/booker"
	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/linker"
	"github.com/relance/relance/services/sync/internal/mirror"
	"github.com/relance/relance/services/sync/internal/poll"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/provider/calendly"
	"github.com/relance/relance/services/sync/internal/push"
	"github.com/relance/relance/services/sync/internal/reconcile"
	"github.com/relance/relance/services/sync/internal/sender"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/token"
	"github.com/relance/relance/services/sync/internal/work"
)

const (
	jobTimeout  = 45 * time.Second
	maxAttempts = 8
	// Workers of the default queue, and of each other one.
	workers     = 8
	sideWorkers = 4
	// rescueAfter is when a job whose process died is begun again by another.
	rescueAfter = 2 * jobTimeout
	// syncBudget ends before the job does.
	syncBudget = 30 * time.Second
	syncEvery  = time.Minute
	pruneEvery = 10 * time.Minute
)

// Deps are what jobs work with.
type Deps struct {
	Store  *store.Store
	Client *ghl.Client
	// Calendly books and reads Calendly.
	Calendly *calendly.Client
	// Mail are the providers that answer emails.
	Mail map[provider.Kind]provider.Mail
	// Accounts opens the workspaces' credentials.
	Accounts *token.Keeper
	Sender   *sender.Sender
	// Reconciler settles unknown outcomes.
	Reconciler *reconcile.Reconciler
	// Booker settles bookings whose outcome is unknown.
	Booker *booker.Booker
	// Linker gives leads their contacts.
	Linker *linker.Linker
	// Mirror imports and heals history.
	Mirror *mirror.Mirror
	// Pusher tells the provider of opt-outs.
	Pusher *push.Pusher
	// FollowUps gets the domain events; nil keeps them waiting in the outbox.
	FollowUps followupsv1.FollowUpsServiceClient
	// Clock is the business clock.
	Clock  clock.Clock
	Logger *slog.Logger
	// Timing gives the rhythm of the periodic jobs.
	Timing sending.Timing
	// Poll are the settings of polling; the zero value switches it off. PollTick is how often due polls are looked for.
	Poll     poll.Settings
	PollTick time.Duration
	// HistoryMonths is how many months of append-only history are kept; 0 keeps all.
	HistoryMonths int
	// WebhookRetention is how long bodies of webhooks are kept.
	WebhookRetention Retention
	// SoftStop is how long running jobs may take at shutdown.
	SoftStop time.Duration
}

// NewClient makes the River client that runs the jobs on pool.
func NewClient(pool *pgxpool.Pool, d Deps) (*river.Client[pgx.Tx], error) {
	registry := river.NewWorkers()
	for _, err := range []error{
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, job *river.Job[work.SettleCancellations]) error {
			return d.settleCancellations(ctx, job.Args)
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, job *river.Job[work.PushOptOut]) error {
			return d.pushOptOut(ctx, job.Args)
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, _ *river.Job[work.PushDue]) error {
			return d.Pusher.Due(ctx)
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, _ *river.Job[work.SettleBookings]) error {
			_, err := d.Booker.Tick(ctx)
			return err
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, job *river.Job[work.ContactGone]) error {
			return d.contactGone(ctx, job.Args)
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, job *river.Job[work.LinkContacts]) error {
			return d.linkContacts(ctx, job.Args)
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, _ *river.Job[work.DropBodies]) error {
			return d.dropBodies(ctx)
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, _ *river.Job[work.PollDue]) error {
			return d.pollDue(ctx)
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, job *river.Job[work.PollLocation]) error {
			return d.pollLocation(ctx, job.Args.Workspace)
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, _ *river.Job[work.PollAppointmentsDue]) error {
			return d.pollAppointmentsDue(ctx)
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, job *river.Job[work.PollAppointments]) error {
			return d.pollAppointments(ctx, job.Args)
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, job *river.Job[work.ImportHistory]) error {
			return d.importHistory(ctx, job.Args)
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, _ *river.Job[work.SyncDue]) error {
			_, err := d.Mirror.RunDue(budget.InBulk(ctx), mirror.Due{Budget: syncBudget})
			return err
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, _ *river.Job[work.PruneChanges]) error {
			return d.Store.PruneChanges(ctx)
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, _ *river.Job[work.DeliverEvents]) error {
			return d.deliverEvents(ctx)
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, job *river.Job[work.ResumeSend]) error {
			return d.resumeSend(ctx, job.Args)
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, job *river.Job[work.Reconcile]) error {
			return d.reconcile(ctx, job.Args.Intent)
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, _ *river.Job[work.RecheckConnections]) error {
			return d.recheckConnections(ctx)
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, _ *river.Job[work.KeepMonths]) error {
			return d.keepMonths(ctx)
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, _ *river.Job[work.WatchSends]) error {
			_, err := d.Reconciler.Watch(ctx)
			return err
		})),
		river.AddWorkerSafely(registry, worker(func(ctx context.Context, job *river.Job[work.WatchVisible]) error {
			return d.watchVisible(ctx, job.Args)
		})),
	} {
		if err != nil {
			return nil, fmt.Errorf("register worker: %w", err)
		}
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues: map[string]river.QueueConfig{
			river.QueueDefault: {MaxWorkers: workers}, work.QueuePolls: {MaxWorkers: sideWorkers},
			work.QueueHistory: {MaxWorkers: sideWorkers}, work.QueueSettle: {MaxWorkers: sideWorkers},
		},
		Workers:    registry,
		Logger:     loglevel.AtLeast(d.Logger, slog.LevelWarn),
		JobTimeout: jobTimeout, MaxAttempts: maxAttempts, RetryPolicy: retryPolicy{}, FetchOnlyKnownKinds: true,
		SoftStopTimeout: d.SoftStop, FetchPollInterval: 500 * time.Millisecond,
		RescueStuckJobsAfter: rescueAfter,
		PeriodicJobs:         d.periodicJobs(),
	})
	if err != nil {
		return nil, fmt.Errorf("make job client: %w", err)
	}
	return client, nil
}

// worker runs fn as system:sync.
func worker[T river.JobArgs](fn func(context.Context, *river.Job[T]) error) river.Worker[T] {
	return river.WorkFunc(func(ctx context.Context, job *river.Job[T]) error {
		return fn(asSync(ctx), job)
	})
}

func (d Deps) periodicJobs() []*river.PeriodicJob {
	out := []*river.PeriodicJob{
		periodic(d.Timing.Sweep(), func() river.JobArgs { return work.Reconcile{} }),
		periodic(d.Timing.Sweep(), func() river.JobArgs { return work.SettleBookings{} }),
		periodic(d.Timing.Sweep(), func() river.JobArgs { return work.LinkContacts{} }),
		periodic(d.Timing.Sweep(), func() river.JobArgs { return work.DeliverEvents{} }),
		periodic(time.Minute, func() river.JobArgs { return work.WatchSends{} }),
		periodic(keepEvery, func() river.JobArgs { return work.KeepMonths{} }),
		periodic(d.Timing.Sweep(), func() river.JobArgs { return work.DropBodies{} }),
		periodic(syncEvery, func() river.JobArgs { return work.SyncDue{} }),
		periodic(d.Timing.Sweep(), func() river.JobArgs { return work.PushDue{} }),
		periodic(pruneEvery, func() river.JobArgs { return work.PruneChanges{} }),
		periodic(d.Timing.Sweep(), func() river.JobArgs { return work.RecheckConnections{} }),
	}
	if d.Poll.Every > 0 {
		out = append(out, periodic(d.PollTick, func() river.JobArgs { return work.PollDue{} }),
			periodic(d.PollTick, func() river.JobArgs { return work.PollAppointmentsDue{} }))
	}
	return out
}

func periodic(every time.Duration, args func() river.JobArgs) *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(every), func() (river.JobArgs, *river.InsertOpts) {
		return args(), &river.InsertOpts{MaxAttempts: 1}
	}, &river.PeriodicJobOpts{RunOnStart: true})
}

// retryPolicy waits 1 s, 2 s, 4 s ... at most a minute between the attempts of a job.
type retryPolicy struct{}

// NextRetry tells when a failed job runs again.
func (retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	return clock.System().Now().Add(retryWait(job.Attempt))
}

// retryWait is the wait after an attempt, counted from 1.
func retryWait(attempt int) time.Duration {
	return min(time.Second<<min(max(attempt-1, 0), 6), time.Minute)
}

func (d Deps) resumeSend(ctx context.Context, args work.ResumeSend) error {
	workspace, intent, err := ids(args.Workspace, args.Intent)
	if err != nil {
		return err
	}
	return d.Sender.Resume(ctx, workspace, intent)
}

func (d Deps) pushOptOut(ctx context.Context, args work.PushOptOut) error {
	workspace, id, err := ids(args.Workspace, args.OptOut)
	if err != nil {
		return err
	}
	return d.Pusher.One(ctx, workspace, id)
}

// reconcile is T10 and the looks that are due, then wakes the sends whose time has come by the business clock.
func (d Deps) reconcile(ctx context.Context, intent string) error {
	if intent != "" {
		id, err := uuid.Parse(intent)
		if err != nil {
			return river.JobCancel(err)
		}
		return d.Reconciler.One(ctx, id)
	}
	_, err := d.Reconciler.Tick(ctx)
	return errors.Join(err, d.wakeDue(ctx))
}

func ids(a, b string) (uuid.UUID, uuid.UUID, error) {
	first, err1 := uuid.Parse(a)
	second, err2 := uuid.Parse(b)
	if err := errors.Join(err1, err2); err != nil {
		return uuid.Nil, uuid.Nil, river.JobCancel(err)
	}
	return first, second, nil
}

// account reads a workspace's connection. It reports false when there is none that can be used.
func (d Deps) account(ctx context.Context, workspace uuid.UUID) (ghl.Account, bool, error) {
	return d.Accounts.Usable(ctx, workspace)
}
