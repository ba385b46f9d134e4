package server_test

import (
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/rpctest"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
)

const (
	stateOK          = availabilityv1.AvailabilityState_AVAILABILITY_STATE_OK
	stateEmpty       = availabilityv1.AvailabilityState_AVAILABILITY_STATE_EMPTY
	stateUnreachable = availabilityv1.AvailabilityState_AVAILABILITY_STATE_UNREACHABLE
)

func errAway() error {
	return apierr.New(codes.Unavailable, "sync.relance.dev", "PROVIDER_UNAVAILABLE", "no route to the provider")
}

func TestSlotsAndSuggestions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	link := w.link(t, acme)
	got, err := w.slots(t, acme)
	if err != nil {
		t.Fatal(err)
	}
	if got.GetState() != stateOK || len(got.GetSlots()) != 4 || got.GetCalendarLink() != link.GetName() ||
		got.GetPublicUrl() != link.GetPublicUrl() || !got.GetAsOfTime().AsTime().Equal(now()) {
		t.Fatalf("slots: %v", got)
	}
	if got.GetSlots()[0].GetLabel() != "11:00 AM EST on Wed, Jan 7" {
		t.Errorf("first slot: %v", got.GetSlots()[0])
	}
	want := []string{"11:00 AM EST on Wed, Jan 7", "3:00 PM EST on Thu, Jan 8"}
	if s := got.GetSuggestions(); len(s) != 2 || s[0].GetLabel() != want[0] || s[1].GetLabel() != want[1] {
		t.Errorf("suggestions %v, want %v", s, want)
	}
	asked := w.sync.asked[0]
	if asked.GetCalendar() != link.GetExternalId() || asked.GetEndTime().AsTime().Sub(asked.GetStartTime().AsTime()) != 30*24*time.Hour {
		t.Errorf("asked: %v", asked)
	}
	// Within the TTL the cache answers, without times that passed meanwhile.
	w.sync.set(func(f *fakeSync) { f.slots = nil })
	w.clock.Advance(59 * time.Second)
	if got, err = w.slots(t, acme); err != nil || len(got.GetSlots()) != 4 || w.sync.count(acme) != 1 {
		t.Fatalf("cached: %v %v, %d calls", got, err, w.sync.count(acme))
	}
	// A stricter bound reads again; no slots is an answer.
	got, err = w.followups.GetSlots(t.Context(), &availabilityv1.GetSlotsRequest{Parent: acme, MaxAge: durationpb.New(time.Second)})
	if err != nil || got.GetState() != stateEmpty || len(got.GetSlots()) != 0 || w.sync.count(acme) != 2 {
		t.Fatalf("empty: %v %v, %d calls", got, err, w.sync.count(acme))
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	w.link(t, acme)
	got, err := w.followups.GetSlots(t.Context(), &availabilityv1.GetSlotsRequest{
		Parent: acme, StartTime: timestamppb.New(now().Add(2 * time.Hour)), EndTime: timestamppb.New(now().Add(29 * time.Hour)),
	})
	if err != nil || len(got.GetSlots()) != 2 || got.GetSlots()[0].GetLabel() != "7:00 PM UTC on Wed, Jan 7" {
		t.Fatalf("window: %v %v", got, err)
	}
}

// Two hundred readers of a stale row make one call. Control: two workspaces make two.
func TestStaleReadersShareOneLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme, birch := w.workspace(t), w.workspace(t)
	w.link(t, acme)
	w.link(t, birch)
	hold := make(chan struct{})
	w.sync.set(func(f *fakeSync) { f.hold = hold })
	var readers sync.WaitGroup
	read := func(workspace string) {
		got, err := w.slots(t, workspace)
		if err != nil || len(got.GetSlots()) != 4 {
			t.Errorf("%v %v", got, err)
		}
	}
	for range 200 {
		readers.Go(func() { read(acme) })
	}
	readers.Go(func() { read(birch) })
	for deadline := time.Now().Add(20 * time.Second); w.sync.count(acme)+w.sync.count(birch) < 2; {
		if time.Now().After(deadline) {
			t.Fatal("the calendars were not read")
		}
		time.Sleep(5 * time.Millisecond)
	}
	close(hold)
	readers.Wait()
	if a, b := w.sync.count(acme), w.sync.count(birch); a != 1 || b != 1 {
		t.Errorf("%d and %d calls, want 1 and 1", a, b)
	}
}

func TestNoDefaultCalendar(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cedar := w.workspace(t)
	_, err := w.slots(t, cedar)
	e := rpctest.RequireError(t, err, codes.FailedPrecondition, "NO_DEFAULT_CALENDAR")
	if e.Domain != "availability.relance.dev" || e.Metadata["workspace"] != cedar || len(e.Help) != 1 || len(e.Preconditions) != 1 {
		t.Errorf("error: %+v", e)
	}
	// It rests for 24 h, whoever asks, and setting a link ends that at once.
	w.clock.Advance(time.Hour)
	link := w.link(t, cedar)
	if !link.GetDefault() {
		t.Fatal("the first link is not the default")
	}
	if got, err := w.slots(t, cedar); err != nil || got.GetState() != stateOK {
		t.Fatalf("after the link: %v %v", got, err)
	}
	if _, err := w.admin.DeleteCalendarLink(t.Context(), &availabilityv1.DeleteCalendarLinkRequest{Name: link.GetName()}); err != nil {
		t.Fatal(err)
	}
	_, err = w.slots(t, cedar)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "NO_DEFAULT_CALENDAR")
	if w.sync.count(cedar) != 1 {
		t.Errorf("%d calls, want 1", w.sync.count(cedar))
	}
}

func TestProviderFailureKeepsSlots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	link := w.link(t, acme)
	if _, err := w.slots(t, acme); err != nil {
		t.Fatal(err)
	}
	w.sync.set(func(f *fakeSync) { f.fail = errAway() })
	w.clock.Advance(2 * time.Minute)
	got, err := w.slots(t, acme)
	if err != nil || got.GetState() != stateUnreachable || len(got.GetSlots()) != 4 || !got.GetAsOfTime().AsTime().Equal(now()) {
		t.Fatalf("kept: %v %v", got, err)
	}
	bound := &availabilityv1.GetSlotsRequest{Parent: acme, MaxAge: durationpb.New(time.Minute)}
	_, err = w.followups.GetSlots(t.Context(), bound)
	e := rpctest.RequireError(t, err, codes.Unavailable, "CALENDAR_UNREACHABLE")
	if e.Metadata["as_of"] != "2026-01-07T15:00:00Z" || e.Metadata["provider"] != "ghl" || e.RetryAfter != time.Minute {
		t.Errorf("error: %+v", e)
	}
	// Back-off: 1 min, then 2 min; readers in between do not call.
	for _, step := range []struct {
		wait  time.Duration
		calls int
	}{{59 * time.Second, 2}, {time.Second, 3}, {119 * time.Second, 3}, {time.Second, 4}} {
		w.clock.Advance(step.wait)
		if _, err := w.slots(t, acme); err != nil || w.sync.count(acme) != step.calls {
			t.Fatalf("after %v: %d calls, want %d (%v)", step.wait, w.sync.count(acme), step.calls, err)
		}
	}
	// Setting the default ends it at once.
	w.sync.set(func(f *fakeSync) { f.fail = nil })
	if _, err := w.admin.SetDefaultCalendarLink(t.Context(), &availabilityv1.SetDefaultCalendarLinkRequest{Name: link.GetName()}); err != nil {
		t.Fatal(err)
	}
	if got, err = w.slots(t, acme); err != nil || got.GetState() != stateOK || w.sync.count(acme) != 5 {
		t.Fatalf("healed: %v %v, %d calls", got, err, w.sync.count(acme))
	}
}

func TestNothingKnownAndUnreachable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	w.link(t, acme)
	w.sync.set(func(f *fakeSync) {
		f.fail = apierr.New(codes.ResourceExhausted, "sync.relance.dev", "PROVIDER_RATE_LIMITED", "slow down").
			WithRetryAfter(5 * time.Minute)
	})
	_, err := w.slots(t, acme)
	e := rpctest.RequireError(t, err, codes.Unavailable, "CALENDAR_UNREACHABLE")
	if e.RetryAfter != 5*time.Minute {
		t.Errorf("retry after %v", e.RetryAfter)
	}
}

func TestInactiveCalendar(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	w.link(t, acme)
	w.sync.set(func(f *fakeSync) {
		f.fail = apierr.New(codes.FailedPrecondition, "sync.relance.dev", "CALENDAR_INACTIVE", "calendar is inactive")
	})
	_, err := w.slots(t, acme)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "CALENDAR_INACTIVE")
}

func TestUnsupportedDuration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	w.link(t, acme)
	set := func(d time.Duration) error {
		_, err := w.admin.UpdateSettings(t.Context(), &availabilityv1.UpdateSettingsRequest{
			Parent: acme, Settings: &availabilityv1.Settings{MeetingDuration: durationpb.New(d)},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"meeting_duration"}},
		})
		return err
	}
	for _, bad := range []time.Duration{0, 4 * time.Minute, 31 * time.Minute, 485 * time.Minute, -time.Hour} {
		rpctest.RequireError(t, set(bad), codes.InvalidArgument, "")
	}
	if err := set(25 * time.Minute); err != nil {
		t.Fatal(err)
	}
	_, err := w.slots(t, acme)
	if e := rpctest.RequireError(t, err, codes.FailedPrecondition, "UNSUPPORTED_DURATION"); e.Metadata["minutes"] != "25" {
		t.Errorf("metadata %v", e.Metadata)
	}
	if _, err := w.slots(t, acme); err == nil || w.sync.count(acme) != 1 {
		t.Fatalf("%d calls, want the one that asks for the calendar's own length before it is refused; %v", w.sync.count(acme), err)
	}
	if err := set(45 * time.Minute); err != nil {
		t.Fatal(err)
	}
	if got, err := w.slots(t, acme); err != nil || got.GetState() != stateOK || w.sync.count(acme) != 2 {
		t.Fatalf("%d calls, %v %v", w.sync.count(acme), got, err)
	}
}
