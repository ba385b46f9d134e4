package sync_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	stdsync "sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/simulator"
)

// TestEightReplicasStayBelowTheLimit lets eight replicas send as fast as they can and counts in the provider's ledger.
func TestEightReplicasStayBelowTheLimit(t *testing.T) {
	t.Parallel()
	limit := budget.Limit{Calls: 60, Interval: 4 * time.Second}
	sim := simulator.New(simulator.Config{
		Now: clock.System().Now, RateLimit: simulator.RateLimit{Burst: limit.Calls, Interval: limit.Interval, Daily: 1_000_000},
	})
	provider := httptest.NewServer(sim.Handler())
	t.Cleanup(func() { provider.Close(); _ = sim.Close() })
	const token = "pit-0123456789"
	if err := sim.AddLocation(simulator.Location{ID: location, Token: token}); err != nil {
		t.Fatal(err)
	}
	contact, err := sim.AddContact(location, simulator.Contact{Phone: "+12025550123"})
	if err != nil {
		t.Fatal(err)
	}
	db := pgtest.New(t, relancesync.Migrations())
	run := hammer{
		T: t, url: provider.URL, message: ghl.Message{Channel: sending.SMS, ContactID: contact.ID},
		who: ghl.Account{Location: location, Token: token}, late: map[string]bool{}, transit: limit.Transit(),
	}
	var wait stdsync.WaitGroup
	began := time.Now()
	// Long enough for a window to pass, and until the limit was pressed against however busy the machine is.
	done := func() bool {
		ran := time.Since(began)
		return ran > 7*time.Second && run.inTime() >= limit.Calls || ran > patience
	}
	for range 8 {
		replica := run.replica(store.New(store.Config{Pool: db.Pool(t, "sync"), Clock: clock.System()}), limit)
		for range 3 {
			wait.Go(func() { replica.sendUntil(done) })
		}
	}
	wait.Wait()
	var arrived []time.Time
	refused, all := 0, sim.Sends(simulator.Filter{})
	for _, e := range all {
		if !run.late[text(t, e)] {
			arrived = append(arrived, e.Time)
		}
		if e.Status == 429 {
			refused++
		}
	}
	fullest := fullest(arrived, limit.Interval)
	t.Logf("n=%d sends, %d were on their way for longer than %s and do not count; fullest window of %s held %d, limit %d; refused %d",
		len(all), len(all)-len(arrived), limit.Transit(), limit.Interval, fullest, limit.Calls, refused)
	if fullest > limit.Calls {
		t.Errorf("a window held %d calls, limit %d", fullest, limit.Calls)
	}
	// The control: the limit was pressed against.
	if len(arrived) < limit.Calls {
		t.Errorf("%d calls in time, want %d or more", len(arrived), limit.Calls)
	}
}

// hammer is what the replicas share. Calls that were slower than the limiter assumes are marked by their body: on a busy
// machine a call may wait for the processor.
type hammer struct {
	*testing.T
	url     string
	who     ghl.Account
	message ghl.Message
	transit time.Duration

	mu   stdsync.Mutex
	n    int
	late map[string]bool
}

type replica struct {
	*hammer
	limiter *budget.Limiter
	client  *ghl.Client
}

func (h *hammer) replica(on *store.Store, limit budget.Limit) replica {
	h.Helper()
	limiter := budget.New(budget.Config{Rows: on.Budgets(), Clock: clock.System(), Initial: func(budget.Key) budget.Limit { return limit }})
	client, err := ghl.New(ghl.Config{BaseURL: h.url, Timeout: 5 * time.Second, Budget: limiter})
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(client.Close)
	return replica{hammer: h, limiter: limiter, client: client}
}

// inTime counts the sends that were not slower than the limiter assumes.
func (h *hammer) inTime() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n - len(h.late)
}

func (r replica) sendUntil(done func() bool) {
	for !done() {
		permit, err := r.limiter.Take(r.Context(), r.who.Budget(), budget.Interactive)
		if err != nil || !permit.Use() {
			continue // used up for now, or ended while this goroutine waited
		}
		r.mu.Lock()
		r.n++
		m := r.message
		m.Content.Body = fmt.Sprintf("n%d", r.n)
		r.mu.Unlock()
		if out := r.client.Send(r.Context(), r.who, m); out.Latency > r.transit {
			r.mu.Lock()
			r.late[m.Content.Body] = true
			r.mu.Unlock()
		}
	}
}

// text is the message of a send in the ledger.
func text(t *testing.T, e simulator.Entry) string {
	t.Helper()
	var body struct{ Message string }
	if err := json.Unmarshal([]byte(e.Body), &body); err != nil {
		t.Fatal(err)
	}
	return body.Message
}

// fullest is the largest number of times in any closed window.
func fullest(times []time.Time, window time.Duration) int {
	slices.SortFunc(times, time.Time.Compare)
	most, first := 0, 0
	for i := range times {
		for times[i].Sub(times[first]) > window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func TestUsedUpBudgetDefersWithoutAnAttempt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i, window := range []string{"burst", "daily"} {
		w := r.tenant(fmt.Sprintf("%s%d", location, i))
		lead, contact := w.lead(simulator.Contact{Phone: "+12025550123"})
		if _, err := w.followups.SendMessage(t.Context(), sms(lead, "Before")); err != nil {
			t.Fatal(err)
		}
		w.exec(`UPDATE provider_budget SET hold_until = clock_timestamp() + interval '1 hour', hold_window = $1 WHERE account = $2`, window, w.location)
		// Permits that were granted before the hold are good to their end.
		w.eventually("the hold is met", func() bool {
			_, err := w.followups.SendMessage(t.Context(), sms(lead, "Meanwhile"))
			return err != nil
		})
		before := len(w.sim.Sends(simulator.Filter{Contact: contact.ID}))
		_, err := w.followups.SendMessage(t.Context(), sms(lead, "After"))
		e := rpctest.RequireError(t, err, codes.ResourceExhausted, "PROVIDER_RATE_LIMITED")
		if e.Metadata["window"] != window || e.RetryAfter < 50*time.Minute {
			t.Errorf("%s: %v, retry after %s", window, e.Metadata, e.RetryAfter)
		}
		if got := len(w.sim.Sends(simulator.Filter{Contact: contact.ID})); got != before {
			t.Errorf("POSTs = %d, want the %d before the hold", got, before)
		}
		_, err = w.admin.GetConnectionHealth(t.Context(), &syncv1.GetConnectionHealthRequest{Parent: w.name, Probe: true})
		rpctest.RequireError(t, err, codes.ResourceExhausted, "PROVIDER_RATE_LIMITED")
	}
	if n := r.count(`SELECT count(*) FROM send_intent WHERE state = 'PLANNED' AND attempt = 0 AND failures = 0 AND next_time > create_time`); n != 4 {
		t.Errorf("postponed sends = %d, want 4", n)
	}
}

func TestA429HoldsTheOtherReplicasToo(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, contact := w.lead(simulator.Contact{Phone: "+12025550123"})
	other, _ := w.lead(simulator.Contact{Phone: "+12025550124"})
	w.sim.AddFault(simulator.Fault{Match: simulator.SendsTo(contact.ID), Kind: simulator.Status429, RetryAfter: "120"})
	_, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	e := rpctest.RequireError(t, err, codes.ResourceExhausted, "PROVIDER_RATE_LIMITED")
	if e.RetryAfter < 2*time.Minute {
		t.Errorf("retry after %s, the provider said 120 s", e.RetryAfter)
	}
	if n := w.count(`SELECT count(*) FROM provider_budget WHERE hold_until > clock_timestamp() + interval '100 seconds' AND hold_window = 'burst'`); n != 1 {
		t.Errorf("stored holds = %d, want 1", n)
	}
	_, err = w.followups.SendMessage(t.Context(), sms(other, "Hello"))
	rpctest.RequireError(t, err, codes.ResourceExhausted, "PROVIDER_RATE_LIMITED")
	if got := len(w.sim.Sends(simulator.Filter{})); got != 1 {
		t.Errorf("POSTs = %d, want 1", got)
	}
}
