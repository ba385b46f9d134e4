package inbox_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/inbox"
)

const patience = time.Minute

// effects are queues in memory. Pages are of ten.
type effects struct {
	mu              sync.Mutex
	together, alone map[uuid.UUID]int
	// order are the workspaces in the order of their pages.
	order []uuid.UUID
	// now and most are how many of a workspace's are under way, and were at most.
	now, most map[uuid.UUID]int
	// broken fails the next look, held the next page.
	broken, held bool
	// gate lets a webhook that is processed alone go on.
	gate chan struct{}
}

func newEffects() *effects {
	return &effects{
		together: map[uuid.UUID]int{}, alone: map[uuid.UUID]int{}, now: map[uuid.UUID]int{}, most: map[uuid.UUID]int{},
		gate: make(chan struct{}),
	}
}

// Due lists what is left.
func (e *effects) Due(context.Context) ([]inbox.Waiting, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.broken {
		e.broken = false
		return nil, errors.New("away")
	}
	var out []inbox.Waiting
	for _, w := range workspaces() {
		if e.together[w] > 0 || e.alone[w] > 0 {
			out = append(out, inbox.Waiting{Workspace: w, Together: e.together[w] > 0, Alone: e.alone[w] > 0})
		}
	}
	return out, nil
}

// Together takes a page.
func (e *effects) Together(_ context.Context, w uuid.UUID) (int, error) {
	e.mu.Lock()
	if e.held {
		e.held = false
		e.mu.Unlock()
		return 0, nil
	}
	e.order = append(e.order, w)
	e.begun(w)
	e.mu.Unlock()
	defer e.ended(w)
	e.mu.Lock()
	defer e.mu.Unlock()
	n := min(inbox.Page, e.together[w])
	e.together[w] -= n
	return n, nil
}

// Lease takes webhooks that wait for the gate.
func (e *effects) Lease(_ context.Context, w uuid.UUID, n int) ([]func(context.Context), error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []func(context.Context)
	for range min(n, e.alone[w]) {
		e.alone[w]--
		e.begun(w)
		out = append(out, func(ctx context.Context) {
			defer e.ended(w)
			select {
			case <-ctx.Done():
			case <-e.gate:
			}
		})
	}
	return out, nil
}

func (e *effects) begun(w uuid.UUID) {
	e.now[w]++
	e.most[w] = max(e.most[w], e.now[w])
}

func (e *effects) ended(w uuid.UUID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now[w]--
}

// running is how many are under way.
func (e *effects) running() (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, one := range e.now {
		n += one
	}
	return n
}

func (e *effects) left(w uuid.UUID) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.together[w] + e.alone[w]
}

func workspaces() []uuid.UUID {
	out := make([]uuid.UUID, 6)
	for n := range out {
		out[n] = uuid.UUID{15: byte(n + 1)}
	}
	return out
}

// start runs an inbox until the test ends, or stop is called.
func start(t *testing.T, e *effects, softStop time.Duration) (in *inbox.Inbox, stop func()) {
	t.Helper()
	in = inbox.New(inbox.Config{Effects: e, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), SoftStop: softStop})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	t.Cleanup(stop)
	return in, stop
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

// TestWorkspacesTakeTurns: one with thousands of waiting webhooks has a few pages between those of the others.
func TestWorkspacesTakeTurns(t *testing.T) {
	t.Parallel()
	e, all := newEffects(), workspaces()
	e.together[all[0]] = 1000 * inbox.Page
	for _, w := range all[1:] {
		e.together[w] = 10
	}
	in, _ := start(t, e, time.Second)
	in.Wake()
	eventually(t, "all applied", func() bool { return !slices.ContainsFunc(all, func(w uuid.UUID) bool { return e.left(w) > 0 }) })
	e.mu.Lock()
	defer e.mu.Unlock()
	last := 0
	for n, w := range e.order {
		if w != all[0] {
			last = n
		}
	}
	// Six workspaces share four lanes: whoever has to wait, waits for pages of the first that were begun meanwhile only.
	if last > 30 || len(e.order) != 1005 {
		t.Errorf("the last single page was number %d of %d", last, len(e.order))
	}
	if e.most[all[0]] != 1 {
		t.Errorf("%d pages of one workspace at once", e.most[all[0]])
	}
}

// TestOneWorkspaceDoesNotTakeAllSlots: what waits for one workspace's provider leaves room for another's.
func TestOneWorkspaceDoesNotTakeAllSlots(t *testing.T) {
	t.Parallel()
	e, all := newEffects(), workspaces()
	for _, w := range all {
		e.alone[w] = 100
	}
	in, _ := start(t, e, time.Second)
	in.Wake()
	eventually(t, "slots taken", func() bool { return e.running() == 8 })
	e.mu.Lock()
	e.together[all[5]] = 5
	e.mu.Unlock()
	in.Wake()
	eventually(t, "a page beside them", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return e.together[all[5]] == 0 })
	close(e.gate)
	eventually(t, "all processed", func() bool { return !slices.ContainsFunc(all, func(w uuid.UUID) bool { return e.left(w) > 0 }) })
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range all[:5] {
		if e.most[w] > 4 {
			t.Errorf("%d of one workspace at once", e.most[w])
		}
	}
}

// TestAFailureOnlyDelays: a database that is away, and a page that another process has.
func TestAFailureOnlyDelays(t *testing.T) {
	t.Parallel()
	e, all := newEffects(), workspaces()
	e.broken, e.held, e.together[all[0]] = true, true, 25
	start(t, e, time.Second)
	eventually(t, "all applied", func() bool { return e.left(all[0]) == 0 })
}

// TestShutdownWaitsForWhatIsUnderWay, and no longer than it may.
func TestShutdownWaitsForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	e, all := newEffects(), workspaces()
	e.alone[all[0]] = 1
	in, stop := start(t, e, 50*time.Millisecond)
	in.Wake()
	eventually(t, "under way", func() bool { return e.running() == 1 })
	stop() // Nobody opens the gate: its context ends it.
	if n := e.running(); n != 0 {
		t.Errorf("%d under way after the end", n)
	}
}
