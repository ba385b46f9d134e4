package server_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/relance/relance/platform/rpctest"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
)

// Any length that fits into a GoHighLevel calendar's own slots is served; a longer one is refused, until the calendar's slots are long
// enough. How long they are is asked for once in six hours.
func TestMeetingsFitIntoTheCalendarsSlots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	w.link(t, acme)
	w.sync.set(func(f *fakeSync) { f.length = 50 * time.Minute })
	set := func(minutes time.Duration) {
		t.Helper()
		if _, err := w.admin.UpdateSettings(t.Context(), &availabilityv1.UpdateSettingsRequest{
			Parent: acme, Settings: &availabilityv1.Settings{MeetingDuration: durationpb.New(minutes * time.Minute)}, UpdateMask: mask("meeting_duration"),
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, minutes := range []time.Duration{50, 25, 5} {
		set(minutes)
		if out, err := w.slots(t, acme); err != nil || len(out.GetSlots()) != 4 {
			t.Errorf("%d minutes: %v %v", minutes, out, err)
		}
	}
	if w.sync.lengthAsked != 1 {
		t.Errorf("the length was asked for %d times, want once", w.sync.lengthAsked)
	}
	// Never refused by what is remembered alone.
	set(60)
	_, err := w.slots(t, acme)
	if e := rpctest.RequireError(t, err, codes.FailedPrecondition, "UNSUPPORTED_DURATION"); e.Metadata["minutes"] != "60" || w.sync.lengthAsked != 2 {
		t.Errorf("%v, asked %d times", e.Metadata, w.sync.lengthAsked)
	}
	w.sync.set(func(f *fakeSync) { f.length = time.Hour })
	w.clock.Advance(2 * time.Hour)
	if r := w.tick(t); r.GetRefreshed() != 1 {
		t.Errorf("after the calendar was changed: %v", r)
	}
	if out, err := w.slots(t, acme); err != nil || len(out.GetSlots()) != 3 {
		t.Errorf("%v %v", out, err)
	}
	// A calendar whose slots became shorter is found out within six hours.
	w.sync.set(func(f *fakeSync) { f.length = 30 * time.Minute })
	w.clock.Advance(2 * time.Minute)
	if r := w.tick(t); r.GetRefreshed() != 1 {
		t.Errorf("control: what is remembered is used: %v", r)
	}
	w.clock.Advance(6 * time.Hour)
	if r := w.tick(t); r.GetSkippedUnsupportedDuration() != 1 {
		t.Errorf("six hours later: %v", r)
	}
}
