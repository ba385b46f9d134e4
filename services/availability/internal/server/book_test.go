package server_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/apierr"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/availability/internal/provider"
	"github.com/relance/relance/services/availability/internal/store"
	"github.com/relance/relance/services/availability/internal/taken"
)

// BookAppointment books as sync does: one booking a request id, unless told to refuse.
func (f *fakeSync) BookAppointment(_ context.Context, req *syncv1.BookAppointmentRequest) (*syncv1.BookAppointmentResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asks = append(f.asks, req)
	if b := f.booked[req.GetRequestId()]; b != nil {
		if !b.GetStartTime().AsTime().Equal(req.GetStartTime().AsTime()) {
			return nil, apierr.New(codes.AlreadyExists, "sync.relance.dev", "REQUEST_ID_REUSED", "other").With("fields", "start_time")
		}
		return &syncv1.BookAppointmentResponse{Booking: b}, nil
	}
	if req.GetKnownOnly() {
		return nil, apierr.NotFound("booking", req.GetRequestId())
	}
	if f.refuse != nil {
		return nil, f.refuse
	}
	b := &syncv1.Booking{
		Name: "workspaces/x/bookings/" + req.GetRequestId(), Lead: req.GetLead(), Provider: req.GetProvider(), Calendar: req.GetCalendar(),
		StartTime: req.GetStartTime(), EndTime: req.GetEndTime(), State: syncv1.BookingState_BOOKING_STATE_BOOKED,
		Appointment: "appointment" + strconv.Itoa(len(f.booked)),
	}
	if f.booked == nil {
		f.booked = map[string]*syncv1.Booking{}
	}
	f.booked[req.GetRequestId()] = b
	return &syncv1.BookAppointmentResponse{Booking: b}, nil
}

// ListTakenTimes tells the feed from a number on, two at a time.
func (f *fakeSync) ListTakenTimes(_ context.Context, req *syncv1.ListTakenTimesRequest) (*syncv1.ListTakenTimesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from, _ := strconv.Atoi(req.GetCursor())
	to := min(from+2, len(f.feed))
	return &syncv1.ListTakenTimesResponse{Times: f.feed[from:to], Cursor: strconv.Itoa(to), More: to < len(f.feed)}, nil
}

func (f *fakeSync) tries() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.asks {
		if !a.GetKnownOnly() {
			n++
		}
	}
	return n
}

func bookSlot(workspace string, start time.Time) *availabilityv1.BookSlotRequest {
	return &availabilityv1.BookSlotRequest{
		Lead: workspace + "/leads/" + uuid.NewString(), StartTime: timestamppb.New(start), RequestId: uuid.NewString(),
	}
}

func served(t *testing.T, w *world, workspace string) (out []time.Duration) {
	t.Helper()
	got, err := w.slots(t, workspace)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range got.GetSlots() {
		out = append(out, s.GetStartTime().AsTime().Sub(now()))
	}
	return out
}

// TestBookSlot: a free slot is booked once, and from then on neither served nor offered nor booked again, until the calendar
// was read anew.
func TestBookSlot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	link := w.link(t, acme)
	if got := served(t, w, acme); len(got) != 4 {
		t.Fatalf("before: %v", got)
	}
	req := bookSlot(acme, now().Add(time.Hour))
	first, err := w.admin.BookSlot(t.Context(), req)
	if err != nil || first.GetBooking().GetState() != availabilityv1.BookingState_BOOKING_STATE_BOOKED || first.GetBooking().GetAppointment() == "" {
		t.Fatalf("booked: %v %v", first, err)
	}
	asked := w.sync.asks[len(w.sync.asks)-1]
	if asked.GetCalendar() != link.GetExternalId() || asked.GetProvider() != "ghl" || asked.GetEndTime().AsTime().Sub(asked.GetStartTime().AsTime()) != 30*time.Minute {
		t.Errorf("asked: %v", asked)
	}
	if got := served(t, w, acme); !slices.Equal(got, []time.Duration{4 * time.Hour, 24 * time.Hour, 29 * time.Hour}) {
		t.Errorf("served after the booking: %v", got)
	}
	offer, err := w.followups.OfferSlots(t.Context(), &availabilityv1.OfferSlotsRequest{Lead: req.GetLead(), RequestId: uuid.NewString(), Count: 5})
	if err != nil || len(offer.GetOffer().GetSlots()) != 3 {
		t.Errorf("offered after the booking: %v %v", offer, err)
	}
	explained, err := w.admin.ExplainAvailability(t.Context(), &availabilityv1.ExplainAvailabilityRequest{Parent: acme})
	removed := -1
	for _, rule := range explained.GetRules() {
		if strings.HasPrefix(rule.GetRule(), "not taken") {
			removed = int(rule.GetRemoved())
		}
	}
	if err != nil || removed != 1 {
		t.Errorf("explained: %d removed, %v", removed, err)
	}
	// The same request is the same booking, also when its time is over.
	w.clock.Advance(2 * time.Hour)
	again, err := w.admin.BookSlot(t.Context(), req)
	if err != nil || again.GetBooking().GetName() != first.GetBooking().GetName() || w.sync.tries() != 1 {
		t.Errorf("again: %v %v, %d tries", again, err, w.sync.tries())
	}
	other := bookSlot(acme, now().Add(4*time.Hour))
	other.RequestId, other.Lead = req.GetRequestId(), req.GetLead()
	_, err = w.admin.BookSlot(t.Context(), other)
	if e, _ := apierr.From(err); e == nil || e.Reason != "REQUEST_ID_REUSED" || e.Metadata["fields"] != "start_time" {
		t.Errorf("same id, other time: %v", err)
	}
}

// TestTakenUntilRead: a taken time is left out until the calendar is read well after; what the calendar says then stands.
func TestTakenUntilRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	w.link(t, acme)
	served(t, w, acme)
	if _, err := w.admin.BookSlot(t.Context(), bookSlot(acme, now().Add(4*time.Hour))); err != nil {
		t.Fatal(err)
	}
	// Read at once again, the calendar may not know yet.
	w.clock.Advance(time.Minute)
	w.tick(t)
	if got := served(t, w, acme); slices.Contains(got, 4*time.Hour) || w.sync.count(acme) != 2 {
		t.Errorf("a minute after: %v, %d looks", got, w.sync.count(acme))
	}
	// Round robin: others are free at the time, and the calendar says so later.
	w.clock.Advance(2 * time.Minute)
	w.tick(t)
	if got := served(t, w, acme); !slices.Contains(got, 4*time.Hour) {
		t.Errorf("three minutes after: %v", got)
	}
}

// TestBookSlotRefused: each refusal says why, and what is free instead.
func TestBookSlotRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	w.link(t, acme)
	offered := bookSlot(acme, now().Add(4*time.Hour))
	if _, err := w.followups.OfferSlots(t.Context(), &availabilityv1.OfferSlotsRequest{Lead: offered.GetLead(), RequestId: uuid.NewString(), Count: 4}); err != nil {
		t.Fatal(err)
	}
	bare, hub := w.workspace(t), w.workspace(t)
	page := ghlLink()
	page.Provider, page.ExternalId, page.PublicUrl = availabilityv1.CalendarProvider_CALENDAR_PROVIDER_UNSPECIFIED, "", "https://meetings.hubspot.com/acme"
	if _, err := w.admin.CreateCalendarLink(t.Context(), &availabilityv1.CreateCalendarLinkRequest{Parent: hub, CalendarLink: page}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		req           *availabilityv1.BookSlotRequest
		reason, cause string
	}{
		"over":           {bookSlot(acme, now()), "SLOT_UNAVAILABLE", "past"},
		"never there":    {bookSlot(acme, now().Add(90*time.Minute)), "SLOT_UNAVAILABLE", "not_offered"},
		"too far":        {bookSlot(acme, now().Add(40*24*time.Hour)), "SLOT_UNAVAILABLE", "outside_window"},
		"no calendar":    {bookSlot(bare, now().Add(time.Hour)), "NO_DEFAULT_CALENDAR", ""},
		"not bookable":   {bookSlot(hub, now().Add(time.Hour)), "BOOKING_UNSUPPORTED", "provider"},
		"half a minute":  {bookSlot(acme, now().Add(time.Hour+time.Second)), "", ""},
		"no request id":  {&availabilityv1.BookSlotRequest{Lead: offered.GetLead(), StartTime: offered.GetStartTime()}, "", ""},
		"a foreign link": {&availabilityv1.BookSlotRequest{Lead: offered.GetLead(), StartTime: offered.GetStartTime(), RequestId: uuid.NewString(), CalendarLink: bare + "/calendarLinks/" + uuid.NewString()}, "", ""},
	} {
		_, err := w.admin.BookSlot(t.Context(), c.req)
		e, _ := apierr.From(err)
		if e == nil || e.Reason != c.reason || e.Metadata["cause"] != c.cause || (c.reason == "") != (e.Code == codes.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w.sync.tries() != 0 {
		t.Errorf("%d of them were tried", w.sync.tries())
	}
	// Offered, and gone from the calendar since: taken, as one more look shows.
	w.sync.set(func(f *fakeSync) { f.slots = []time.Time{now().Add(24 * time.Hour), now().Add(29 * time.Hour)} })
	w.clock.Advance(2 * time.Minute)
	_, err := w.admin.BookSlot(t.Context(), offered)
	if e, _ := apierr.From(err); e == nil || e.Reason != "SLOT_TAKEN" || e.Domain != "availability.relance.dev" || w.sync.tries() != 0 ||
		e.Metadata["free"] != "2026-01-08T15:00:00Z,2026-01-08T20:00:00Z" || e.Metadata["slot"] != "2026-01-07T19:00:00Z" {
		t.Errorf("gone from the calendar: %v", err)
	}
	// The provider says no: the time is not served any more.
	w.sync.set(func(f *fakeSync) {
		f.refuse = apierr.New(codes.FailedPrecondition, "sync.relance.dev", "SLOT_TAKEN", "taken")
	})
	_, err = w.admin.BookSlot(t.Context(), bookSlot(acme, now().Add(24*time.Hour)))
	if e, _ := apierr.From(err); e == nil || e.Reason != "SLOT_TAKEN" || e.Metadata["free"] != "2026-01-08T20:00:00Z" || w.sync.tries() != 1 {
		t.Errorf("the provider says no: %v", err)
	}
	if got := served(t, w, acme); !slices.Equal(got, []time.Duration{29 * time.Hour}) {
		t.Errorf("served after that: %v", got)
	}
	// What sync refuses otherwise is passed on.
	w.sync.set(func(f *fakeSync) {
		f.refuse = apierr.New(codes.FailedPrecondition, "sync.relance.dev", "CONTACT_NOT_FOUND", "no contact")
	})
	_, err = w.admin.BookSlot(t.Context(), bookSlot(acme, now().Add(29*time.Hour)))
	if e, _ := apierr.From(err); e == nil || e.Reason != "CONTACT_NOT_FOUND" || e.Domain != "sync.relance.dev" {
		t.Errorf("no contact: %v", err)
	}
}

// TestTakenFeed: appointments that sync learns of take their times here, once, and give them back.
func TestTakenFeed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	link := w.link(t, acme)
	served(t, w, acme)
	feed := func(appointment, calendar string, after time.Duration, held bool) *syncv1.TakenTime {
		return &syncv1.TakenTime{
			Workspace: acme, Provider: "ghl", Calendar: calendar, Appointment: appointment, Taken: held,
			StartTime: timestamppb.New(now().Add(after)), EndTime: timestamppb.New(now().Add(after + 45*time.Minute)), TakenTime: timestamppb.New(now()),
		}
	}
	reader := taken.New(taken.Config{Store: w.store, Feed: provider.NewSync(w.syncServer.Conn(t, store.Schema)), Clock: w.clock})
	read := func(more ...*syncv1.TakenTime) []time.Duration {
		t.Helper()
		w.sync.set(func(f *fakeSync) { f.feed = append(f.feed, more...) })
		if err := reader.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		return served(t, w, acme)
	}
	// Another calendar's, one that overlaps a slot, one that is over, one whose calendar is not known.
	got := read(feed("a", "otherCalendar00001", time.Hour, true), feed("b", link.GetExternalId(), 3*time.Hour+30*time.Minute, true),
		feed("c", link.GetExternalId(), -2*time.Hour, true), feed("d", "", 29*time.Hour, true))
	if !slices.Equal(got, []time.Duration{time.Hour, 24 * time.Hour}) {
		t.Errorf("taken by the feed: %v", got)
	}
	if got = read(feed("b", link.GetExternalId(), 4*time.Hour, false)); !slices.Equal(got, []time.Duration{time.Hour, 4 * time.Hour, 24 * time.Hour}) {
		t.Errorf("given back: %v", got)
	}
	// Two replicas that read the same part keep it once, and a reader that fell behind changes nothing.
	kept, err := w.store.TakePage(t.Context(), "0", "9", []store.Taken{{Workspace: uuid.New(), Provider: "ghl", Appointment: "x"}}, now())
	if err != nil || kept {
		t.Errorf("a part that was read before: kept %v, %v", kept, err)
	}
}
