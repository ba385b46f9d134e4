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

// walk is how far this process knows the directory. A walk that is longer than a run may take is gone on with by the next.
type walk struct {
	mu sync.Mutex
	// whole is when all workspaces were last listed, since from when changes are to be asked for.
	whole, since time.Time
	// leg is the walk that is not at its end.
	leg leg
	// down remembers that the workspaces could not be listed, so that only the change is logged.
	down bool
}

// leg is a walk over all workspaces, or over those that changed since a time.
type leg struct {
	// began is when it began, page where it goes on.
	began, since time.Time
	whole        bool
	page         string
	// read says that this run has read a page of it.
	read bool
}

// next is the walk to go on with, or a new one: over all, or over what changed.
func (w *walk) next(now time.Time) leg {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leg.page != "" && !now.Before(w.leg.began) && now.Sub(w.leg.began) < wholeEvery {
		return w.leg
	}
	if w.whole.IsZero() || now.Sub(w.whole) >= wholeEvery || now.Before(w.whole) {
		return leg{began: now, whole: true}
	}
	return leg{began: now, since: w.since}
}

// ended notes how far a walk came, and reports whether being able to walk changed. One that only had no more time goes on; so does one
// that failed, unless its place itself may be what is refused.
func (w *walk) ended(at leg, over bool, err error) (turned bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		if !over {
			turned, w.down = !w.down, true
		}
		if w.leg = (leg{}); at.read || over {
			at.read = false
			w.leg = at
		}
		return turned
	}
	turned, w.down, w.leg = w.down, false, leg{}
	if at.whole {
		w.whole = at.began
	}
	w.since = at.began.Add(-overlap)
	return turned
}

// discover makes rows for workspaces that were never seen, so that one without any calendar is counted and rests. Between
// changes it costs one question that has no answer. It takes half of a run at most, and goes on in the next: the known ones are
// refreshed in any case, also when the workspaces cannot be listed.
func (r *Refresher) discover(ctx context.Context, now time.Time, budget time.Duration) error {
	ctx, stop := context.WithTimeout(ctx, budget/2)
	defer stop()
	at := r.known.next(now)
	var stored error
	err := r.cfg.Directory.Workspaces(ctx, at.since, at.page, func(ids []uuid.UUID, agencies []string, next string) error {
		if len(ids) > 0 {
			if stored = r.cfg.Store.Learn(ctx, ids, agencies); stored != nil {
				return stored
			}
		}
		at.page, at.read = next, true
		return nil
	})
	over := ctx.Err() != nil
	turned := r.known.ended(at, over, err)
	switch {
	case stored != nil && !over:
		return stored
	case turned && err != nil:
		r.cfg.Logger.WarnContext(ctx, "workspaces cannot be listed", slog.Any("error", err))
	case turned:
		r.cfg.Logger.InfoContext(ctx, "workspaces can be listed again")
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
