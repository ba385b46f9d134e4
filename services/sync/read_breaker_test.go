package sync_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/simulator"
)

const searchPath = "/conversations/search"

// A provider that is away is asked a few times and then left alone, by importers and pollers, in all replicas; one read finds
// out that it is back.
func TestReadsLeaveADeadProviderAlone(t *testing.T) {
	t.Parallel()
	var cfg relancesync.Config
	r := newRig(t, func(c *relancesync.Config) { c.BreakerFailures, c.PollDisabled = 3, true; cfg = *c })
	first := r.admin
	r.start(cfg) // another replica; r.as dials it
	second := syncv1.NewSyncServiceClient(r.as(principal.Principal{Kind: principal.KindAdmin}))
	w := r.tenant(location)
	h := w.thread()
	other := r.tenant("locationOther000001").thread()
	for _, x := range []thread{h, other} {
		x.add("inbound", "hi", time.Hour)
	}
	away := r.sim.AddFault(simulator.Fault{Match: simulator.Match{Path: searchPath, Location: location}, Kind: simulator.Status5xxClean})
	compare := func(c syncv1.SyncServiceClient, h thread) error {
		_, err := c.SyncConversation(t.Context(), &syncv1.SyncConversationRequest{Name: h.lead + "/conversations/sms"})
		return err
	}
	for range 3 {
		rpctest.RequireError(t, compare(first, h), codes.Unavailable, "PROVIDER_UNAVAILABLE")
	}
	// The other replica may ask once more before it looks at the row.
	rpctest.RequireError(t, compare(second, h), codes.Unavailable, "PROVIDER_UNAVAILABLE")
	for _, c := range []syncv1.SyncServiceClient{first, second} {
		e := rpctest.RequireError(t, compare(c, h), codes.Unavailable, "PROVIDER_UNAVAILABLE")
		if e.Metadata["cause"] != "breaker_open" || e.RetryAfter <= 0 || e.RetryAfter > 10*time.Second {
			t.Fatalf("open: metadata %v, retry after %s", e.Metadata, e.RetryAfter)
		}
	}
	// However long the rest takes here, it stays open.
	r.exec(`UPDATE connection SET read_breaker_until = now() + interval '10 minutes' WHERE location = $1`, location)
	asked := len(r.sim.Requests(simulator.Filter{Path: searchPath, Location: location}))
	for i := range 10 {
		for _, c := range []syncv1.SyncServiceClient{first, second} {
			if e := rpctest.RequireError(t, compare(c, h), codes.Unavailable, "PROVIDER_UNAVAILABLE"); e.Metadata["cause"] != "breaker_open" {
				t.Fatalf("try %d: metadata %v", i, e.Metadata)
			}
		}
	}
	if n := len(r.sim.Requests(simulator.Filter{Path: searchPath, Location: location})); n != asked {
		t.Errorf("%d calls while open", n-asked)
	}
	// The controls: another workspace's reads and this one's sends pass.
	if err := compare(second, other); err != nil {
		t.Errorf("another workspace: %v", err)
	}
	if _, err := r.followups.SendMessage(t.Context(), sms(h.lead, "Hello")); err != nil {
		t.Errorf("a send: %v", err)
	}
	// What waits is put off, not failed.
	r.exec(`UPDATE conversation SET next_time = $1, lease_until = NULL, failures = 0`, r.clock.Now())
	run, err := first.SyncDueConversations(t.Context(), &syncv1.SyncDueConversationsRequest{Workspace: w.name})
	if err != nil || run.GetFailed() != 0 || r.count(`SELECT count(*) FROM conversation WHERE failures > 0`) != 0 {
		t.Errorf("receipt %v %v", run, err)
	}
	// Half open: one read over both replicas finds out; the others are held back meanwhile.
	away.Remove()
	slow := r.sim.AddFault(simulator.Fault{Match: simulator.Match{Path: searchPath, Location: location}, Kind: simulator.Latency, Delay: 1500 * time.Millisecond})
	r.exec(`UPDATE connection SET read_breaker_until = now() - interval '1 second' WHERE location = $1`, location)
	probe := make(chan error, 1)
	go func() {
		var err error
		for range 50 { // what this process remembers of the breaker is a moment old
			if err = compare(first, h); err == nil {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		probe <- err
	}()
	r.eventually("a read finds out", func() bool { return slow.Hits() == 1 })
	rpctest.RequireError(t, compare(second, h), codes.Unavailable, "PROVIDER_UNAVAILABLE")
	if err := <-probe; err != nil {
		t.Error(err)
	}
	if n := slow.Hits(); n > 2 { // the probe, and at most the read that began as it ended
		t.Errorf("%d reads found out", n)
	}
	slow.Remove()
	r.eventually("the other replica reads again", func() bool { return compare(second, h) == nil })
}

// Refusals and a used-up budget are answers.
func TestRefusedReadsNeverOpenTheBreaker(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *relancesync.Config) { c.BreakerFailures, c.PollDisabled = 3, true })
	h := r.tenant(location).thread()
	for i, status := range []int{400, 404, 422, 429, 401, 403} {
		fault := r.sim.AddFault(simulator.Fault{Match: simulator.Match{Path: searchPath}, Kind: simulator.Refusal, Status: status, Body: fmt.Sprintf(`{"message":"no %d"}`, i)})
		_, err := r.admin.SyncConversation(t.Context(), &syncv1.SyncConversationRequest{Name: h.lead + "/conversations/sms"})
		if err == nil {
			t.Errorf("%d was no error", status)
		}
		fault.Remove()
	}
	if n := r.count(`SELECT count(*) FROM connection WHERE read_breaker_score = 0 AND read_breaker_until IS NULL`); n != 1 {
		t.Error("answers counted as failures")
	}
}
