package server_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/rpctest"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/refresh"
)

const (
	byDefault  = availabilityv1.SourceKind_SOURCE_KIND_DEFAULT
	directBook = availabilityv1.SourceKind_SOURCE_KIND_DIRECT_BOOK

	defaultCalendar = "ocQHyuzHvysMo5N5VsXc"
	directCalendar  = "DirectBookCalendar01"
)

// second makes another link of the workspace, to a calendar of its own.
func (w *world) second(t *testing.T, workspace string) *availabilityv1.CalendarLink {
	t.Helper()
	link := ghlLink()
	link.DisplayName, link.ExternalId, link.PublicUrl = "Direct", directCalendar, "https://book.example.com/direct"
	made, err := w.create(t, workspace, link)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// direct sets the link for direct bookings; none with an empty name.
func (w *world) direct(t *testing.T, workspace, link string) {
	t.Helper()
	out, err := w.admin.SetDirectBookCalendarLink(t.Context(), &availabilityv1.SetDirectBookCalendarLinkRequest{Parent: workspace, CalendarLink: link})
	if err != nil || out.GetCalendarLink().GetName() != link || out.GetCalendarLink().GetDirectBook() != (link != "") {
		t.Fatalf("%v %v", out, err)
	}
}

// withDirect makes a workspace whose two calendars have times of their own.
func (w *world) withDirect(t *testing.T) (workspace string, first, second *availabilityv1.CalendarLink) {
	t.Helper()
	w.sync.set(func(f *fakeSync) {
		f.slotsOf = map[string][]time.Time{directCalendar: {now().Add(2 * time.Hour), now().Add(26 * time.Hour), now().Add(50 * time.Hour)}}
	})
	workspace = w.workspace(t)
	first, second = w.link(t, workspace), w.second(t, workspace)
	w.direct(t, workspace, second.GetName())
	return workspace, first, second
}

// reads checks which calendar is served for a kind, and how many times it has.
func (w *world) reads(t *testing.T, workspace string, kind, want availabilityv1.SourceKind) {
	t.Helper()
	out, err := w.followups.GetSlots(t.Context(), &availabilityv1.GetSlotsRequest{Parent: workspace, SourceKind: kind})
	if err != nil {
		t.Fatal(err)
	}
	count, address := 4, "https://book.example.com/intro"
	if want == directBook {
		count, address = 3, "https://book.example.com/direct"
	}
	if out.GetSourceKind() != want || len(out.GetSlots()) != count || out.GetPublicUrl() != address {
		t.Errorf("asked for %v: %v, %d slots, %s; want %v", kind, out.GetSourceKind(), len(out.GetSlots()), out.GetPublicUrl(), want)
	}
}

// Direct bookings are the default calendar's unless another one is set for them, whatever is set in which order.
func TestDirectBookFallsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme, first, second := w.withDirect(t)
	both := func(want availabilityv1.SourceKind) {
		t.Helper()
		w.reads(t, acme, directBook, want)
		w.reads(t, acme, byDefault, byDefault)
	}
	both(directBook)
	w.direct(t, acme, "")
	both(byDefault)
	w.direct(t, acme, second.GetName())
	both(directBook)
	calls := w.sync.count(acme)
	w.direct(t, acme, second.GetName())
	if both(directBook); w.sync.count(acme) != calls {
		t.Error("a calendar that is well was read again because it was set again")
	}
	// The default one itself, or a link to the same calendar, is no other calendar.
	w.direct(t, acme, first.GetName())
	both(byDefault)
	same, err := w.create(t, acme, ghlLink())
	if err != nil {
		t.Fatal(err)
	}
	w.direct(t, acme, same.GetName())
	both(byDefault)
	// It becomes another one when the link does.
	same.ExternalId, same.PublicUrl = directCalendar, "https://book.example.com/direct"
	if _, err := w.admin.UpdateCalendarLink(t.Context(), &availabilityv1.UpdateCalendarLinkRequest{
		CalendarLink: same, UpdateMask: mask("external_id", "public_url"),
	}); err != nil {
		t.Fatal(err)
	}
	both(directBook)
	if _, err := w.admin.DeleteCalendarLink(t.Context(), &availabilityv1.DeleteCalendarLinkRequest{Name: same.GetName()}); err != nil {
		t.Fatal(err)
	}
	both(byDefault)
	// Without a default calendar there is still one for direct bookings.
	w.direct(t, acme, second.GetName())
	if _, err := w.admin.DeleteCalendarLink(t.Context(), &availabilityv1.DeleteCalendarLinkRequest{Name: first.GetName()}); err != nil {
		t.Fatal(err)
	}
	w.reads(t, acme, directBook, directBook)
	_, err = w.followups.GetSlots(t.Context(), &availabilityv1.GetSlotsRequest{Parent: acme})
	rpctest.RequireError(t, err, codes.FailedPrecondition, "NO_DEFAULT_CALENDAR")
}

// Settings are the workspace's: a change of the meeting's length reads both calendars anew.
func TestDirectBookGoesByTheSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme, _, _ := w.withDirect(t)
	w.reads(t, acme, byDefault, byDefault)
	w.reads(t, acme, directBook, directBook)
	change := func(minutes time.Duration) {
		t.Helper()
		if _, err := w.admin.UpdateSettings(t.Context(), &availabilityv1.UpdateSettingsRequest{
			Parent: acme, Settings: &availabilityv1.Settings{MeetingDuration: durationpb.New(minutes * time.Minute)}, UpdateMask: mask("meeting_duration"),
		}); err != nil {
			t.Fatal(err)
		}
	}
	before := [2]int{w.sync.count(defaultCalendar), w.sync.count(directCalendar)}
	change(60)
	w.reads(t, acme, byDefault, byDefault)
	w.reads(t, acme, directBook, directBook)
	if after := [2]int{w.sync.count(defaultCalendar), w.sync.count(directCalendar)}; after != [2]int{before[0] + 1, before[1] + 1} {
		t.Errorf("calls %v, then %v: want one more each", before, after)
	}
	change(50) // GoHighLevel cannot
	_, err := w.followups.GetSlots(t.Context(), &availabilityv1.GetSlotsRequest{Parent: acme, SourceKind: directBook})
	rpctest.RequireError(t, err, codes.FailedPrecondition, "UNSUPPORTED_DURATION")
}

// One calendar that is away leaves the other alone, and each counts where it should.
func TestDirectBookInReceiptsAndHealth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme, _, _ := w.withDirect(t)
	w.workspace(t) // nothing is set here
	r := w.tick(t)
	if r.GetChecked() != 3 || r.GetRefreshed() != 2 || r.GetSkippedNoDefault() != 1 || r.GetAttempted() != 2 || r.GetDirectBook() != 1 {
		t.Errorf("first: %v", r)
	}
	w.clock.Advance(2 * time.Minute)
	w.sync.set(func(f *fakeSync) { f.failFor = map[string]error{directCalendar: errAway()} })
	r = w.tick(t)
	if r.GetRefreshed() != 1 || r.GetErrors() != 1 || r.GetDirectBook() != 1 || len(r.GetErrorDetails()) != 1 || r.GetErrorDetails()[0].GetSourceKind() != directBook {
		t.Errorf("direct away: %v", r)
	}
	if m := r.GetMetrics(); m.GetTotalCaches() != 2 || m.GetErroringCaches() != 0 {
		t.Errorf("a workspace counts by its default calendar: %v", m)
	}
	list := func(kind availabilityv1.SourceKind) []*availabilityv1.AvailabilityHealth {
		t.Helper()
		out, err := w.admin.ListAvailabilityHealth(t.Context(), &availabilityv1.ListAvailabilityHealthRequest{SourceKind: kind})
		if err != nil {
			t.Fatal(err)
		}
		return out.GetHealth()
	}
	if all := list(0); len(all) != 2 {
		t.Errorf("health of default calendars: %v", all)
	}
	if all := list(directBook); len(all) != 1 || all[0].GetWorkspace() != acme || all[0].GetSourceKind() != directBook ||
		all[0].GetState() != availabilityv1.AvailabilityState_AVAILABILITY_STATE_UNREACHABLE {
		t.Errorf("health of calendars for direct bookings: %v", all)
	}
	stands, err := w.store.Stands(t.Context())
	if err != nil || stands.Unreachable != 0 || stands.UnreachableDirect != 1 {
		t.Errorf("%+v %v", stands, err)
	}
	// What was read before is served, and back-off is the calendar's own.
	w.reads(t, acme, directBook, directBook)
	out, rules := w.explainOf(t, &availabilityv1.ExplainAvailabilityRequest{Parent: acme, SourceKind: directBook})
	if out.GetSourceKind() != directBook || out.GetLastError() == "" || !rules["a calendar other than the default is set for direct bookings"].GetPassed() {
		t.Errorf("%v", out)
	}
	if out, _ := w.explainOf(t, &availabilityv1.ExplainAvailabilityRequest{Parent: acme}); out.GetLastError() != "" || out.GetSourceKind() != byDefault {
		t.Errorf("the default one: %v", out)
	}
}

// Slow calendars of one kind hold up no calendar of the other.
func TestNeitherKindStarves(t *testing.T) {
	t.Parallel()
	for _, slow := range []struct{ calendar, quick string }{{defaultCalendar, directCalendar}, {directCalendar, defaultCalendar}} {
		t.Run(slow.calendar, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			const workspaces = 12
			for range workspaces {
				w.withDirect(t)
			}
			hold := make(chan struct{})
			w.sync.set(func(f *fakeSync) { f.holdFor = map[string]chan struct{}{slow.calendar: hold} })
			var run sync.WaitGroup
			run.Go(func() {
				receipt, err := w.refresher.Run(t.Context(), refresh.Request{Budget: time.Minute})
				if err != nil || receipt.Receipt.Refreshed != 2*workspaces || receipt.Receipt.DirectBook != workspaces || !receipt.Finished {
					t.Errorf("%+v %v", receipt, err)
				}
			})
			eventually(t, "all quick calendars are read while the slow ones hang", func() bool { return w.sync.count(slow.quick) == workspaces })
			if n := w.sync.count(slow.calendar); n == workspaces {
				t.Errorf("%d slow calendars were read: nothing hung", n)
			}
			close(hold)
			run.Wait()
		})
	}
}

// With few workers the kinds take turns, three to one, and whoever is done leaves its turns to the other.
func TestFewWorkersTakeTurnsByKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 9 {
		w.withDirect(t)
	}
	if _, err := w.newRefresher(t, w.syncServer, 1).Run(t.Context(), refresh.Request{Budget: time.Minute}); err != nil {
		t.Fatal(err)
	}
	var order []bool
	for _, ask := range w.sync.asked {
		order = append(order, ask.GetCalendar() == directCalendar)
	}
	share := func(part []bool) (n int) {
		for _, direct := range part {
			if direct {
				n++
			}
		}
		return n
	}
	if len(order) != 18 || share(order[:8]) != 2 || share(order[12:]) != 6 {
		t.Errorf("direct or not, in the order of the looks: %v", order)
	}
}

// An offer is of one calendar; a booking is made on the one that it names.
func TestOfferAndBookDirect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme, _, second := w.withDirect(t)
	lead, id := acme+"/leads/"+uuid.NewString(), uuid.NewString()
	of := func(kind availabilityv1.SourceKind) func(*availabilityv1.OfferSlotsRequest) {
		return func(r *availabilityv1.OfferSlotsRequest) { r.SourceKind, r.RequestId = kind, id }
	}
	made, err := w.offer(t, lead, of(directBook))
	if err != nil || made.GetSourceKind() != directBook || made.GetPublicUrl() != second.GetPublicUrl() || len(made.GetSlots()) != 2 {
		t.Fatalf("%v %v", made, err)
	}
	if again, err := w.offer(t, lead, of(directBook)); err != nil || again.GetName() != made.GetName() || again.GetSourceKind() != directBook {
		t.Errorf("again: %v %v", again, err)
	}
	_, err = w.offer(t, lead, of(byDefault))
	if e := rpctest.RequireError(t, err, codes.AlreadyExists, "REQUEST_ID_REUSED"); e.Metadata["fields"] != "source_kind" {
		t.Errorf("%v", e.Metadata)
	}
	// A time of the default calendar is none of the other's.
	req := bookSlot(acme, now().Add(time.Hour))
	req.SourceKind = directBook
	_, err = w.admin.BookSlot(t.Context(), req)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "SLOT_UNAVAILABLE")
	req = bookSlot(acme, now().Add(2*time.Hour))
	req.SourceKind = directBook
	if _, err := w.admin.BookSlot(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	asked := w.sync.asks[len(w.sync.asks)-1]
	if asked.GetCalendar() != directCalendar || asked.GetCalendarLink() != "directBook" {
		t.Errorf("asked: %v", asked)
	}
	out, err := w.followups.GetSlots(t.Context(), &availabilityv1.GetSlotsRequest{Parent: acme, SourceKind: directBook})
	if err != nil || slices.ContainsFunc(out.GetSlots(), func(s *availabilityv1.Slot) bool { return s.GetStartTime().AsTime().Equal(now().Add(2 * time.Hour)) }) {
		t.Errorf("the booked time is still served: %v %v", out, err)
	}
	// The link by its name is the same calendar, whose times are known.
	req = bookSlot(acme, now().Add(time.Hour))
	req.CalendarLink = second.GetName()
	_, err = w.admin.BookSlot(t.Context(), req)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "SLOT_UNAVAILABLE")
	req.SourceKind = directBook
	_, err = w.admin.BookSlot(t.Context(), req)
	rpctest.RequireError(t, err, codes.InvalidArgument, "")
}

// Two replicas serve both calendars from memory; a stale one is read once, and a change on one replica is seen on the other.
func TestDirectBookOnTwoReplicas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dsn := w.db.DSN("availability")
	replicas := []*replica{w.newReplica(t, nil, dsn), w.newReplica(t, nil, dsn)}
	acme, _, _ := w.withDirect(t)
	kinds := []availabilityv1.SourceKind{byDefault, directBook}
	read := func(r *replica, kind availabilityv1.SourceKind) *availabilityv1.GetSlotsResponse {
		out, err := r.followups.GetSlots(patient(t), &availabilityv1.GetSlotsRequest{Parent: acme, SourceKind: kind})
		if err != nil {
			t.Error(err)
		}
		return out
	}
	warm := func() bool {
		for _, r := range replicas {
			for _, kind := range kinds {
				before := r.queries.Load()
				if read(r, kind); r.queries.Load() != before {
					return false
				}
			}
		}
		return true
	}
	eventually(t, "both kinds are served from memory by both", warm)
	for range 3 {
		before := [2]int{w.sync.count(defaultCalendar), w.sync.count(directCalendar)}
		w.clock.Advance(2 * time.Minute)
		var readers sync.WaitGroup
		for i := range 200 {
			readers.Go(func() {
				if out := read(replicas[i%2], kinds[i/2%2]); !out.GetAsOfTime().AsTime().Equal(w.clock.Now()) || out.GetSourceKind() != kinds[i/2%2] {
					t.Errorf("%v", out)
				}
			})
		}
		readers.Wait()
		if after := [2]int{w.sync.count(defaultCalendar), w.sync.count(directCalendar)}; after != [2]int{before[0] + 1, before[1] + 1} {
			t.Errorf("calls %v, then %v: want one more each", before, after)
		}
	}
	eventually(t, "served from memory again", warm)
	if _, err := replicas[0].admin.SetDirectBookCalendarLink(t.Context(), &availabilityv1.SetDirectBookCalendarLinkRequest{Parent: acme}); err != nil {
		t.Fatal(err)
	}
	if out := read(replicas[0], directBook); out.GetSourceKind() != byDefault {
		t.Errorf("the replica that changed it: %v", out)
	}
	eventually(t, "the change is seen on the other", func() bool { return read(replicas[1], directBook).GetSourceKind() == byDefault })
	eventually(t, "what is fallen back to is served from memory too", warm)
}

// Setting and unsetting while both are read and runs go on breaks nothing and blocks nobody.
func TestDirectBookChangesUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme, first, second := w.withDirect(t)
	other := w.newRefresher(t, w.syncServer, 0)
	var work sync.WaitGroup
	work.Go(func() {
		for i := range 40 {
			w.direct(t, acme, []string{"", first.GetName(), second.GetName()}[i%3])
		}
		w.direct(t, acme, second.GetName())
	})
	for _, r := range []*refresh.Refresher{w.refresher, other} {
		work.Go(func() {
			for range 15 {
				w.clock.Advance(2 * time.Minute)
				if _, err := r.Run(t.Context(), refresh.Request{Budget: time.Minute}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 4 {
		work.Go(func() {
			for range 40 {
				// A reader whose looks were all overtaken by a change is told so; anything else is a fault.
				_, err := w.followups.GetSlots(patient(t), &availabilityv1.GetSlotsRequest{Parent: acme, SourceKind: directBook})
				if e, ok := apierr.From(err); err != nil && (!ok || e.Reason != "CALENDAR_UNREACHABLE") {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	out, err := w.followups.GetSlots(t.Context(), &availabilityv1.GetSlotsRequest{Parent: acme, SourceKind: directBook})
	if err != nil || out.GetSourceKind() != directBook {
		t.Errorf("%v %v", out, err)
	}
}
