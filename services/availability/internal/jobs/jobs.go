// Package jobs runs the refresh by itself, so that no external cron is needed. Replicas share one schedule: River elects
// who inserts the periodic job.
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
	"github.com/relance/relance/services/availability/internal/refresh"
	"github.com/relance/relance/services/availability/internal/store"
)

const (
	startRetryMin, startRetryMax = time.Second, 30 * time.Second
	stopTimeout                  = 25 * time.Second
)

// Refresher looks at all workspaces that are due.
type Refresher interface {
	Run(ctx context.Context, req refresh.Request) (store.Run, error)
}

// Config is what the scheduler is made of; all are required.
type Config struct {
	Pool      *pgxpool.Pool
	Schema    string
	Refresher Refresher
	Logger    *slog.Logger
	// Interval is the time between runs, Budget the work of one.
	Interval, Budget time.Duration
}

// refreshArgs are the (empty) arguments of the periodic job.
type refreshArgs struct{}

// Kind names the job.
func (refreshArgs) Kind() string { return "availability_refresh_due" }

// InsertOpts lets one job wait or run at a time; a failed one is not repeated, since the next run does its work.
func (refreshArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
		rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}}}
}

type worker struct {
	river.WorkerDefaults[refreshArgs]
	refresher Refresher
	budget    time.Duration
}

// Work refreshes what is due.
func (w *worker) Work(ctx context.Context, _ *river.Job[refreshArgs]) error {
	_, err := w.refresher.Run(ctx, refresh.Request{Budget: w.budget})
	if err != nil {
		return fmt.Errorf("refresh due availability: %w", err)
	}
	return nil
}

// Timeout bounds a job: its budget and the looks that are under way when that ends.
func (w *worker) Timeout(*river.Job[refreshArgs]) time.Duration { return w.budget + time.Minute }

// Run schedules until ctx ends, then lets the running job finish. While the database is away it tries again.
func Run(ctx context.Context, cfg Config) error {
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{refresher: cfg.Refresher, budget: cfg.Budget})
	client, err := river.NewClient(riverpgxv5.New(cfg.Pool), &river.Config{
		Schema: cfg.Schema, Workers: workers, Logger: loglevel.AtLeast(cfg.Logger, slog.LevelWarn),
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1}},
		PeriodicJobs: []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(cfg.Interval),
			func() (river.JobArgs, *river.InsertOpts) { return refreshArgs{}, nil },
			&river.PeriodicJobOpts{RunOnStart: true})},
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
