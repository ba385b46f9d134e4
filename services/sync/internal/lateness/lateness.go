// Package lateness keeps how late the providers were seen to be against assumptions A1 and A2 of the send protocol
// (docs/send-protocol.md), and gives the constants that follow from it: while a provider is late, sends of unknown outcome
// wait longer before absence counts.
package lateness

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"

	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// refreshEvery is how often a process reads what others saw. Who decides by it reads it in the deciding transaction instead.
const refreshEvery = time.Minute

// Assumption names an assumption of the protocol about a provider.
type Assumption string

// The assumptions that are watched by what the provider shows.
const (
	// Delay (A1): a call that was given up is processed within D or never.
	Delay Assumption = "A1"
	// Visible (A2): an accepted message shows in every list within V.
	Visible Assumption = "A2"
)

// Sighting says that a provider was late.
type Sighting struct {
	Provider   string
	Assumption Assumption
	// Seen is how late: more than what is configured.
	Seen time.Duration
}

// Book gives the protocol's constants by provider. It is safe for concurrent use.
type Book struct {
	configured sending.Timing
	seen       atomic.Pointer[map[string]sending.Lateness]
}

// New makes a Book of providers that keep to what is configured, until Load tells otherwise.
func New(configured sending.Timing) *Book {
	b := &Book{configured: configured}
	b.seen.Store(&map[string]sending.Lateness{})
	return b
}

// Configured are the constants for a provider that was not seen to be late.
func (b *Book) Configured() sending.Timing { return b.configured }

// Timing are the constants that hold for a provider, as of the last Load.
func (b *Book) Timing(provider string) sending.Timing {
	return b.configured.Lengthened((*b.seen.Load())[provider])
}

// Slowest are the constants of the provider whose sends may stay unknown longest.
func (b *Book) Slowest() sending.Timing {
	slowest := b.configured
	for seen := range maps.Values(*b.seen.Load()) {
		if t := b.configured.Lengthened(seen); t.Settle > slowest.Settle {
			slowest = t
		}
	}
	return slowest
}

// Load reads what all processes saw.
func (b *Book) Load(ctx context.Context, tx *store.Tx) error {
	rows, err := tx.Lateness(ctx, sending.LatenessHold.Seconds())
	if err != nil {
		return fmt.Errorf("read lateness: %w", err)
	}
	seen := map[string]sending.Lateness{}
	for _, row := range rows {
		l, late := seen[row.Provider], time.Duration(row.SeenMs)*time.Millisecond
		if Assumption(row.Assumption) == Delay {
			l.Delay = late
		} else {
			l.Visible = late
		}
		seen[row.Provider] = l
	}
	b.seen.Store(&seen)
	return nil
}

// Note stores that a provider was late; every process acts on it from its next Load.
func (b *Book) Note(ctx context.Context, tx *store.Tx, s Sighting) error {
	// What is beyond the bound changes nothing, and a provider's clock may say anything.
	limit := sending.MaxStretch * max(b.configured.Delay, b.configured.Visible)
	err := tx.NoteLateness(ctx, db.NoteLatenessParams{
		Provider: s.Provider, Assumption: string(s.Assumption), SeenMs: max(min(s.Seen, limit).Milliseconds(), 1),
		HoldSeconds: sending.LatenessHold.Seconds(),
	})
	if err != nil {
		return fmt.Errorf("note lateness: %w", err)
	}
	return nil
}

// Run keeps the book current until ctx ends. A database that is away leaves it as it was.
func (b *Book) Run(ctx context.Context, from *store.Store, logger *slog.Logger) error {
	every := time.NewTicker(refreshEvery)
	defer every.Stop()
	for {
		if err := from.System(ctx, func(tx *store.Tx) error { return b.Load(ctx, tx) }); err != nil && ctx.Err() == nil {
			logger.WarnContext(ctx, "lateness of the providers not read", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
	}
}
