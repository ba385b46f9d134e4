package reconcile_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/sender"
	"github.com/relance/relance/services/sync/internal/sending"
	credentials "github.com/relance/relance/services/sync/internal/token"
	"github.com/relance/relance/simulator"
)

// leases counts how often a limiter asks for permits.
type leases struct {
	budget.Rows
	n atomic.Int64
}

func (l *leases) Update(ctx context.Context, key budget.Key, initial budget.Limit, fn func(budget.State, time.Time) budget.State) error {
	l.n.Add(1)
	return l.Rows.Update(ctx, key, initial, fn)
}

// A send that its last look keeps back has a permit, which it does not use: the next send has it.
func TestTheLastLookGivesItsPermitBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p, q := r.person("+12025550101"), r.person("+12025550102")
	intent := p.lost(p.request(text), gone)
	r.looksUntil(intent, 15*time.Minute)
	r.is(intent, sending.Retryable, "")

	counted := &leases{Rows: r.store.Budgets()}
	// Permits live for a twentieth of the interval: longer than any machine is busy.
	r.exec(`UPDATE provider_budget SET limit_interval_ms = $1, tat = now(), read_tat = now()`, (24 * time.Hour).Milliseconds())
	limit := budget.Limit{Calls: 100, Interval: 24 * time.Hour}
	r.sender = sender.New(sender.Config{
		Store: r.store, Client: r.client, Looker: r.reconcile, Clock: r.clock, Timing: r.timing, MaxFailures: 5, Stopped: r.stopped.Load, Logger: r.logger(),
		Accounts: credentials.NewKeeper(credentials.Config{Store: r.store, Logger: r.logger()}),
		Budget:   budget.New(budget.Config{Rows: counted, Clock: clock.System(), Initial: func(budget.Key) budget.Limit { return limit }}),
	})
	blind := r.sim.AddFault(simulator.Fault{Match: simulator.Match{Method: "GET", Contact: p.contact}, Kind: simulator.Status5xxClean})
	r.jobs(intent)
	blind.Remove()
	r.is(intent, sending.Retryable, sending.ProviderUnavailable)
	if n := counted.n.Load(); n != 1 {
		t.Fatalf("%d leases for the send that was kept back", n)
	}
	if out := q.send(q.request(text)); out.State != sending.Accepted {
		t.Fatalf("out = %+v", out)
	}
	if n := counted.n.Load(); n != 1 {
		t.Errorf("the permit of the send that was kept back is lost: %d leases", n)
	}
	// The control: without one left the next send leases.
	third := r.person("+12025550103")
	third.send(third.request(text))
	if n := counted.n.Load(); n != 2 {
		t.Errorf("%d leases", n)
	}
}
