// Package feed tells the watchers of a process that conversations changed. The table of changes is the truth and each
// watcher reads it from its own place, so that nothing is buffered for a slow one. A notification of the database is only
// the nudge; without it the feed looks by itself.
package feed

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/relance/relance/services/sync/internal/store"
)

const (
	channel = "relance_conversation_change"
	// lookEvery is how often changes are numbered while somebody watches.
	lookEvery = 100 * time.Millisecond
	// retry is the wait after the database failed or the listening connection broke.
	retry = 500 * time.Millisecond
	// nudgeEvery wakes watchers without a notification: what a broken connection has not told.
	nudgeEvery = time.Second
)

// Feed wakes watchers. It is safe for concurrent use.
type Feed struct {
	store  *store.Store
	pool   *pgxpool.Pool
	logger *slog.Logger

	mu       sync.Mutex
	next     chan struct{}
	watchers int
	// arrived is signalled when the first watcher comes.
	arrived chan struct{}
}

// New makes a feed; Run drives it.
func New(s *store.Store, pool *pgxpool.Pool, logger *slog.Logger) *Feed {
	return &Feed{store: s, pool: pool, logger: logger, next: make(chan struct{}), arrived: make(chan struct{}, 1)}
}

// Join counts a watcher until the returned function is called.
func (f *Feed) Join() (leave func()) {
	f.count(1)
	select {
	case f.arrived <- struct{}{}:
	default:
	}
	return func() { f.count(-1) }
}

func (f *Feed) count(by int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers += by
}

// Next is closed when there may be something new. Take it before reading, so that nothing falls in between.
func (f *Feed) Next() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next
}

func (f *Feed) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.next)
	f.next = make(chan struct{})
}

func (f *Feed) watched() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.watchers > 0
}

// Run numbers changes while somebody watches, and listens for those numbered by other processes, until ctx ends.
func (f *Feed) Run(ctx context.Context) error {
	var group sync.WaitGroup
	group.Go(func() { f.listenOn(ctx) })
	defer group.Wait()
	quiet := time.Duration(0)
	for {
		wait := lookEvery
		if f.watched() {
			n, err := f.store.GivePositions(ctx)
			if err != nil && ctx.Err() == nil {
				f.logger.WarnContext(ctx, "changes not numbered", "error", err)
				wait = retry
			}
			if quiet += wait; n > 0 || quiet >= nudgeEvery {
				f.wake()
				quiet = 0
			}
			if n > 0 {
				wait = 0
			}
		}
		if !f.pause(ctx, wait) {
			return nil
		}
	}
}

// pause waits for the time, or for the first watcher when there is none. False means the end.
func (f *Feed) pause(ctx context.Context, wait time.Duration) bool {
	if !f.watched() {
		select {
		case <-ctx.Done():
			return false
		case <-f.arrived:
			return true
		}
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	}
}

// listenOn listens until ctx ends, again after each break.
func (f *Feed) listenOn(ctx context.Context) {
	for ctx.Err() == nil {
		err := f.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		f.logger.WarnContext(ctx, "listening for changes broke off, and begins again", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
}

func (f *Feed) listen(ctx context.Context) error {
	pooled, err := f.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	conn := pooled.Hijack() // It waits for as long as the process lives, and must not come back to the pool listening.
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	f.wake()
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		f.wake()
	}
}
