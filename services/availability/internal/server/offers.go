package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/principal"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

const defaultOffer, maxOffer = 2, 5

var strategies = map[availabilityv1.OfferStrategy]slots.Strategy{
	// The workspace's own.
	availabilityv1.OfferStrategy_OFFER_STRATEGY_UNSPECIFIED: "",
	availabilityv1.OfferStrategy_OFFER_STRATEGY_DISTRIBUTED: slots.Distributed,
	availabilityv1.OfferStrategy_OFFER_STRATEGY_EARLIEST:    slots.Earliest,
	availabilityv1.OfferStrategy_OFFER_STRATEGY_ONE_PER_DAY: slots.OnePerDay,
}

func strategyProto(strategy slots.Strategy) availabilityv1.OfferStrategy {
	for value, name := range strategies {
		if name == strategy && name != "" {
			return value
		}
	}
	return availabilityv1.OfferStrategy_OFFER_STRATEGY_DISTRIBUTED
}

// wish is a validated OfferSlotsRequest.
type wish struct {
	workspace, request uuid.UUID
	asked              store.Asked
	zone               *time.Location
	notBefore          time.Time
}

// OfferSlots chooses times for a lead and remembers them.
func (s *Server) OfferSlots(ctx context.Context, req *availabilityv1.OfferSlotsRequest) (*availabilityv1.OfferSlotsResponse, error) {
	w, err := readWish(req, s.clock.Now())
	if err != nil {
		return nil, err
	}
	if err := s.admit(ctx, w.workspace); err != nil {
		return nil, err
	}
	// What was offered under this id is the answer, whatever the calendar says now.
	made, err := s.store.OfferByRequest(ctx, w.workspace, w.request)
	if postgres.IsNoRows(err) {
		made, err = s.offer(ctx, w)
	}
	if err != nil {
		return nil, toStatus(err)
	}
	if err := w.same(made); err != nil {
		return nil, err
	}
	return &availabilityv1.OfferSlotsResponse{Offer: offerProto(made)}, nil
}

func (s *Server) offer(ctx context.Context, w wish) (store.Offer, error) {
	v, now, err := s.offerable(ctx, w)
	if err != nil {
		return store.Offer{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return store.Offer{}, fmt.Errorf("make offer id: %w", err)
	}
	row, locale := v.row, localeOf(v.row)
	if w.asked.Strategy == "" {
		w.asked.Strategy = row.Strategy
	}
	w.asked.Locale, w.asked.OfDirectBook = row.Locale, row.Kind == slots.SourceDirectBook
	var starts []time.Time
	if !w.asked.LinkOnly {
		// The rule of every read: never a time that is over, or beyond what was read.
		starts = v.between(now, time.Time{})
	}
	return s.store.MakeOffer(ctx, store.Offer{
		Workspace: w.workspace, ID: id, Request: w.request, Asked: w.asked, State: stateOf(row, starts), AsOf: row.AsOf, Time: now,
		PublicURL: row.Link.PublicURL,
	}, store.Chooser{
		Choose: func(l store.Ledger) []time.Time {
			return slots.Offer(starts, w.asked.Count, w.asked.Strategy, w.choice(l, now))
		},
		Label: func(start time.Time) string { return locale.Label(start, w.zone) },
	})
}

// offerable gives the row to offer from. A link alone needs a default calendar and nothing that was read of it.
func (s *Server) offerable(ctx context.Context, w wish) (*view, time.Time, error) {
	if !w.asked.LinkOnly {
		return s.known(ctx, w.key(), w.notBefore)
	}
	row, err := s.store.Read(ctx, w.key())
	if err == nil && row.Link == nil {
		err = noSlots(store.Row{Workspace: w.workspace, Reason: slots.ReasonNoDefaultCalendar})
	}
	return newView(row, nil), s.clock.Now(), err
}

// key is the calendar that was asked for.
func (w wish) key() slots.Key {
	key := slots.Default(w.workspace)
	if w.asked.DirectBook {
		key.Kind = slots.SourceDirectBook
	}
	return key
}

func (w wish) choice(l store.Ledger, now time.Time) slots.Choice {
	return slots.Choice{
		Zone: w.zone.String(), Now: now, StartAfter: w.asked.Start, OfferedCounts: l.Counts, Exclude: l.ToLead, Waking: w.asked.Zone != "",
	}
}

// stateOf is the row's state for a caller who sees these starts only.
func stateOf(row store.Row, starts []time.Time) slots.State {
	if row.State == slots.StateOK && len(starts) == 0 {
		return slots.StateEmpty
	}
	return row.State
}

func readWish(req *availabilityv1.OfferSlotsRequest, now time.Time) (wish, error) {
	var bad problems
	w := wish{zone: time.UTC}
	w.workspace, w.asked.Lead = bad.lead("lead", req.GetLead())
	w.request = bad.requestID(req.GetRequestId())
	if req.GetRequestId() == "" {
		bad.add("request_id", "is required")
	}
	w.asked.Zone, w.asked.Count = req.GetTimeZone(), int(req.GetCount())
	if zone := bad.zone(req.GetTimeZone()); zone != nil {
		w.zone = zone
	}
	if w.asked.Count == 0 {
		w.asked.Count = defaultOffer
	}
	if w.asked.Count < 1 || w.asked.Count > maxOffer {
		bad.add("count", "must be 1 to %d", maxOffer)
	}
	var known bool
	if w.asked.Strategy, known = strategies[req.GetStrategy()]; !known {
		bad.add("strategy", "is not known")
	}
	w.asked.DirectBook = bad.sourceKind(req.GetSourceKind()) == slots.SourceDirectBook
	w.asked.Start = bad.time("start_time", req.GetStartTime())
	w.notBefore = bad.maxAge(req.GetMaxAge(), now)
	if w.asked.LinkOnly = req.GetLinkOnly(); w.asked.LinkOnly &&
		(req.GetCount() != 0 || req.GetStrategy() != 0 || req.GetStartTime() != nil || req.GetMaxAge() != nil) {
		bad.add("link_only", "goes without count, strategy, start_time and max_age")
	}
	return w, bad.err()
}

// same refuses an offer that was asked for with other wishes under the same id.
func (w wish) same(made store.Offer) error {
	var fields []string
	for _, f := range []struct {
		name   string
		differ bool
	}{
		{"lead", made.Asked.Lead != w.asked.Lead},
		{"time_zone", made.Asked.Zone != w.asked.Zone},
		// Not asked for, it is the workspace's own, whatever that is by now.
		{"strategy", w.asked.Strategy != "" && made.Asked.Strategy != w.asked.Strategy},
		{"count", made.Asked.Count != w.asked.Count},
		{"start_time", !made.Asked.Start.Equal(w.asked.Start)},
		{"source_kind", made.Asked.DirectBook != w.asked.DirectBook},
		{"link_only", made.Asked.LinkOnly != w.asked.LinkOnly},
	} {
		if f.differ {
			fields = append(fields, f.name)
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return apierr.New(codes.AlreadyExists, Domain, "REQUEST_ID_REUSED", "this request id made another offer; use a new one").
		With("fields", strings.Join(fields, ","))
}

// localeOf is the language of a row; one that is not known any more is said in American English.
func localeOf(row store.Row) slots.Locale {
	locale, err := slots.FindLocale(row.Locale)
	if err != nil {
		return slots.Locale{}
	}
	return locale
}

// ListOffers lists what a lead was offered.
func (s *Server) ListOffers(ctx context.Context, req *availabilityv1.ListOffersRequest) (*availabilityv1.ListOffersResponse, error) {
	var bad problems
	workspace, lead := bad.lead("parent", req.GetParent())
	size := bad.pageSize(req.GetPageSize())
	after := bad.pageToken(req.GetPageToken(), lead)
	if err := bad.err(); err != nil {
		return nil, err
	}
	if err := principal.AuthorizeWorkspace(ctx, workspace.String()); err != nil {
		return nil, err
	}
	offers, err := s.store.Offers(ctx, workspace, lead, after, size+1)
	if err != nil {
		return nil, toStatus(err)
	}
	out := &availabilityv1.ListOffersResponse{}
	if len(offers) > size {
		offers = offers[:size]
		out.NextPageToken = pageToken(lead, offers[size-1].ID)
	}
	for _, offer := range offers {
		out.Offers = append(out.Offers, offerProto(offer))
	}
	return out, nil
}

func offerProto(o store.Offer) *availabilityv1.Offer {
	out := &availabilityv1.Offer{
		Lead: workspaceName(o.Workspace) + "/leads/" + o.Asked.Lead.String(),
		Text: localeOf(store.Row{Locale: o.Asked.Locale}).Join(o.Labels), State: stateProto(o.State), AsOfTime: timestamppb.New(o.AsOf), PublicUrl: o.PublicURL,
		OfferTime: timestamppb.New(o.Time), SourceKind: sourceKindProto(o.Asked.Kind()),
	}
	if o.ID != uuid.Nil {
		out.Name = workspaceName(o.Workspace) + "/offers/" + o.ID.String()
	}
	for i, start := range o.Starts {
		out.Slots = append(out.Slots, &availabilityv1.Slot{StartTime: timestamppb.New(start), Label: o.Labels[i]})
	}
	return out
}
