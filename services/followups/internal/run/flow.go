package run

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/followups/internal/crashpoint"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store"
)

const (
	// batchesInFlight bounds what a run holds claimed and not yet recorded.
	batchesInFlight = 4
	// recordsAtOnce are recorded in one commit at most; one waits gatherTime for others to come.
	recordsAtOnce = 200
	gatherTime    = 5 * time.Millisecond
	// lookAgain is how long work that falls due while other work is under way may wait to be claimed.
	lookAgain = 300 * time.Millisecond
)

// flow is one run's work on its way. Three stages go on beside each other, so that none waits for another's network or
// database: batches are claimed and prepared one after another, messages are asked for many at once, and what is
// finished is recorded together.
type flow struct {
	*pass
	room     *room
	finished chan *work
	lanes    *lanes
}

// flow works until nothing is due or the budget ends. Whatever was sent is recorded before it returns, unless it fails.
func (p *pass) flow(ctx, budget context.Context) (finished bool, err error) {
	capacity := batchesInFlight * p.cfg.BatchSize
	f := &flow{
		pass: p, room: newRoom(capacity, p.cfg.BatchSize/4),
		finished: make(chan *work, capacity), // never blocks: there is room for all that is in flight
	}
	var group errgroup.Group
	broken, stop := context.WithCancel(budget)
	defer stop()
	f.lanes = newLanes(p.sends, func(w *work) {
		if w.begin.Err() == nil && broken.Err() == nil {
			p.sendIsolated(ctx, w)
		}
		f.finished <- w
	})
	group.Go(func() error {
		defer stop() // when it fails, nothing more is begun
		return f.recordAll(ctx)
	})
	group.Go(func() error {
		defer close(f.finished)
		defer f.lanes.wait()
		var err error
		finished, err = f.claimAll(ctx, broken)
		return err
	})
	return finished, group.Wait()
}

// claimAll reports true when nothing due was left.
func (f *flow) claimAll(ctx, budget context.Context) (bool, error) {
	for budget.Err() == nil {
		idle := f.room.idle() // asked first: what is on its way may be due again at once, with its next step
		claim, ok := f.room.bound(store.Claim{Now: f.cfg.Clock.Now(), Size: f.cfg.BatchSize, Lease: f.cfg.Lease, After: f.turn})
		if !ok {
			f.room.wait(budget, lookAgain)
			continue
		}
		batch, err := f.claim(ctx, claim)
		if err != nil {
			return false, err
		}
		if len(batch.Items) == 0 {
			if idle {
				return true, nil
			}
			f.room.wait(budget, lookAgain)
			continue
		}
		f.turn = batch.Last
		for _, item := range batch.Items {
			f.room.take(item.Enrollment.Workspace)
		}
		works, err := f.prepare(ctx, budget, batch)
		if err != nil {
			return false, err
		}
		crashpoint.At(crashpoint.K2)
		for _, w := range works {
			if w.content != nil && w.effect == nil {
				f.lanes.add(w)
			} else {
				f.finished <- w
			}
		}
	}
	return false, nil
}

// claim ends with neither the budget nor the caller: given up in its COMMIT it may have taken leases that nobody would
// end. What it takes too late is not begun and is handed back.
func (p *pass) claim(ctx context.Context, claim store.Claim) (store.Batch, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	return p.cfg.Store.Claim(ctx, claim)
}

// recordAll records until nothing more can come.
func (f *flow) recordAll(ctx context.Context) error {
	for more := true; more; {
		var works []*work
		if works, more = f.gather(); len(works) == 0 {
			continue
		}
		if err := f.cfg.BeforeCommit(ctx); err != nil {
			return fmt.Errorf("before commit: %w", err)
		}
		if err := f.commit(ctx, works); err != nil {
			return err
		}
		f.room.leave(works)
	}
	return nil
}

// gather waits for one that is finished, and a little for more. It reports false when there are no more to come.
func (f *flow) gather() (works []*work, more bool) {
	first, ok := <-f.finished
	if !ok {
		return nil, false
	}
	works = append(works, first)
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	for len(works) < recordsAtOnce {
		select {
		case w, ok := <-f.finished:
			if !ok {
				return works, false
			}
			works = append(works, w)
		case <-timer.C:
			return works, true
		}
	}
	return works, true
}

// commit records. What was sent is recorded even when the caller has gone.
func (p *pass) commit(ctx context.Context, works []*work) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	all := store.Commit{Run: p.run, Now: p.cfg.Clock.Now()}
	for _, w := range works {
		if w.effect == nil {
			all.Release = append(all.Release, w.item)
			continue
		}
		all.Done = append(all.Done, store.Done{Item: w.item, Effect: *w.effect, Trace: w.trace, Zone: w.zone, Try: w.try})
	}
	err := p.cfg.Store.Commit(ctx, all)
	if err != nil && ctx.Err() == nil && !postgres.IsUnavailable(err) {
		return p.commitEach(ctx, all)
	}
	if err != nil {
		return err
	}
	crashpoint.At(crashpoint.K6)
	for _, done := range all.Done {
		p.logChange(ctx, done)
	}
	return nil
}

// commitEach records one by one, so that one that cannot be recorded does not keep the others from it. That one counts as
// failed; when even this cannot be recorded, it is left to the end of its lease.
func (p *pass) commitEach(ctx context.Context, all store.Commit) error {
	one := store.Commit{Run: all.Run, Now: all.Now, Release: all.Release}
	if err := p.cfg.Store.Commit(ctx, one); err != nil {
		return err
	}
	one.Release = nil
	for _, done := range all.Done {
		one.Done = []store.Done{done}
		err := p.cfg.Store.Commit(ctx, one)
		if err == nil {
			p.logChange(ctx, done)
			continue
		}
		p.logBroken(ctx, done.Item.Enrollment, err)
		done.Effect = followup.Broken(done.Item.Enrollment, done.Try)
		done.Trace = []followup.Check{followup.AnswerCheck(followup.RuleIntact, done.Effect)}
		one.Done = []store.Done{done}
		if err := p.cfg.Store.Commit(ctx, one); err != nil && (ctx.Err() != nil || postgres.IsUnavailable(err)) {
			return err
		}
	}
	return nil
}
