package reconcile

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// restDue is how long after its time a due send may still wait for its turn (I8).
const restDue = 5 * time.Minute

// countedAtOnce is how many sends all are counted for each minute. More are counted as seldom as keeps it to that many a minute:
// ten million each twentieth minute. I9 is a promise about all sends ever, and its count reads all.
const countedAtOnce = 500_000

// State is the sends of all workspaces at a moment.
type State struct {
	// Sends counts them by state, Planned as the timeline has them. Nil when it was not their turn to be counted.
	Sends   map[sending.State]int64
	Planned int64
	// Waiting are parked sends that nobody has resolved, Duplicates sends of which the provider shows more than one message.
	Waiting, Duplicates int64
	// Resting counts sends that should have moved long ago, by kind: sending, unknown, due (I8).
	Resting map[string]int64
}

// Gap is what I9 promises to be 0: planned sends that are in no state, or the other way round.
func (s State) Gap() int64 {
	gap := s.Planned
	for _, n := range s.Sends {
		gap -= n
	}
	return gap
}

// Watch counts the sends, keeps the metrics of invariants I8 and I9, and tells in the log when one of them is broken or
// whole again.
func (r *Reconciler) Watch(ctx context.Context) (State, error) {
	out := State{Resting: map[string]int64{}}
	err := r.Store.Snapshot(ctx, func(tx *store.Tx) error { return r.countSends(ctx, tx, &out) })
	if err != nil {
		return State{}, fmt.Errorf("count sends: %w", err)
	}
	resting := int64(0)
	for kind, n := range out.Resting {
		r.metrics.resting.Record(ctx, n, metric.WithAttributes(attribute.String("kind", kind)))
		resting += n
	}
	r.metrics.waiting.Record(ctx, out.Waiting)
	r.watchLateness(ctx)
	r.tell(ctx, "sends rest that should have moved (I8)", resting)
	if out.Sends != nil {
		r.tellAll(ctx, out)
	}
	return out, nil
}

// tellAll tells what only a count of all sends shows.
func (r *Reconciler) tellAll(ctx context.Context, out State) {
	for _, state := range sending.States() {
		r.metrics.sends.Record(ctx, out.Sends[state], metric.WithAttributes(attribute.String("state", string(state))))
	}
	r.metrics.duplicates.Record(ctx, out.Duplicates)
	r.metrics.gap.Record(ctx, out.Gap())
	r.tell(ctx, "planned sends and states do not add up (I9)", out.Gap())
	r.tell(ctx, "duplicates suspected (I1)", out.Duplicates)
}

func (r *Reconciler) countSends(ctx context.Context, tx *store.Tx, out *State) error {
	if err := r.Assumed.Load(ctx, tx); err != nil {
		return err
	}
	if r.spared.Add(-1) < 0 {
		if err := r.countAll(ctx, tx, out); err != nil {
			return err
		}
	}
	var err error
	if out.Waiting, err = tx.ParkedSends(ctx); err != nil {
		return err
	}
	slowest := r.Assumed.Slowest()
	resting, err := tx.RestingSends(ctx, db.RestingSendsParams{
		UnknownSeconds: (slowest.Settle + slowest.Grace() + slowest.Looks()[1]).Seconds(), Due: tx.Now.Add(-restDue),
	})
	out.Resting["sending"], out.Resting["unknown"], out.Resting["due"] = resting.Sending, resting.Unknown, resting.Due
	return err
}

// countAll counts all sends, and says how often that is spared from now on.
func (r *Reconciler) countAll(ctx context.Context, tx *store.Tx, out *State) error {
	about, err := tx.SendsAbout(ctx)
	if err != nil {
		return err
	}
	states, err := tx.SendsByState(ctx)
	if err != nil {
		return err
	}
	out.Sends = map[sending.State]int64{}
	for _, s := range states {
		out.Sends[sending.State(s.State)] = s.Sends
		out.Duplicates += s.Duplicates
	}
	if out.Planned, err = tx.PlannedSends(ctx); err != nil {
		return err
	}
	r.spared.Store(about / countedAtOnce)
	return nil
}

// tell logs a broken invariant when its count changes, not each minute.
func (r *Reconciler) tell(ctx context.Context, what string, count int64) {
	told, _ := r.told.Swap(what, count)
	before, _ := told.(int64)
	switch {
	case count != 0 && count != before:
		r.logger.ErrorContext(ctx, "send invariant broken", "invariant", what, "count", count)
	case count == 0 && before != 0:
		r.logger.InfoContext(ctx, "send invariant holds again", "invariant", what)
	}
}
