package inbox_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/inbox"
)

// elsewhere are effects of a workspace whose page another process has.
type elsewhere struct{ asked, looks atomic.Int32 }

func (e *elsewhere) Due(context.Context) ([]inbox.Waiting, error) {
	e.looks.Add(1)
	return []inbox.Waiting{{Workspace: uuid.UUID{1}, Together: true}}, nil
}

func (e *elsewhere) Together(context.Context, uuid.UUID) (int, error) {
	e.asked.Add(1)
	return 0, nil
}

func (e *elsewhere) Lease(context.Context, uuid.UUID, int) ([]func(context.Context), error) {
	return nil, nil
}

// A page that another process has is asked for each 50 ms, however often the inbox is woken.
func TestAHeldPageIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &elsewhere{}
		in := inbox.New(inbox.Config{Effects: e, Logger: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- in.Run(ctx) }()
		for range 1000 {
			in.Wake()
			time.Sleep(time.Millisecond)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := e.asked.Load(); n < 10 || n > 21 {
			t.Errorf("asked %d times in a second, want at most each 50 ms", n)
		}
	})
}

// What is stored of a workspace whose page somebody has is no reason to look: the end of the page is. What is stored of
// another is, at once.
func TestAStoredWebhookOfABusyWorkspaceIsNotLookedAt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		of          uuid.UUID
		least, most int32
	}{
		// Each of the 20 times that the page is asked for is a look, and leaves a moment in which it is not held.
		"held":    {uuid.UUID{1}, 10, 45},
		"another": {uuid.UUID{2}, 80, 150},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := &elsewhere{}
				in := inbox.New(inbox.Config{Effects: e, Logger: slog.New(slog.DiscardHandler)})
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- in.Run(ctx) }()
				for range 1000 {
					in.Stored(c.of)
					time.Sleep(time.Millisecond)
				}
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if n := e.looks.Load(); n < c.least || n > c.most {
					t.Errorf("looked %d times in a second, want %d to %d", n, c.least, c.most)
				}
			})
		})
	}
}

// slow are effects of pages that take a moment: a webhook that is stored after its page was read is the next page's.
type slow struct {
	mu      sync.Mutex
	waiting int
	pages   int
}

func (e *slow) Due(context.Context) ([]inbox.Waiting, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.waiting == 0 {
		return nil, nil
	}
	return []inbox.Waiting{{Workspace: uuid.UUID{1}, Together: true}}, nil
}

func (e *slow) Together(context.Context, uuid.UUID) (int, error) {
	e.mu.Lock()
	n := min(inbox.Page, e.waiting)
	e.waiting -= n
	e.pages++
	e.mu.Unlock()
	time.Sleep(7 * time.Millisecond)
	return n, nil
}

func (e *slow) Lease(context.Context, uuid.UUID, int) ([]func(context.Context), error) {
	return nil, nil
}

// TestWhatIsStoredDuringAPageIsNotLeft until the next look without a reason, a second later.
func TestWhatIsStoredDuringAPageIsNotLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &slow{}
		in := inbox.New(inbox.Config{Effects: e, Logger: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- in.Run(ctx) }()
		for range 200 {
			e.mu.Lock()
			e.waiting++
			e.mu.Unlock()
			in.Stored(uuid.UUID{1})
			time.Sleep(time.Millisecond)
		}
		time.Sleep(30 * time.Millisecond) // a look, and the page that it finds
		e.mu.Lock()
		if e.waiting != 0 || e.pages < 10 {
			t.Errorf("%d are left after %d pages", e.waiting, e.pages)
		}
		e.mu.Unlock()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
