// Package taken reads from sync which times appointments take, so that a time is not offered that is known to be gone.
package taken

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/services/availability/internal/provider"
	"github.com/relance/relance/services/availability/internal/store"
)

const (
	every = 5 * time.Second
	// pages bounds one reading; the next goes on.
	pages = 100
	// callTimeout bounds one call.
	callTimeout = 10 * time.Second
)

// Feed is sync's feed of taken times.
type Feed interface {
	TakenTimes(ctx context.Context, cursor string) (provider.TakenPage, error)
}

// Config is what a Reader is made of; all are required.
type Config struct {
	Store *store.Store
	Feed  Feed
	// Clock is the business clock.
	Clock  clock.Clock
	Logger *slog.Logger
}

// Reader reads the feed.
type Reader struct {
	cfg  Config
	lost bool // the last reading failed, and the log says so
}

// New makes a Reader.
func New(cfg Config) *Reader { return &Reader{cfg: cfg} }

// Run reads every few seconds until ctx ends. Several replicas may: each part is kept once.
func (r *Reader) Run(ctx context.Context) error {
	for {
		if err := r.Once(ctx); ctx.Err() == nil {
			r.report(ctx, err)
		}
		timer := time.NewTimer(every)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// report logs when reading begins to fail, and when it works again.
func (r *Reader) report(ctx context.Context, err error) {
	switch {
	case err != nil && !r.lost:
		r.cfg.Logger.WarnContext(ctx, "taken times not read; a time that was just booked may still be offered", slog.Any("error", err))
	case err == nil && r.lost:
		r.cfg.Logger.InfoContext(ctx, "taken times are read again")
	}
	r.lost = err != nil
}

// Once reads what is there now.
func (r *Reader) Once(ctx context.Context) error {
	cursor, err := r.cfg.Store.TakenCursor(ctx)
	if err != nil {
		return fmt.Errorf("read taken times: %w", err)
	}
	for range pages {
		page, err := r.read(ctx, cursor)
		if err != nil {
			return fmt.Errorf("read taken times: %w", err)
		}
		if len(page.Times) == 0 && page.Cursor == cursor {
			return nil
		}
		kept, err := r.cfg.Store.TakePage(ctx, cursor, page.Cursor, page.Times, r.cfg.Clock.Now())
		if err != nil || !kept || !page.More {
			return err
		}
		cursor = page.Cursor
	}
	return nil
}

func (r *Reader) read(ctx context.Context, cursor string) (provider.TakenPage, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return r.cfg.Feed.TakenTimes(ctx, cursor)
}
