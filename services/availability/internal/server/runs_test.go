package server_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/provider"
	"github.com/relance/relance/services/availability/internal/refresh"
	"github.com/relance/relance/services/availability/internal/store"
)

// Two replicas and ten ticks at once read each calendar once, and their receipts add up to all of them.
func TestTenTicksOnTwoReplicas(t *testing.T) {
	t.Parallel()
	const workspaces = 40
	o := newOutside(t, 2, workspaces)
	for range 3 {
		before := len(o.sim.Calls())
		sum := o.tickAll(t, 5)
		// Three calls at most for one look: only the first of all asks what the address means.
		looks := 0
		for _, path := range o.sim.Calls()[before:] {
			if strings.HasSuffix(path, "/calendar/range") {
				looks++
			}
		}
		if sum.GetRefreshed() != workspaces || sum.GetChecked() != workspaces || sum.GetErrors() != 0 || looks != workspaces {
			t.Errorf("%d looks, %v", looks, sum)
		}
		o.clock.Advance(2 * time.Minute)
	}
}

// The same request id gives the same receipt, and does nothing again; a run that was killed is gone on with.
func TestReceiptsAreStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	w.link(t, acme)
	w.workspace(t)
	id := newID(t)
	ask := &availabilityv1.RefreshDueAvailabilityRequest{RequestId: id.String()}
	first, err := w.cron.RefreshDueAvailability(patient(t), ask)
	if err != nil || first.GetReceipt().GetRefreshed() != 1 || first.GetReceipt().GetSkippedNoDefault() != 1 || first.GetRun() == "" {
		t.Fatalf("%v %v", first, err)
	}
	w.clock.Advance(2 * time.Minute)
	again, err := w.cron.RefreshDueAvailability(patient(t), ask)
	if err != nil || !proto.Equal(first, again) || w.sync.count(acme) != 1 {
		t.Fatalf("%v %v, want %v; %d looks", again, err, first, w.sync.count(acme))
	}
	// Control: without the id it is due.
	if r := w.tick(t); r.GetRefreshed() != 1 {
		t.Fatalf("%v", r)
	}
	other := newID(t)
	started, err := w.store.StartRun(t.Context(), other, store.Run{Mode: store.ModeDue, Start: w.clock.Now()}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.cron.RefreshDueAvailability(patient(t), &availabilityv1.RefreshDueAvailabilityRequest{RequestId: other.String()})
	rpctest.RequireError(t, err, codes.Unavailable, "")
	if err := w.store.LeaveRun(t.Context(), started.ID); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(2 * time.Minute)
	taken, err := w.cron.RefreshDueAvailability(patient(t), &availabilityv1.RefreshDueAvailabilityRequest{RequestId: other.String()})
	if err != nil || taken.GetRun() != "refreshRuns/"+started.ID.String() || taken.GetReceipt().GetRefreshed() != 1 {
		t.Fatalf("%v %v", taken, err)
	}
	page, err := w.admin.ListRefreshRuns(t.Context(), &availabilityv1.ListRefreshRunsRequest{PageSize: 2})
	if err != nil || len(page.GetRefreshRuns()) != 2 || page.GetNextPageToken() == "" {
		t.Fatalf("%v %v", page, err)
	}
	rest, err := w.admin.ListRefreshRuns(t.Context(), &availabilityv1.ListRefreshRunsRequest{PageToken: page.GetNextPageToken()})
	if err != nil || len(rest.GetRefreshRuns()) != 1 || !proto.Equal(rest.GetRefreshRuns()[0].GetReceipt(), first.GetReceipt()) {
		t.Fatalf("%v %v", rest, err)
	}
	bound := availabilityv1.NewAvailabilityServiceClient(w.server.ConnAs(t, principal.Principal{
		Kind: principal.KindAdmin, Workspace: strings.TrimPrefix(acme, "workspaces/"),
	}))
	_, err = bound.ListRefreshRuns(t.Context(), &availabilityv1.ListRefreshRunsRequest{})
	rpctest.RequireError(t, err, codes.PermissionDenied, "WORKSPACE_FORBIDDEN")
	_, err = bound.RefreshDueAvailability(t.Context(), &availabilityv1.RefreshDueAvailabilityRequest{})
	rpctest.RequireError(t, err, codes.PermissionDenied, "WORKSPACE_FORBIDDEN")
}

// The database refuses a receipt that does not add up.
func TestReceiptMustAddUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tick(t)
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `SELECT set_config('relance.scope', 'system', true)`); err != nil {
		t.Fatal(err)
	}
	if tag, err := tx.Exec(t.Context(), `UPDATE refresh_run SET checked = checked + 1, errors = errors + 1`); err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("control: %v %v", tag, err)
	}
	if _, err := tx.Exec(t.Context(), `UPDATE refresh_run SET checked = checked + 1`); err == nil || !strings.Contains(err.Error(), "refresh_run_adds_up") {
		t.Errorf("a receipt that does not add up: %v", err)
	}
}

// A run over all reads what is not stale too, but not what backs off.
func TestModeAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, broken := w.workspace(t), w.workspace(t)
	w.link(t, good)
	w.link(t, broken)
	w.sync.set(func(f *fakeSync) { f.failFor = map[string]error{broken: errAway()} })
	w.tick(t)
	w.clock.Advance(time.Second)
	if r := w.tick(t); r.GetAttempted() != 0 {
		t.Fatalf("control: %v", r)
	}
	for looks := 2; looks < 4; looks++ {
		out, err := w.cron.RefreshDueAvailability(patient(t), &availabilityv1.RefreshDueAvailabilityRequest{
			Mode: availabilityv1.RefreshMode_REFRESH_MODE_ALL, TimeBudget: durationpb.New(55 * time.Second),
		})
		r := out.GetReceipt()
		if err != nil || r.GetRefreshed() != 1 || r.GetSkippedBackoff() != 1 || r.GetChecked() != 2 || !out.GetFinishedWithinBudget() {
			t.Fatalf("%v %v", out, err)
		}
		if w.sync.count(good) != looks || w.sync.count(broken) != 1 {
			t.Errorf("%d and %d looks", w.sync.count(good), w.sync.count(broken))
		}
		w.clock.Advance(time.Second)
	}
	_, err := w.cron.RefreshDueAvailability(patient(t), &availabilityv1.RefreshDueAvailabilityRequest{Mode: 7, RequestId: "x"})
	rpctest.RequireError(t, err, codes.InvalidArgument, "")
}

// A large agency whose calendars all wait longer does not keep a small one waiting; of one agency the oldest comes first.
func TestAgenciesTakeTurns(t *testing.T) {
	t.Parallel()
	const large, small = 40, 3
	for _, fair := range []bool{false, true} {
		w := newWorld(t)
		var first, last []string
		for range large {
			first = append(first, w.workspace(t))
		}
		for range small {
			last = append(last, w.workspace(t))
		}
		w.sync.set(func(f *fakeSync) {
			for _, id := range f.workspaces[large:] {
				if fair {
					f.agencies[id] = "small"
				}
			}
		})
		for _, name := range append(slices.Clone(first), last...) {
			w.link(t, name)
			w.tick(t)
			w.clock.Advance(time.Second)
		}
		w.sync.set(func(f *fakeSync) { f.asked = nil })
		w.clock.Advance(2 * time.Minute)
		// One look at a time, so that their order is that of the claims.
		source := provider.NewSync(w.syncServer.Conn(t, store.Schema))
		one := refresh.New(refresh.Config{
			Store: w.store, Provider: provider.Router{calendar.GHL: source}, Directory: source, Clock: w.clock,
			Logger: slog.New(slog.DiscardHandler), Concurrency: 1,
		})
		if run, err := one.Run(t.Context(), refresh.Request{Budget: time.Minute}); err != nil || !run.Finished {
			t.Fatalf("%v %v", run, err)
		}
		at := func(name string) int {
			for i, ask := range w.sync.asked {
				if ask.GetParent() == name {
					return i
				}
			}
			return -1
		}
		if len(w.sync.asked) != large+small {
			t.Fatalf("%d looks", len(w.sync.asked))
		}
		for i, name := range last {
			if got := at(name); fair && got != 2*i+1 || !fair && got != large+i {
				t.Errorf("fair %t: number %d of the small agency comes at %d", fair, i, got)
			}
		}
		for i, name := range first {
			want := i
			if fair {
				want += min(i, small)
			}
			if got := at(name); got != want {
				t.Errorf("fair %t: number %d of the large agency comes at %d, want %d", fair, i, got, want)
			}
		}
	}
}
