package sync_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/simulator"
)

func TestBreakerHoldsSendsBackAndOneProbeClosesIt(t *testing.T) {
	t.Parallel()
	w := newRig(t, func(c *relancesync.Config) {
		c.BreakerFailures = 3
		// The probe hangs while others are refused; on a busy machine that takes seconds, and its time-out would be a failure.
		c.SendCall, c.DrainTimeout, c.SendSettle = 30*time.Second, 30*time.Second, patience
	}).tenant(location)
	fault := w.sim.AddFault(simulator.Fault{Match: simulator.SendsTo(""), Kind: simulator.Status5xxAfterAccept})
	send := func(i int) error {
		lead, _ := w.lead(simulator.Contact{Phone: fmt.Sprintf("+120255501%02d", i)})
		_, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
		return err
	}
	for i := range 3 {
		if err := send(i); err != nil {
			t.Fatal(err) // UNKNOWN is a state
		}
	}
	e := rpctest.RequireError(t, send(3), codes.Unavailable, "PROVIDER_UNAVAILABLE")
	if e.Metadata["cause"] != "breaker_open" || e.RetryAfter <= 0 || e.RetryAfter > 10*time.Second {
		t.Errorf("metadata %v, retry after %s", e.Metadata, e.RetryAfter)
	}
	breaker := func() syncv1.BreakerState {
		out, err := w.admin.GetConnectionHealth(t.Context(), &syncv1.GetConnectionHealthRequest{Parent: w.name})
		if err != nil {
			t.Fatal(err)
		}
		return out.GetConnection().GetBreakerState()
	}
	if got := breaker(); got != syncv1.BreakerState_BREAKER_STATE_OPEN {
		t.Errorf("breaker = %s", got)
	}
	if n := w.count(`SELECT count(*) FROM send_intent WHERE state = 'PLANNED' AND attempt = 0 AND failures = 0 AND next_time > create_time`); n != 1 {
		t.Errorf("sends put off without an attempt = %d, want 1", n)
	}
	if got := len(w.sim.Sends(simulator.Filter{})); got != 3 {
		t.Errorf("POSTs = %d, want 3", got)
	}
	// Half open: while one send probes, the others are held back.
	fault.Remove()
	slow := w.sim.AddFault(simulator.Fault{Match: simulator.SendsTo(""), Kind: simulator.AcceptThenHang, Delay: patience})
	w.exec(`UPDATE connection SET breaker_until = now() - interval '1 second'`)
	probe := make(chan error, 1)
	go func() { probe <- send(10) }()
	w.eventually("the probe is on its way", func() bool { return slow.Hits() == 1 })
	for i := range 3 {
		rpctest.RequireError(t, send(11+i), codes.Unavailable, "PROVIDER_UNAVAILABLE")
	}
	slow.Free()
	if err := <-probe; err != nil {
		t.Error(err)
	}
	if got := breaker(); got != syncv1.BreakerState_BREAKER_STATE_CLOSED {
		t.Errorf("after the probe: %s", got)
	}
	if err := send(20); err != nil {
		t.Error(err)
	}
}

func TestRefusalsNeverTripTheBreaker(t *testing.T) {
	t.Parallel()
	w := newRig(t, func(c *relancesync.Config) { c.BreakerFailures = 3 }).tenant(location)
	for i := range 8 {
		lead, _ := w.lead(simulator.Contact{Phone: fmt.Sprintf("+120255501%02d", i), DND: map[string]string{"SMS": "active"}})
		_, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
		rpctest.RequireError(t, err, codes.FailedPrecondition, "DND_ACTIVE")
	}
	if n := w.count(`SELECT count(*) FROM connection WHERE breaker_score = 0 AND breaker_until IS NULL`); n != 1 {
		t.Error("refusals counted as failures")
	}
}
