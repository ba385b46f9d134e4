package refresh

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

// Request asks for a run.
type Request struct {
	// ID, when not uuid.Nil, is the caller's: the same one gives the same receipt.
	ID uuid.UUID
	// Mode says which calendars are read. Default store.ModeDue.
	Mode store.Mode
	// Budget is how long looks are begun.
	Budget time.Duration
}

// runSlack is how much longer than its budget a run counts as going on.
const runSlack = time.Minute

// Run looks at every calendar that is due, or at all, a bounded number at a time, until the budget ends, and stores the
// receipt. Default calendars have three quarters of it and those for direct bookings one, or more where the others are done. Agencies
// take turns; of one the calendar that waits longest comes first. Runs at the same time, here and
// elsewhere, share the work. Looks that were begun are finished in any case. An error is the database's, or
// store.ErrRunning; failures of single workspaces are counted.
func (r *Refresher) Run(ctx context.Context, req Request) (store.Run, error) {
	r.work.Add(1)
	defer r.work.Done()
	if req.Mode == "" {
		req.Mode = store.ModeDue
	}
	receipt, err := r.cfg.Store.StartRun(ctx, req.ID, store.Run{Mode: req.Mode, Start: r.cfg.Clock.Now()}, req.Budget+runSlack)
	if err != nil || !receipt.End.IsZero() {
		return receipt, err
	}
	started, stop := context.WithTimeout(ctx, req.Budget)
	defer stop()
	run := &run{refresher: r, now: r.cfg.Clock.Now(), mode: receipt.Mode, budget: req.Budget}
	// Whoever asked may be gone by now: what was done is stored all the same.
	end := context.WithoutCancel(ctx)
	err = run.all(started)
	var counted store.Census
	if err == nil {
		counted, err = r.Census(end)
	}
	if err != nil {
		return store.Run{}, errors.Join(err, r.cfg.Store.LeaveRun(end, receipt.ID))
	}
	receipt.Receipt, receipt.Finished, receipt.End = run.receipt, run.exhausted, r.cfg.Clock.Now()
	return r.cfg.Store.FinishRun(end, receipt, counted.Total())
}

// all does the run's work.
func (r *run) all(ctx context.Context) error {
	f := r.refresher
	if err := f.discover(ctx, r.now, r.budget); err != nil {
		return r.unlessOver(ctx, err)
	}
	if err := r.putOff(ctx); err != nil {
		return r.unlessOver(ctx, err)
	}
	// Those that back off are known before the looks, so that none is counted twice.
	resting, err := f.cfg.Store.BackingOff(ctx, r.now)
	if err != nil {
		return r.unlessOver(ctx, err)
	}
	r.receipt.Backoff = resting
	if err := r.settle(ctx); err != nil {
		return err
	}
	for again := true; again; again = r.reopened(ctx) {
		if err := r.fill(ctx); err != nil {
			return r.unlessOver(ctx, err)
		}
		var workers sync.WaitGroup
		for worker := range f.cfg.Concurrency {
			workers.Go(func() { r.toil(ctx, worker) })
		}
		workers.Wait()
	}
	if r.err != nil {
		return r.err
	}
	return r.tellLow(ctx)
}

// unlessOver is the error, unless it is only the end of the budget.
func (r *run) unlessOver(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // what was not done is told by finished, and done by the next run
	}
	return err
}

// reopened reports whether a host answered again during the run, whose calendars are due now: they are not left for the
// next run.
func (r *run) reopened(ctx context.Context) bool {
	if r.hastened == 0 || r.err != nil || ctx.Err() != nil {
		return false
	}
	r.hastened = 0
	return true
}

// run is one run over all due workspaces.
type run struct {
	refresher *Refresher
	now       time.Time
	mode      store.Mode
	budget    time.Duration

	mu sync.Mutex
	// queues are what is left of each kind; claims counts what was asked of them.
	queues    []*queue
	claims    int
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
		for _, key := range settled.Changed {
			r.refresher.logChange(ctx, key, refused)
		}
		if !settled.More {
			return nil
		}
	}
	return nil
}

// toil is one worker: it claims and looks until nothing is due, the budget ends, or the database fails.
func (r *run) toil(ctx context.Context, worker int) {
	for {
		row, ok := r.next(ctx, worker)
		if !ok {
			return
		}
		// A look that was begun is finished: its answer is paid for, and cutting it off would look like a failure.
		done, err := r.refresher.look(context.WithoutCancel(ctx), row)
		r.count(row, done, err)
	}
}

func (r *run) count(row store.Row, done outcome, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		// The row keeps its lease until that runs out and is due again then.
		r.refresher.cfg.Logger.Error("availability could not be stored",
			slog.String("workspace", row.Workspace.String()), slog.String("source_kind", string(row.Kind)), slog.Any("error", err))
		done.verdict, done.reason = slots.VerdictError, "INTERNAL"
	}
	if done.asked {
		r.receipt.Attempted++
		if row.Kind == slots.SourceDirectBook {
			r.receipt.DirectBook++
		}
	}
	if done.hastened > 0 {
		r.hastened += done.hastened
		// They were counted as backing off when the run began, and are counted again for what becomes of them.
		r.receipt.Backoff = max(r.receipt.Backoff-done.hastened, 0)
	}
	r.receipt.Count(done.verdict, slots.Failure{Workspace: row.Workspace.String(), Kind: row.Kind, Reason: done.reason})
}
