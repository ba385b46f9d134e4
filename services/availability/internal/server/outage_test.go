package server_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/provider"
	"github.com/relance/relance/services/availability/internal/provider/calendly"
	"github.com/relance/relance/services/availability/internal/store"
	"github.com/relance/relance/services/availability/internal/webfetch"
	"github.com/relance/relance/simulator/calendars"
)

// outside is a simulated Calendly with replicas that read it, and workspaces with a link to it.
type outside struct {
	*world
	sim      *calendars.World
	replicas []*replica
	names    []string
}

func newOutside(t *testing.T, replicas, workspaces int) *outside {
	t.Helper()
	o := &outside{world: newWorld(t)}
	o.sync.set(func(f *fakeSync) { f.page = 500 })
	o.sim = calendars.New(o.clock.Now)
	t.Cleanup(o.sim.Close)
	o.sim.Set(func(p *calendars.Plan) {
		p.Free = []time.Time{now().Add(3 * time.Hour), now().Add(30 * time.Hour), now().Add(300 * time.Hour)}
	})
	base := o.sim.Server().URL
	fetch := webfetch.New(webfetch.Config{
		Control: webfetch.Anywhere(), Plain: true, RootCAs: o.sim.Server().Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
	})
	providers := provider.Router{
		calendar.GHL:      provider.NewSync(o.syncServer.Conn(t, store.Schema)),
		calendar.Calendly: calendly.New(calendly.Config{API: base, Public: base, Fetch: fetch}),
	}
	for range replicas {
		o.replicas = append(o.replicas, o.newReplica(t, providers, o.db.DSN(store.Schema)))
	}
	for range workspaces {
		name := o.workspace(t)
		if _, err := o.create(t, name, &availabilityv1.CalendarLink{PublicUrl: "https://calendly.com/acme/intro"}); err != nil {
			t.Fatal(err)
		}
		o.names = append(o.names, name)
	}
	return o
}

// tickAll runs one tick on every replica at once and gives the sum of their receipts.
func (o *outside) tickAll(t *testing.T, each int) *availabilityv1.RefreshReceipt {
	t.Helper()
	var mu sync.Mutex
	var runs sync.WaitGroup
	sum := &availabilityv1.RefreshReceipt{}
	for i := range each * len(o.replicas) {
		runs.Go(func() {
			receipt, _ := o.replicas[i%len(o.replicas)].tickOf(t)
			mu.Lock()
			defer mu.Unlock()
			sum.Checked += receipt.GetChecked()
			sum.Refreshed += receipt.GetRefreshed()
			sum.Errors += receipt.GetErrors()
			sum.Attempted += receipt.GetAttempted()
		})
	}
	runs.Wait()
	return sum
}

// A provider is away for an hour: its calendars are served from what was read before, with its age; a hundred of them cost
// it few calls; and the first tick in which it answers again refreshes all. A calendar of another host does not notice.
func TestOutageOfAnHour(t *testing.T) {
	t.Parallel()
	const workspaces, minutes = 100, 60
	o := newOutside(t, 2, workspaces)
	other := o.workspace(t)
	o.link(t, other)
	if sum := o.tickAll(t, 1); sum.GetRefreshed() != workspaces+1 || sum.GetErrors() != 0 {
		t.Fatalf("before: %v", sum)
	}
	read := o.clock.Now()
	o.logs.take()
	before := len(o.sim.Calls())
	o.sim.Set(func(p *calendars.Plan) { p.Fault = &calendars.Fault{Status: 503, Body: "{}"} })
	for range minutes {
		o.clock.Advance(time.Minute)
		// The two replicas take turns, as their one schedule has them.
		receipt, _ := o.replicas[o.clock.Now().Minute()%2].tickOf(t)
		if receipt.GetRefreshed() != 1 || receipt.GetChecked() != workspaces+1 {
			t.Fatalf("%s: %v", o.clock.Now(), receipt)
		}
	}
	for _, r := range o.replicas {
		got := r.slots(t, o.names[7])
		if got.GetState() != availabilityv1.AvailabilityState_AVAILABILITY_STATE_UNREACHABLE || !got.GetAsOfTime().AsTime().Equal(read) || len(got.GetSlots()) != 3 {
			t.Errorf("during the outage: %v", got)
		}
	}
	// 5 failures open, 7 more looks are under way by then; after that one look each half minute, and less often later.
	calls := len(o.sim.Calls()) - before
	t.Logf("%d calls in an outage of an hour with %d calendars", calls, workspaces)
	if calls > 12+minutes || calls < 30 {
		t.Errorf("%d calls", calls)
	}
	opened, changed := 0, 0
	for _, line := range o.logs.take() {
		if strings.Contains(line, "left alone") {
			opened++
		}
		if strings.Contains(line, "state changed") {
			changed++
		}
	}
	if opened != 1 || changed != workspaces {
		t.Errorf("%d lines that it opened, %d of changes", opened, changed)
	}
	o.sim.Set(func(p *calendars.Plan) { p.Fault = nil })
	// The cool-down after an hour is a minute at most: one interval of the schedule.
	o.clock.Advance(time.Minute + time.Second)
	before = len(o.sim.Calls())
	receipt, _ := o.replicas[0].tickOf(t)
	if receipt.GetRefreshed() != workspaces+1 || receipt.GetChecked() != workspaces+1 || receipt.GetErrors() != 0 {
		t.Fatalf("the first tick after: %v", receipt)
	}
	for _, name := range o.names {
		if got := o.replicas[1].slots(t, name); got.GetState() != stateOK || !got.GetAsOfTime().AsTime().Equal(o.clock.Now()) {
			t.Fatalf("after: %v", got)
		}
	}
	// What an event type is was known for an hour: it is asked anew once.
	if calls := len(o.sim.Calls()) - before; calls > 2*workspaces {
		t.Errorf("%d calls after", calls)
	}
}

// Of all replicas one look finds out whether a host answers again, and a probe that says nothing of the host is followed by
// another.
func TestOneProbeOverReplicas(t *testing.T) {
	t.Parallel()
	const workspaces = 20
	o := newOutside(t, 3, workspaces)
	o.tickAll(t, 1)
	o.sim.Set(func(p *calendars.Plan) { p.Fault = &calendars.Fault{Status: 500, Body: "{}"} })
	o.clock.Advance(2 * time.Minute)
	o.tickAll(t, 1)
	for range 5 {
		o.clock.Advance(31 * time.Second)
		before := len(o.sim.Calls())
		sum := o.tickAll(t, 2)
		if calls := len(o.sim.Calls()) - before; calls != 1 || sum.GetAttempted() != 1 || sum.GetRefreshed() != 0 {
			t.Errorf("%d calls of six ticks on three replicas: %v", calls, sum)
		}
	}
	// Readers of calendars that wait ask nothing either.
	before := len(o.sim.Calls())
	for _, r := range o.replicas {
		for _, name := range o.names {
			r.slots(t, name)
		}
	}
	if calls := len(o.sim.Calls()) - before; calls != 0 {
		t.Errorf("%d calls of readers", calls)
	}
	o.sim.Set(func(p *calendars.Plan) { p.Fault = nil })
	o.clock.Advance(31 * time.Second)
	// One that another replica put off in the very moment is due again at once, perhaps too late for these ticks.
	sum := o.tickAll(t, 1)
	if rest := o.tickAll(t, 1); sum.GetRefreshed() < workspaces-2 || sum.GetRefreshed()+rest.GetRefreshed() != workspaces {
		t.Errorf("after: %v, then %v", sum, rest)
	}
}

// One tenant's paused location, or a calendar that GoHighLevel does not take, is no outage: however many there are, the calendars
// of all others are read. The control: so many looks that GoHighLevel did not answer have it left alone.
func TestTroubleOfSingleWorkspacesIsNoOutage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		left bool
	}{
		"paused location":   {apierr.New(codes.FailedPrecondition, "sync.relance.dev", "LOCATION_INACTIVE", "paused"), false},
		"no word for it":    {apierr.Internal(nil), false},
		"provider is away":  {apierr.New(codes.Unavailable, "sync.relance.dev", "PROVIDER_UNAVAILABLE", "away"), true},
		"workspace unknown": {apierr.NotFound("workspace", "x"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.sync.set(func(f *fakeSync) { f.failFor = map[string]error{} })
			for range 20 {
				bad := w.workspace(t)
				w.link(t, bad)
				w.sync.set(func(f *fakeSync) { f.failFor[bad] = c.err })
			}
			if receipt := w.tick(t); receipt.GetErrors()+receipt.GetSkippedBackoff() != 20 {
				t.Fatalf("receipt: %v", receipt)
			}
			w.link(t, w.workspace(t))
			w.clock.Advance(time.Second)
			w.logs.take()
			receipt := w.tick(t)
			if left := receipt.GetRefreshed() == 0; left != c.left {
				t.Errorf("left alone: %t, want %t; %v", left, c.left, receipt)
			}
		})
	}
}
