package server_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/rpctest"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/slots"
)

// A workspace without any calendar is counted once and logged once; then it rests.
func TestUnconfiguredIsQuiet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.workspace(t)
	if r := w.tick(t); r.GetChecked() != 1 || r.GetSkippedNoDefault() != 1 {
		t.Fatalf("first tick: %v", r)
	}
	if lines := w.logs.take(); len(lines) != 1 || !strings.Contains(lines[0], "NO_DEFAULT_CALENDAR") {
		t.Fatalf("first tick logs %q", lines)
	}
	w.clock.Advance(24*time.Hour - time.Second)
	if r := w.tick(t); r.GetChecked() != 0 {
		t.Fatalf("second tick: %v", r)
	}
	w.clock.Advance(time.Second)
	if r := w.tick(t); r.GetSkippedNoDefault() != 1 {
		t.Fatalf("tick after a day: %v", r)
	}
	if lines := w.logs.take(); len(lines) != 0 {
		t.Fatalf("later ticks log %q", lines)
	}
}

func TestReceiptCountsEveryKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, broken := w.workspace(t), w.workspace(t)
	w.workspace(t)
	odd := w.workspace(t)
	for _, name := range []string{good, broken, odd} {
		w.link(t, name)
	}
	_, err := w.admin.UpdateSettings(t.Context(), &availabilityv1.UpdateSettingsRequest{
		Parent: odd, Settings: &availabilityv1.Settings{MeetingDuration: durationpb.New(50 * time.Minute)},
		UpdateMask: mask("meeting_duration"),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.sync.set(func(f *fakeSync) { f.failFor = map[string]error{broken: errAway()} })
	got := w.tick(t)
	want := &availabilityv1.RefreshReceipt{
		Checked: 4, Refreshed: 1, SkippedNoDefault: 1, SkippedUnsupportedDuration: 1, Errors: 1, Attempted: 3,
		ErrorDetails: []*availabilityv1.RefreshError{{Workspace: broken, Reason: "PROVIDER_UNAVAILABLE", SourceKind: byDefault}},
		Metrics: &availabilityv1.RefreshMetrics{
			TotalCaches: 4, ErroringCaches: 1, OldestAsOfTime: timestamppb.New(now()), OldestWorkspace: good,
		},
	}
	if !proto.Equal(got, want) {
		t.Fatalf("first: %v, want %v", got, want)
	}
	if r := w.tick(t); r.GetChecked() != 1 || r.GetSkippedBackoff() != 1 {
		t.Fatalf("second: %v", r)
	}
	// After 2 h the length is looked at again, everything else was due before.
	w.clock.Advance(2 * time.Hour)
	if r := w.tick(t); r.GetRefreshed() != 1 || r.GetErrors() != 1 || r.GetSkippedUnsupportedDuration() != 1 || r.GetSkippedNoDefault() != 0 {
		t.Fatalf("third: %v", r)
	}
	if n := w.sync.count(odd); n != 2 {
		t.Errorf("a calendar whose length cannot be served was asked %d times, want once each time that it was looked at", n)
	}
}

func TestOverlappingRunsShareTheWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const workspaces = 30
	names := make([]string, 0, workspaces)
	for range workspaces {
		name := w.workspace(t)
		w.link(t, name)
		names = append(names, name)
	}
	var runs sync.WaitGroup
	var mu sync.Mutex
	var refreshed, checked int32
	for range 4 {
		runs.Go(func() {
			r := w.tick(t)
			mu.Lock()
			defer mu.Unlock()
			refreshed += r.GetRefreshed()
			checked += r.GetChecked()
		})
	}
	runs.Wait()
	if refreshed != workspaces || checked != workspaces {
		t.Errorf("refreshed %d of %d, checked %d", refreshed, workspaces, checked)
	}
	for _, name := range names {
		if w.sync.count(name) != 1 {
			t.Errorf("%s was read %d times", name, w.sync.count(name))
		}
	}
}

// A second process does not read while the first does: the lease is in the database, single flight is not enough.
func TestLeaseOverProcesses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	w.link(t, acme)
	other := w.newRefresher(t, w.syncServer, 0)
	id := parse(t, acme)
	hold := make(chan struct{})
	w.sync.set(func(f *fakeSync) { f.hold = hold })
	var readers sync.WaitGroup
	for range 20 {
		readers.Go(func() {
			if _, err := w.slots(t, acme); err != nil {
				t.Error(err)
			}
		})
	}
	for deadline := time.Now().Add(20 * time.Second); w.sync.count(acme) < 1; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the calendar was not read")
		}
	}
	// While the first process reads, readers of the second wait and do not read themselves.
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := other.Fresh(short, slots.Default(id), time.Time{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("during the look: %v", err)
	}
	for range 20 {
		readers.Go(func() {
			if row, err := other.Fresh(t.Context(), slots.Default(id), time.Time{}); err != nil || len(row.Slots) != 4 {
				t.Errorf("%v %v", row, err)
			}
		})
	}
	close(hold)
	readers.Wait()
	other.Wait()
	if w.sync.count(acme) != 1 {
		t.Errorf("%d calls, want 1", w.sync.count(acme))
	}
}

// A change during a look wins: what the look found is not stored.
func TestChangeDuringLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	link := w.link(t, acme)
	hold := make(chan struct{})
	w.sync.set(func(f *fakeSync) { f.hold = hold })
	done := make(chan *availabilityv1.RefreshReceipt, 1)
	go func() { done <- w.tick(t) }()
	for deadline := time.Now().Add(20 * time.Second); w.sync.count(acme) < 1; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the calendar was not read")
		}
	}
	link.ExternalId = "ANOTHERyHzvysMo5N5Vx"
	_, err := w.admin.UpdateCalendarLink(t.Context(), &availabilityv1.UpdateCalendarLinkRequest{
		CalendarLink: link, UpdateMask: mask("external_id"),
	})
	if err != nil {
		t.Fatal(err)
	}
	close(hold)
	if r := <-done; r.GetRefreshed() != 0 {
		t.Errorf("receipt %v", r)
	}
	if got, err := w.slots(t, acme); err != nil || got.GetState() != stateOK || w.sync.count(acme) != 2 {
		t.Fatalf("%v %v, %d calls", got, err, w.sync.count(acme))
	}
	if w.sync.asked[1].GetCalendar() != "ANOTHERyHzvysMo5N5Vx" {
		t.Errorf("asked %v", w.sync.asked[1])
	}
}

func TestBudgetIsChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, bad := range []time.Duration{-time.Second, 0, 56 * time.Second} {
		_, err := w.cron.RefreshDueAvailability(t.Context(), &availabilityv1.RefreshDueAvailabilityRequest{TimeBudget: durationpb.New(bad)})
		rpctest.RequireError(t, err, codes.InvalidArgument, "")
	}
}

// A run ends with its budget, and says so; the next one does what is left.
func TestBudgetEndsARun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 20 {
		w.link(t, w.workspace(t))
	}
	hold := make(chan struct{})
	w.sync.set(func(f *fakeSync) { f.hold = hold })
	go func() {
		<-time.After(time.Second)
		close(hold)
	}()
	out, err := w.cron.RefreshDueAvailability(t.Context(), &availabilityv1.RefreshDueAvailabilityRequest{
		TimeBudget: durationpb.New(500 * time.Millisecond),
	})
	first := out.GetReceipt().GetRefreshed()
	if err != nil || out.GetFinishedWithinBudget() || first > 8 {
		t.Fatalf("%v %v", out, err)
	}
	if r := w.tick(t); r.GetRefreshed() != 20-first {
		t.Errorf("rest: %v after %d", r, first)
	}
}

func TestDirectoryAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	w.link(t, acme)
	w.sync.set(func(f *fakeSync) { f.directoryDown = errAway() })
	for range 2 {
		if r := w.tick(t); r.GetErrors() != 0 {
			t.Fatalf("%v", r)
		}
	}
	if w.sync.count(acme) != 1 {
		t.Errorf("%d calls", w.sync.count(acme))
	}
	_, err := w.slots(t, "workspaces/"+newID(t).String())
	rpctest.RequireError(t, err, codes.Unavailable, "")
	lines := w.logs.take()
	if len(lines) != 3 { // the state of acme, that it has few free times, and the directory once
		t.Errorf("logs %q", lines)
	}
}

// TestALongDirectoryIsWalkedByAndBy: a directory that takes longer than a run is gone on with by the next, from where it stood, and keeps
// no calendar that is known from being read.
func TestALongDirectoryIsWalkedByAndBy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	w.link(t, acme)
	const more = 6
	for range more {
		w.workspace(t)
	}
	left := 0
	w.sync.set(func(f *fakeSync) { f.page, f.pagesAtOnce = 1, &left })
	rows := func() (n int) {
		conn, err := pgx.Connect(t.Context(), w.db.AdminDSN)
		if err == nil {
			err = conn.QueryRow(t.Context(), `SELECT count(DISTINCT workspace_id) FROM availability.availability`).Scan(&n)
			_ = conn.Close(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	runs := 0
	for ; rows() < 1+more; runs++ {
		if runs == 60 {
			t.Fatal("never known whole")
		}
		w.sync.set(func(*fakeSync) { left = 2 })
		if _, err := w.cron.RefreshDueAvailability(patient(t), &availabilityv1.RefreshDueAvailabilityRequest{TimeBudget: durationpb.New(2 * time.Second)}); err != nil {
			t.Fatal(err)
		}
	}
	if runs < 3 {
		t.Errorf("control: %d runs", runs)
	}
	w.sync.set(func(f *fakeSync) {
		if !slices.IsSortedFunc(f.tokens, func(a, b string) int { return cmp.Compare(len(a), len(b)) }) {
			t.Errorf("pages were asked for again: %q", f.tokens)
		}
	})
	if w.sync.count(acme) == 0 {
		t.Error("what was known was not read meanwhile")
	}
}
