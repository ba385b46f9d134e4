package refresh

import (
	"context"
	"slices"
	"time"

	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

// directShare is the part of a run that calendars for direct bookings can count on, however many of the others are due: one look in
// so many. Whoever has nothing left leaves its part to the other.
const directShare = 4

// queue is the work of a run with the calendars of one kind.
type queue struct {
	kind slots.SourceKind
	// turns are the agencies that are left; at is whose turn it is.
	turns []*store.Turn
	at    int
}

// fill lists the work of both kinds.
func (r *run) fill(ctx context.Context) error {
	r.queues, r.exhausted = nil, false
	for _, kind := range slots.SourceKinds() {
		turns, err := r.refresher.cfg.Store.Turns(ctx, r.work(kind))
		if err != nil {
			return err
		}
		r.queues = append(r.queues, &queue{kind: kind, turns: turns})
	}
	return nil
}

func (r *run) work(kind slots.SourceKind) store.Work {
	return store.Work{Kind: kind, Mode: r.mode, Now: r.now}
}

// prefers is the kind that a worker looks at first. Of many workers some keep to direct bookings, so that slow calendars of one kind
// hold up no more than their share; fewer workers take turns.
func (r *run) prefers(worker int) slots.SourceKind {
	r.claims++
	ticket := worker
	if r.refresher.cfg.Concurrency < directShare {
		ticket = r.claims
	}
	if ticket%directShare == directShare-1 {
		return slots.SourceDirectBook
	}
	return slots.SourceDefault
}

// next claims the next calendar for a worker: of the kind that it prefers, or of the other when none of that is left.
func (r *run) next(ctx context.Context, worker int) (store.Row, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.prefers(worker)
	for _, own := range []bool{true, false} {
		for _, q := range r.queues {
			if (q.kind == first) != own {
				continue
			}
			if row, ok := r.claim(ctx, q); ok || r.err != nil || ctx.Err() != nil {
				return row, ok
			}
		}
	}
	r.exhausted = true
	return store.Row{}, false
}

// claimTimeout bounds a claim, which the budget does not end.
const claimTimeout = 5 * time.Second

// claim takes the next calendar of the agency whose turn it is.
func (r *run) claim(ctx context.Context, q *queue) (store.Row, bool) {
	for len(q.turns) > 0 && r.err == nil && ctx.Err() == nil {
		q.at %= len(q.turns)
		turn := q.turns[q.at]
		row, ok, err := r.claimNext(ctx, q.kind, turn)
		if err != nil {
			r.err = r.unlessOver(ctx, err)
			return store.Row{}, false
		}
		if ok && ctx.Err() != nil {
			r.err = r.refresher.cfg.Store.Release(context.WithoutCancel(ctx), row)
			return store.Row{}, false
		}
		if turn.Left--; ok && turn.Left > 0 {
			q.at++
			return row, true
		}
		q.turns = slices.Delete(q.turns, q.at, q.at+1)
		if ok {
			return row, true
		}
	}
	return store.Row{}, false
}

// claimNext does not end with the budget: given up in its commit, it may have taken a lease that nobody would end. What it takes too
// late is handed back.
func (r *run) claimNext(ctx context.Context, kind slots.SourceKind, turn *store.Turn) (store.Row, bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimTimeout)
	defer cancel()
	return r.refresher.cfg.Store.ClaimNext(ctx, r.work(kind), r.refresher.lease(), turn)
}
