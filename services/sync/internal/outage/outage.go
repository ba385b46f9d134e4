// Package outage keeps reads away from a provider that does not answer: pollers, imports, read-backs and looks share one breaker
// per connection, over all replicas. A healthy connection costs one small read of its row each few seconds; while the breaker is
// open nothing is asked of the provider, and when its time is over one read finds out.
package outage

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/breaker"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/store"
)

// fresh is how long what was read of a breaker is believed: for so long another replica's opening may go unnoticed.
const fresh = 2 * time.Second

// Config is what a guard is made of.
type Config struct {
	Store *store.Store
	// Clock is physical time.
	Clock clock.Clock
	// Limit is the score that opens, Lease how long the read that finds out may take.
	Limit  int
	Lease  time.Duration
	Logger *slog.Logger
}

// Guard is a provider.Guard. It is safe for concurrent use.
type Guard struct {
	Config
	mu    sync.Mutex
	known map[key]memory
}

type key struct {
	workspace uuid.UUID
	kind      provider.Kind
}

// memory is a breaker as it was at a time, by this process's clock.
type memory struct {
	state breaker.State
	at    time.Time
	// ahead is the database's clock less this process's.
	ahead time.Duration
}

var _ provider.Guard = (*Guard)(nil)

// New makes a guard.
func New(cfg Config) *Guard { return &Guard{Config: cfg, known: map[key]memory{}} }

// Enter lets a read pass, or tells how long to wait. A database that cannot be asked holds nothing back.
func (g *Guard) Enter(ctx context.Context, who provider.Account) (func(context.Context, provider.Outcome), error) {
	k := key{workspace: who.Workspace, kind: provider.Kind(who.Budget().Provider)}
	m, err := g.look(ctx, k)
	if err != nil {
		return nil, err
	}
	now := g.Clock.Now().Add(m.ahead)
	probe := false
	switch m.state.Kind(now) {
	case breaker.Open:
		return nil, provider.Held(k.kind, m.state.Until.Sub(now))
	case breaker.HalfOpen:
		wait, err := g.elect(ctx, k)
		if err != nil {
			return nil, err
		}
		if wait > 0 {
			return nil, provider.Held(k.kind, wait)
		}
		probe = true
	}
	return func(ctx context.Context, came provider.Outcome) { g.leave(ctx, k, came, probe) }, nil
}

// look gives what is known of a breaker, read anew when that is old.
func (g *Guard) look(ctx context.Context, k key) (memory, error) {
	g.mu.Lock()
	m, ok := g.known[k]
	g.mu.Unlock()
	if ok && g.Clock.Now().Sub(m.at) < fresh {
		return m, nil
	}
	var now time.Time
	err := g.Store.Workspace(ctx, k.workspace, func(tx *store.Tx) (err error) {
		m.state, now, err = tx.SeeReadsBreaker(ctx, k.workspace, string(k.kind))
		return err
	})
	if ctx.Err() != nil {
		return m, ctx.Err()
	}
	if err != nil {
		return memory{}, nil //nolint:nilerr // no connection, or no database: the read itself will tell
	}
	return g.remember(k, m.state, now), nil
}

func (g *Guard) remember(k key, s breaker.State, now time.Time) memory {
	local := g.Clock.Now()
	m := memory{state: s, at: local, ahead: now.Sub(local)}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.known) > maxKnown {
		clear(g.known)
	}
	g.known[k] = m
	return m
}

// maxKnown bounds what is remembered of connections that are not read any more.
const maxKnown = 10_000

// elect asks under the row's lock to be the read that finds out. It answers how long to wait when another is.
func (g *Guard) elect(ctx context.Context, k key) (wait time.Duration, err error) {
	err = g.change(ctx, k, func(b breaker.State, now time.Time) breaker.State {
		b, wait = b.Enter(now, g.Lease)
		return b
	})
	if postgres.IsNoRows(err) {
		return 0, nil
	}
	return wait, err
}

// leave records what came of a read. What changes nothing costs nothing.
func (g *Guard) leave(ctx context.Context, k key, came provider.Outcome, probe bool) {
	g.mu.Lock()
	m := g.known[k]
	g.mu.Unlock()
	healthy := m.state.Score == 0 && m.state.Until.IsZero()
	if !probe && (came == provider.NotMade || (came == provider.Answered && healthy)) {
		return
	}
	// The caller may have gone; what it learned is for the others.
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := g.change(bound, k, func(b breaker.State, now time.Time) breaker.State {
		switch came {
		case provider.Answered:
			return b.Answered(now)
		case provider.Failed:
			return b.Failed(now, g.Limit)
		default:
			return b.Left()
		}
	})
	if err != nil && !postgres.IsNoRows(err) {
		g.Logger.WarnContext(ctx, "breaker of reads not updated", "workspace", k.workspace.String(), "error", err)
	}
}

func (g *Guard) change(ctx context.Context, k key, change func(breaker.State, time.Time) breaker.State) error {
	var before, after breaker.State
	var now time.Time
	err := g.Store.Workspace(ctx, k.workspace, func(tx *store.Tx) (err error) {
		before, after, now, err = tx.ReadsBreaker(ctx, k.workspace, string(k.kind), change)
		return err
	})
	if err != nil {
		return err
	}
	g.remember(k, after, now)
	switch {
	case before.Until.Equal(after.Until):
	case after.Until.IsZero():
		g.Logger.InfoContext(ctx, "provider answers reads again: breaker of reads closed", "workspace", k.workspace.String(), "provider", string(k.kind))
	default:
		g.Logger.WarnContext(ctx, "provider does not answer reads: breaker of reads opened", "workspace", k.workspace.String(),
			"provider", string(k.kind), "opens", after.Opens, "until", after.Until)
	}
	return nil
}
