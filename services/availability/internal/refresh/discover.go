package refresh

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/availability/internal/store"
)

const (
	// wholeEvery is the time between walks over all workspaces; between them only those are asked for that changed.
	wholeEvery = 6 * time.Hour
	// overlap is how much earlier than the last walk changes are asked for: what was committed late, or by another clock.
	overlap = 5 * time.Minute
)

// walk is how far this process knows the directory.
type walk struct {
	mu sync.Mutex
	// whole is when all workspaces were last listed, since from when changes are to be asked for.
	whole, since time.Time
	// down remembers that the workspaces could not be listed, so that only the change is logged.
	down bool
}

// from is what to ask for: changes since a time, or all.
func (w *walk) from(now time.Time) (since time.Time, whole bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.whole.IsZero() || now.Sub(w.whole) >= wholeEvery || now.Before(w.whole) {
		return time.Time{}, true
	}
	return w.since, false
}

// ended notes a walk that began at now, and reports whether being able to walk changed.
func (w *walk) ended(now time.Time, whole bool, err error) (turned bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	turned, w.down = w.down != (err != nil), err != nil
	if err != nil {
		return turned
	}
	if whole {
		w.whole = now
	}
	w.since = now.Add(-overlap)
	return turned
}

// discover makes rows for workspaces that were never seen, so that one without any calendar is counted and rests. Between
// changes it costs one question that has no answer. When the workspaces cannot be listed, the known ones are refreshed all
// the same.
func (r *Refresher) discover(ctx context.Context, now time.Time) error {
	since, whole := r.known.from(now)
	var stored error
	err := r.cfg.Directory.Workspaces(ctx, since, func(ids []uuid.UUID, agencies []string) error {
		stored = r.cfg.Store.Learn(ctx, ids, agencies)
		return stored
	})
	if stored != nil {
		return stored
	}
	if r.known.ended(now, whole, err) {
		if err != nil {
			r.cfg.Logger.WarnContext(ctx, "workspaces cannot be listed", slog.Any("error", err))
		} else {
			r.cfg.Logger.InfoContext(ctx, "workspaces can be listed again")
		}
	}
	return nil
}

// censusLife is how long a count of all workspaces is used: counting costs more the more there are, and a tick should not.
const censusLife = 15 * time.Minute

type census struct {
	mu   sync.Mutex
	at   time.Time
	last store.Census
}

// Census counts the workspaces by state, at most once in 15 minutes.
func (r *Refresher) Census(ctx context.Context) (store.Census, error) {
	c, now := &r.counted, r.cfg.Clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil && now.Sub(c.at) < censusLife && !now.Before(c.at) {
		return c.last, nil
	}
	fresh, err := r.cfg.Store.Census(ctx)
	if err != nil {
		return nil, err
	}
	c.last, c.at = fresh, now
	return fresh, nil
}
