package server_test

import (
	"testing"
	"time"

	"github.com/relance/relance/services/availability/internal/refresh"
)

// TestNoLeaseOutlivesItsRun: wherever a budget ends, in the claim's commit too, nothing stays leased: the next run has it.
func TestNoLeaseOutlivesItsRun(t *testing.T) {
	t.Parallel()
	const workspaces, most = 30, 400
	w := newWorld(t)
	w.sync.set(func(f *fakeSync) { f.page = 500 })
	for range workspaces {
		w.link(t, w.workspace(t))
	}
	refreshed, runs := 0, 0
	for ; refreshed < 3*workspaces && runs < most; runs++ {
		run, err := w.refresher.Run(t.Context(), refresh.Request{Budget: time.Duration(1+runs%60) * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		refreshed += run.Receipt.Refreshed
		leased := 0
		if err := w.pool.QueryRow(t.Context(), `SELECT count(*) FROM (SELECT set_config('relance.scope', 'system', true)) s, availability WHERE lease_until IS NOT NULL`).Scan(&leased); err != nil {
			t.Fatal(err)
		}
		if leased > 0 {
			t.Fatalf("%d leases were left by run %d", leased, runs)
		}
		if run.Finished {
			w.clock.Advance(2 * time.Minute)
		}
	}
	if refreshed < workspaces {
		t.Errorf("%d looks in %d runs", refreshed, runs)
	}
	t.Logf("%d runs, %d looks", runs, refreshed)
}
