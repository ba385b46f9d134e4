// Package jobs takes up due follow-ups by itself, so that no external cron is needed. Replicas share one schedule: River
// elects who inserts the periodic job.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/relance/relance/platform/loglevel"
)

const (
	startRetryMin, startRetryMax = time.Second, 30 * time.Second
	stopTimeout                  = 25 * time.Second
	overrun                      = time.Minute
	pruneInterval                = 24 * time.Hour
)

// Config is what the scheduler is made of; all fields are required.
type Config struct {
	// Pool and Schema hold the job tables.
	Pool   *pgxpool.Pool
	Schema string
	// Run takes up what is due within the budget.
	Run func(ctx context.Context, budget time.Duration) error
	// Logger gets River's own messages.
	Logger *slog.Logger
	// Interval is the time between runs, Budget the work of one.
	Interval, Budget time.Duration
	// Prune removes records that are no longer kept; it is called daily.
	Prune func(ctx context.Context) error
}

// runArgs are the (empty) arguments of the periodic job.
type runArgs struct{}

// Kind names the job.
func (runArgs) Kind() string { return "followups_run_due" }

// InsertOpts lets one job wait or run at a time; a failed one is not repeated, since the next run does its work.
func (runArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
		rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}}}
}

type worker struct {
	river.WorkerDefaults[runArgs]
	cfg Config
}

// Work takes up what is due.
func (w *worker) Work(ctx context.Context, _ *river.Job[runArgs]) error {
	if err := w.cfg.Run(ctx, w.cfg.Budget); err != nil {
		return fmt.Errorf("run due follow-ups: %w", err)
	}
	return nil
}

// Timeout bounds a job: its budget and the calls that are under way when that ends.
func (w *worker) Timeout(*river.Job[runArgs]) time.Duration { return w.cfg.Budget + overrun }

// pruneArgs are the (empty) arguments of the daily job.
type pruneArgs struct{}

// Kind names the job.
func (pruneArgs) Kind() string { return "followups_prune" }

// InsertOpts is that of runs: one at a time, and a failed one is made up for by the next.
func (pruneArgs) InsertOpts() river.InsertOpts { return runArgs{}.InsertOpts() }

type pruner struct {
	river.WorkerDefaults[pruneArgs]
	cfg Config
}

// Work removes what is no longer kept.
func (p *pruner) Work(ctx context.Context, _ *river.Job[pruneArgs]) error {
	if err := p.cfg.Prune(ctx); err != nil {
		return fmt.Errorf("prune records: %w", err)
	}
	return nil
}

// Run schedules until ctx ends, then lets the running job finish. While the database is away it tries again.
func Run(ctx context.Context, cfg Config) error {
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{cfg: cfg})
	river.AddWorker(workers, &pruner{cfg: cfg})
	client, err := river.NewClient(riverpgxv5.New(cfg.Pool), &river.Config{
		Schema: cfg.Schema, Workers: workers, Logger: loglevel.AtLeast(cfg.Logger, slog.LevelWarn),
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1}},
		PeriodicJobs: []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(cfg.Interval),
			func() (river.JobArgs, *river.InsertOpts) { return runArgs{}, nil },
			&river.PeriodicJobOpts{RunOnStart: true}), river.NewPeriodicJob(river.PeriodicInterval(pruneInterval),
			func() (river.JobArgs, *river.InsertOpts) { return pruneArgs{}, nil }, nil)},
	})
	if err != nil {
		return fmt.Errorf("make scheduler: %w", err)
	}
	if err := start(ctx, client); err != nil {
		return err
	}
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := client.Stop(stop); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("stop scheduler: %w", err)
	}
	return nil
}

func start(ctx context.Context, client *river.Client[pgx.Tx]) error {
	// The jobs outlive ctx until Stop has let them finish.
	own := context.WithoutCancel(ctx)
	for wait := startRetryMin; ; wait = min(2*wait, startRetryMax) {
		if err := client.Start(own); err == nil {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}
