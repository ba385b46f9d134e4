// Package clock is the one source of business time: due dates, windows, quiet hours, freshness. Leases use the
// database's clock and transports the machine's; they do not come from here.
package clock

import (
	"sync"
	"time"
)

// Clock tells the business time. Implementations are safe for concurrent use.
type Clock interface {
	// Now is the current business time.
	Now() time.Time
}

// System is the machine's clock.
func System() Clock { return system{} }

type system struct{}

func (system) Now() time.Time { return time.Now() }

// Movable is a clock that demos and tests move. It stands still between moves and is safe for concurrent use.
type Movable struct {
	mu  sync.RWMutex
	now time.Time
}

// NewMovable makes a clock that stands at start.
func NewMovable(start time.Time) *Movable { return &Movable{now: start} }

// Now is the time last set.
func (m *Movable) Now() time.Time {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.now
}

// Set moves the clock to t.
func (m *Movable) Set(t time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = t
}

// Advance moves the clock by d and tells the new time.
func (m *Movable) Advance(d time.Duration) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
	return m.now
}

// Flowing is a clock that runs at the machine's speed from a chosen start and can jump ahead, for demos and sandboxes.
// It is safe for concurrent use.
type Flowing struct {
	mu     sync.RWMutex
	offset time.Duration
}

// NewFlowing makes a clock that runs from start.
func NewFlowing(start time.Time) *Flowing { return &Flowing{offset: time.Until(start)} }

// Now is the time on this clock.
func (f *Flowing) Now() time.Time {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return time.Now().Add(f.offset).Round(0)
}

// Set jumps to t; it never goes back.
func (f *Flowing) Set(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if offset := time.Until(t); offset > f.offset {
		f.offset = offset
	}
}
