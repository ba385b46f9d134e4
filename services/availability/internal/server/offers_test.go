package server_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
)

// slotsPerDay gives n starts a day for some days, every two hours from 13:00 UTC (8:00 in New York).
func slotsPerDay(days, n int) []time.Time {
	var out []time.Time
	for day := 1; day <= days; day++ {
		for i := range n {
			out = append(out, time.Date(now().Year(), now().Month(), now().Day()+day, 13+2*i, 0, 0, 0, time.UTC))
		}
	}
	return out
}

func (w *world) offer(t *testing.T, lead string, edit ...func(*availabilityv1.OfferSlotsRequest)) (*availabilityv1.Offer, error) {
	t.Helper()
	req := &availabilityv1.OfferSlotsRequest{Lead: lead, RequestId: newID(t).String(), TimeZone: "America/New_York"}
	for _, e := range edit {
		e(req)
	}
	out, err := w.followups.OfferSlots(t.Context(), req)
	return out.GetOffer(), err
}

func starts(o *availabilityv1.Offer) []string {
	var out []string
	for _, s := range o.GetSlots() {
		out = append(out, s.GetStartTime().AsTime().Format("01-02T15"))
	}
	return out
}

func TestOffersAreRememberedAndNeverRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	w.sync.set(func(f *fakeSync) { f.slots = slotsPerDay(3, 4) })
	w.link(t, acme)
	lead := acme + "/leads/" + newID(t).String()
	seen := map[string]bool{}
	for range 6 {
		offer, err := w.offer(t, lead)
		if err != nil || len(offer.GetSlots()) != 2 {
			t.Fatalf("%v, %v", offer, err)
		}
		for _, s := range offer.GetSlots() {
			if seen[s.GetLabel()] {
				t.Errorf("%s was offered twice", s.GetLabel())
			}
			seen[s.GetLabel()] = true
		}
		if want := offer.GetSlots()[0].GetLabel() + " or " + offer.GetSlots()[1].GetLabel(); offer.GetText() != want {
			t.Errorf("text %q, want %q", offer.GetText(), want)
		}
	}
	// 12 times were there and 12 were offered: nothing is left, which is an answer but no offer, so that the same request
	// gets times when there are some. Another lead still gets times.
	request := func(r *availabilityv1.OfferSlotsRequest) { r.RequestId = acme[len("workspaces/"):] }
	if last, err := w.offer(t, lead, request); err != nil || len(last.GetSlots()) != 0 || last.GetText() != "" || last.GetName() != "" {
		t.Errorf("%v, %v", last, err)
	}
	if other, err := w.offer(t, acme+"/leads/"+newID(t).String()); err != nil || len(other.GetSlots()) != 2 {
		t.Errorf("another lead: %v, %v", other, err)
	}
	list, err := w.followups.ListOffers(t.Context(), &availabilityv1.ListOffersRequest{Parent: lead, PageSize: 4})
	if err != nil || len(list.GetOffers()) != 4 || list.GetNextPageToken() == "" {
		t.Fatalf("%v, %v", list, err)
	}
	rest, err := w.followups.ListOffers(t.Context(), &availabilityv1.ListOffersRequest{Parent: lead, PageToken: list.GetNextPageToken()})
	if err != nil || len(rest.GetOffers()) != 2 || rest.GetNextPageToken() != "" {
		t.Errorf("%v, %v", rest, err)
	}
	w.sync.set(func(f *fakeSync) { f.slots = slotsPerDay(4, 4) })
	w.clock.Advance(2 * time.Minute)
	if anew, err := w.offer(t, lead, request); err != nil || len(anew.GetSlots()) != 2 {
		t.Errorf("%v, %v", anew, err)
	}
}

// The same request gives the same offer, also when the calendar is away, or would be chosen from otherwise by now.
func TestOfferIsIdempotent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	w.sync.set(func(f *fakeSync) { f.slots = slotsPerDay(3, 4) })
	link := w.link(t, acme)
	lead, request := acme+"/leads/"+newID(t).String(), newID(t).String()
	with := func(r *availabilityv1.OfferSlotsRequest) { r.RequestId = request }
	first, err := w.offer(t, lead, with)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.admin.DeleteCalendarLink(t.Context(), &availabilityv1.DeleteCalendarLinkRequest{Name: link.GetName()}); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(40 * 24 * time.Hour)
	again, err := w.offer(t, lead, with)
	if err != nil || !proto.Equal(first, again) {
		t.Errorf("%v, %v; want %v", again, err, first)
	}
	// Control: a new request is answered by the calendar as it is.
	_, err = w.offer(t, lead)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "NO_DEFAULT_CALENDAR")
	_, err = w.offer(t, acme+"/leads/"+newID(t).String(), with, func(r *availabilityv1.OfferSlotsRequest) { r.Count = 3 })
	if e := rpctest.RequireError(t, err, codes.AlreadyExists, "REQUEST_ID_REUSED"); e.Metadata["fields"] != "lead,count" {
		t.Errorf("metadata %v", e.Metadata)
	}
}

// A link alone is an offer too: remembered, of no time, and given whether or not the calendar can be read.
func TestLinkAloneUsesUpNoTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	lead, request := acme+"/leads/"+newID(t).String(), newID(t).String()
	alone := func(r *availabilityv1.OfferSlotsRequest) { r.RequestId, r.LinkOnly = request, true }
	_, err := w.offer(t, lead, alone)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "NO_DEFAULT_CALENDAR")
	w.sync.set(func(f *fakeSync) { f.slots = slotsPerDay(1, 2) })
	link := w.link(t, acme)
	w.sync.set(func(f *fakeSync) { f.fail = status.Error(codes.Unavailable, "down") })
	first, err := w.offer(t, lead, alone)
	if err != nil || first.GetPublicUrl() != link.GetPublicUrl() || len(first.GetSlots()) != 0 {
		t.Fatalf("%v, %v", first, err)
	}
	again, err := w.offer(t, lead, alone)
	if err != nil || !proto.Equal(first, again) {
		t.Errorf("%v, %v; want %v", again, err, first)
	}
	_, err = w.offer(t, lead, func(r *availabilityv1.OfferSlotsRequest) { r.RequestId = request })
	rpctest.RequireError(t, err, codes.AlreadyExists, "REQUEST_ID_REUSED")
	_, err = w.offer(t, lead, func(r *availabilityv1.OfferSlotsRequest) { r.LinkOnly, r.Count = true, 2 })
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 1 || e.Violations[0].Field != "link_only" {
		t.Errorf("violations %+v", e.Violations)
	}
	// Both times are still there for the lead.
	w.sync.set(func(f *fakeSync) { f.fail = nil })
	if offer, err := w.offer(t, lead); err != nil || len(offer.GetSlots()) != 2 {
		t.Errorf("%v, %v", offer, err)
	}
}

// Twenty offers to one lead at once are twenty different pairs; the same request twenty times at once is one offer.
func TestOffersAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	w.sync.set(func(f *fakeSync) { f.slots = slotsPerDay(10, 4) })
	w.link(t, acme)
	lead, same := acme+"/leads/"+newID(t).String(), newID(t).String()
	var mu sync.Mutex
	times, names := map[string]int{}, map[string]bool{}
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			different, err := w.offer(t, lead)
			if err != nil {
				t.Error(err)
			}
			repeated, err := w.offer(t, acme+"/leads/"+acme[len("workspaces/"):], func(r *availabilityv1.OfferSlotsRequest) { r.RequestId = same })
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, start := range starts(different) {
				times[start]++
			}
			names[repeated.GetName()] = true
		})
	}
	calls.Wait()
	if len(times) != 40 || len(names) != 1 {
		t.Errorf("%d different times of 40 offered, %d offers under one request", len(times), len(names))
	}
}

func TestStrategies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	w.sync.set(func(f *fakeSync) { f.slots = slotsPerDay(8, 3) })
	w.link(t, acme)
	for strategy, want := range map[availabilityv1.OfferStrategy]int{
		availabilityv1.OfferStrategy_OFFER_STRATEGY_EARLIEST:    1,
		availabilityv1.OfferStrategy_OFFER_STRATEGY_ONE_PER_DAY: 3,
		availabilityv1.OfferStrategy_OFFER_STRATEGY_DISTRIBUTED: 2,
	} {
		offer, err := w.offer(t, acme+"/leads/"+newID(t).String(), func(r *availabilityv1.OfferSlotsRequest) { r.Count, r.Strategy = 3, strategy })
		days := map[string]bool{}
		for _, start := range starts(offer) {
			days[start[:5]] = true
		}
		if err != nil || len(offer.GetSlots()) != 3 || (len(days) != want && strategy != availabilityv1.OfferStrategy_OFFER_STRATEGY_DISTRIBUTED) || len(days) < min(want, 2) && want > 1 {
			t.Errorf("%s: %v, %v", strategy, starts(offer), err)
		}
	}
	_, err := w.offer(t, acme+"/leads/x", func(r *availabilityv1.OfferSlotsRequest) {
		r.RequestId, r.Count, r.Strategy, r.TimeZone = "", 6, 9, "Mars/X"
	})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 5 {
		t.Errorf("violations %+v", e.Violations)
	}
}

// explainOf answers the explanation as "rule: removed/left" and its remedy.
func (w *world) explainOf(t *testing.T, req *availabilityv1.ExplainAvailabilityRequest) (*availabilityv1.ExplainAvailabilityResponse, map[string]*availabilityv1.AvailabilityRule) {
	t.Helper()
	out, err := w.admin.ExplainAvailability(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]*availabilityv1.AvailabilityRule{}
	left := int32(-1)
	for _, rule := range out.GetRules() {
		rules[rule.GetRule()] = rule
		if left >= 0 && rule.GetRemoved()+rule.GetLeft() != left {
			t.Errorf("%s: %d removed + %d left, of %d", rule.GetRule(), rule.GetRemoved(), rule.GetLeft(), left)
		}
		if rule.GetRule() == "read from the calendar" || left >= 0 {
			left = rule.GetLeft()
		}
	}
	return out, rules
}

func TestExplanations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	w.sync.set(func(f *fakeSync) { f.slots = append(slotsPerDay(2, 4), slotsPerDay(20, 1)[19]) })
	explain := func(lead string) (*availabilityv1.ExplainAvailabilityResponse, map[string]*availabilityv1.AvailabilityRule) {
		return w.explainOf(t, &availabilityv1.ExplainAvailabilityRequest{Parent: acme, Lead: lead, TimeZone: "America/New_York"})
	}
	w.tick(t)
	none, rules := explain("")
	if none.GetReason() != "NO_DEFAULT_CALENDAR" || !strings.Contains(none.GetRemedy(), "SetDefaultCalendarLink") || rules["a default calendar link is set"].GetPassed() {
		t.Errorf("without a link: %v", none)
	}
	w.link(t, acme)
	w.tick(t)
	lead := acme + "/leads/" + newID(t).String()
	if _, err := w.offer(t, lead); err != nil {
		t.Fatal(err)
	}
	good, rules := explain(lead)
	if good.GetRemedy() != "" || rules["read from the calendar"].GetLeft() != 9 || rules["not offered to this lead before"].GetRemoved() != 2 ||
		rules["within 5 days, where there are any"].GetRemoved() != 1 {
		t.Errorf("with slots: %v", good)
	}
	if _, rules := explain(""); rules["not offered to this lead before"].GetRemoved() != 0 {
		t.Error("control: nobody's offers count without a lead")
	}
	w.sync.set(func(f *fakeSync) { f.slots = nil })
	w.clock.Advance(time.Hour)
	w.tick(t)
	if empty, _ := explain(""); empty.GetState() != availabilityv1.AvailabilityState_AVAILABILITY_STATE_EMPTY || !strings.Contains(empty.GetRemedy(), "open times") {
		t.Errorf("empty: %v", empty)
	}
	w.clock.Advance(time.Minute)
	w.sync.set(func(f *fakeSync) { f.fail = apierr.Unavailable("away", nil) })
	w.tick(t)
	if away, _ := explain(""); away.GetState() != availabilityv1.AvailabilityState_AVAILABILITY_STATE_UNREACHABLE || away.GetFailures() != 1 || away.GetLastError() == "" {
		t.Errorf("unreachable: %v", away)
	}
}

func TestHealthList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sync.set(func(f *fakeSync) { f.slots = slotsPerDay(3, 2) })
	var linked []string
	for i := range 6 {
		workspace := w.workspace(t)
		if i%2 == 0 {
			w.link(t, workspace)
			linked = append(linked, workspace)
		}
	}
	w.tick(t)
	list := func(req *availabilityv1.ListAvailabilityHealthRequest) (names []string, pages int) {
		for {
			out, err := w.admin.ListAvailabilityHealth(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			pages++
			for _, h := range out.GetHealth() {
				names = append(names, h.GetWorkspace())
			}
			if req.PageToken = out.GetNextPageToken(); req.GetPageToken() == "" {
				return names, pages
			}
		}
	}
	bound := availabilityv1.NewAvailabilityServiceClient(w.server.ConnAs(t, principal.Principal{
		Kind: principal.KindAdmin, Workspace: linked[0][len("workspaces/"):],
	}))
	own, err := bound.ListAvailabilityHealth(t.Context(), &availabilityv1.ListAvailabilityHealthRequest{})
	if err != nil || len(own.GetHealth()) != 1 || own.GetHealth()[0].GetWorkspace() != linked[0] {
		t.Errorf("a bound caller sees %v, %v", own, err)
	}
	if all, pages := list(&availabilityv1.ListAvailabilityHealthRequest{PageSize: 4}); len(all) != 6 || pages != 2 {
		t.Errorf("%d workspaces on %d pages", len(all), pages)
	}
	ok, _ := list(&availabilityv1.ListAvailabilityHealthRequest{States: []availabilityv1.AvailabilityState{availabilityv1.AvailabilityState_AVAILABILITY_STATE_OK}})
	slices.Sort(linked)
	if !slices.Equal(ok, linked) {
		t.Errorf("in state OK: %v, want %v", ok, linked)
	}
	if few, _ := list(&availabilityv1.ListAvailabilityHealthRequest{FewerThan: 6}); len(few) != 3 {
		t.Errorf("%d workspaces with fewer than 6 free times, want 3", len(few))
	}
	if few, _ := list(&availabilityv1.ListAvailabilityHealthRequest{FewerThan: 7}); len(few) != 6 {
		t.Errorf("%d workspaces with fewer than 7 free times, want 6", len(few))
	}
}
