package refresh

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

// Due looks at every workspace that is due, the one that waits longest first, a bounded number at a time, until the
// budget ends. Runs at the same time, here and elsewhere, share the work. finished tells whether nothing due was left;
// looks that were begun are finished in any case. An error is the database's; failures of single workspaces are counted.
func (r *Refresher) Due(ctx context.Context, budget time.Duration) (receipt slots.Receipt, finished bool, err error) {
	r.work.Add(1)
	defer r.work.Done()
	started, stop := context.WithTimeout(ctx, budget)
	defer stop()
	if err := r.discover(started); err != nil {
		return receipt, false, err
	}
	run := &run{refresher: r, now: r.cfg.Clock.Now()}
	if err := run.putOff(started); err != nil && started.Err() == nil {
		return receipt, false, err
	}
	resting, err := r.cfg.Store.BackingOff(ctx, run.now)
	if err != nil {
		return receipt, false, err
	}
	// Those that back off are known before the looks, so that none is counted twice.
	run.receipt.Backoff = resting
	if err := run.settle(started); err != nil {
		return run.receipt, false, err
	}
	for again := true; again; again = run.reopened(started) {
		var workers sync.WaitGroup
		for range r.cfg.Concurrency {
			workers.Go(func() { run.work(started) })
		}
		workers.Wait()
	}
	return run.receipt, run.exhausted, run.err
}

// reopened reports whether a host answered again during the run, whose calendars are due now: they are not left for the
// next run.
func (r *run) reopened(ctx context.Context) bool {
	if r.hastened == 0 || r.err != nil || ctx.Err() != nil {
		return false
	}
	r.hastened, r.exhausted, r.cursor = 0, false, store.Cursor{}
	return true
}

// discover makes rows for workspaces that were never seen, so that one without any calendar is counted and rests. When
// the workspaces cannot be listed, the known ones are refreshed all the same.
func (r *Refresher) discover(ctx context.Context) error {
	var stored error
	err := r.cfg.Directory.Workspaces(ctx, func(ids []uuid.UUID) error {
		stored = r.cfg.Store.AddWorkspaces(ctx, ids)
		return stored
	})
	if stored != nil {
		return stored
	}
	if was := r.directoryDown.Swap(err != nil); was != (err != nil) {
		if err != nil {
			r.cfg.Logger.WarnContext(ctx, "workspaces cannot be listed", slog.Any("error", err))
		} else {
			r.cfg.Logger.InfoContext(ctx, "workspaces can be listed again")
		}
	}
	return nil
}

// run is one run over all due workspaces.
type run struct {
	refresher *Refresher
	now       time.Time

	mu        sync.Mutex
	cursor    store.Cursor
	receipt   slots.Receipt
	exhausted bool
	err       error
	// hastened counts the rows that became due during the run.
	hastened int
}

// settleBatch bounds the rows that one transaction settles.
const settleBatch = 1000

// settle puts to rest, many at a time, the due workspaces without a default link: there is nothing to ask for them. What
// somebody else holds just now is left to work.
func (r *run) settle(ctx context.Context) error {
	refused := r.refresher.refused(slots.ReasonNoDefaultCalendar, r.now)
	for ctx.Err() == nil {
		settled, err := r.refresher.cfg.Store.SettleUnconfigured(ctx, r.now, refused, settleBatch)
		if err != nil && ctx.Err() != nil {
			// The budget ended: the transaction was rolled back or is told by the next run.
			return nil //nolint:nilerr // see above: not an error of the run
		}
		if err != nil {
			return err
		}
		r.receipt.NoDefault += settled.Count
		for _, workspace := range settled.Changed {
			r.refresher.logChange(ctx, workspace, refused)
		}
		if !settled.More {
			return nil
		}
	}
	return nil
}

// work claims and looks until nothing is due, the budget ends, or the database fails.
func (r *run) work(ctx context.Context) {
	for {
		row, ok := r.next(ctx)
		if !ok {
			return
		}
		// A look that was begun is finished: its answer is paid for, and cutting it off would look like a failure.
		done, err := r.refresher.look(context.WithoutCancel(ctx), row)
		r.count(row, done, err)
	}
}

func (r *run) next(ctx context.Context) (store.Row, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.exhausted || r.err != nil || ctx.Err() != nil {
		return store.Row{}, false
	}
	row, ok, err := r.refresher.cfg.Store.ClaimNextDue(ctx, r.now, r.refresher.lease(), &r.cursor)
	switch {
	case err != nil && ctx.Err() != nil:
		return store.Row{}, false
	case err != nil:
		r.err = err
		return store.Row{}, false
	case !ok:
		r.exhausted = true
	}
	return row, ok
}

func (r *run) count(row store.Row, done outcome, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		// The row keeps its lease until that runs out and is due again then.
		r.refresher.cfg.Logger.Error("availability could not be stored",
			slog.String("workspace", row.Workspace.String()), slog.Any("error", err))
		done.verdict, done.reason = slots.VerdictError, "INTERNAL"
	}
	if done.asked {
		r.receipt.Attempted++
	}
	if done.hastened > 0 {
		r.hastened += done.hastened
		// They were counted as backing off when the run began, and are counted again for what becomes of them.
		r.receipt.Backoff = max(r.receipt.Backoff-done.hastened, 0)
	}
	r.receipt.Count(done.verdict, slots.Failure{Workspace: row.Workspace.String(), Reason: done.reason})
}
