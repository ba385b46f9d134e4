package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store/db"
)

// Asked is what an offer was asked for; the same request id must come with the same.
type Asked struct {
	// Lead is whom the offer is for. Zone, Strategy, Count and Start are the wishes.
	Lead     uuid.UUID
	Zone     string
	Strategy slots.Strategy
	Count    int
	Start    time.Time
	// LinkOnly asks for no times.
	LinkOnly bool `json:",omitempty"`
	// DirectBook asks for times of the calendar for direct bookings.
	DirectBook bool `json:",omitempty"`
	// Locale is not asked for: it is the workspace's when the offer was made.
	Locale string `json:",omitempty"`
	// OfDirectBook is not asked for: there was such a calendar.
	OfDirectBook bool `json:",omitempty"`
}

// Kind is the calendar whose times were offered.
func (a Asked) Kind() slots.SourceKind {
	if a.OfDirectBook {
		return slots.SourceDirectBook
	}
	return slots.SourceDefault
}

// Offer is a set of times that a lead was offered.
type Offer struct {
	// Workspace, ID and Request identify it.
	Workspace, ID, Request uuid.UUID
	// Asked is what it answers.
	Asked Asked
	// Starts and Labels are the times, in the order in which they are said.
	Starts []time.Time
	Labels []string
	// State and AsOf are those of the calendar at Time, when the offer was made.
	State      slots.State
	AsOf, Time time.Time
	// PublicURL is shown to the lead.
	PublicURL string
}

// Ledger is what an offer is chosen by.
type Ledger struct {
	// Counts tells how often each start of the calendar was offered in the workspace, ToLead which were offered to this lead.
	Counts map[time.Time]int
	ToLead []time.Time
}

// Chooser makes an offer's times.
type Chooser struct {
	// Choose takes them by the ledger, Label writes one for people.
	Choose func(Ledger) []time.Time
	Label  func(time.Time) string
}

// OfferByRequest gives the offer that was made for a request id; a no-rows error when none was.
func (s *Store) OfferByRequest(ctx context.Context, workspace, request uuid.UUID) (Offer, error) {
	var offer Offer
	err := s.within(ctx, workspace, func(q *db.Queries) error {
		row, err := q.OfferByRequest(ctx, db.OfferByRequestParams{WorkspaceID: workspace, RequestID: request})
		if err != nil {
			return err
		}
		offer, err = fromOffer(row)
		return err
	})
	return offer, wrap("read offer", err)
}

// MakeOffer stores the offer that is chosen by the ledger, once for a request id: asked again, it gives the offer that was
// made. One without times is not stored and has no ID. Offers of a workspace follow one another, so that two at once do not choose the same.
func (s *Store) MakeOffer(ctx context.Context, offer Offer, by Chooser) (Offer, error) {
	err := s.within(ctx, offer.Workspace, func(q *db.Queries) error {
		if err := q.LockOffers(ctx, "offer "+offer.Workspace.String()); err != nil {
			return err
		}
		old, err := q.OfferByRequest(ctx, db.OfferByRequestParams{WorkspaceID: offer.Workspace, RequestID: offer.Request})
		if err == nil {
			offer, err = fromOffer(old)
			return err
		}
		if !postgres.IsNoRows(err) {
			return err
		}
		ledger, err := readLedger(ctx, q, offer)
		if err != nil {
			return err
		}
		offer.Starts = append([]time.Time{}, by.Choose(ledger)...)
		offer.Labels = make([]string, 0, len(offer.Starts))
		for _, start := range offer.Starts {
			offer.Labels = append(offer.Labels, by.Label(start))
		}
		if len(offer.Starts) == 0 && !offer.Asked.LinkOnly {
			offer.ID = uuid.Nil // Nothing was offered, so there is nothing to stand by: asked again, there may be times.
			return nil
		}
		return insertOffer(ctx, q, offer)
	})
	return offer, wrap("offer slots", err)
}

// OfferLedger reads what an offer to a lead would be chosen by.
func (s *Store) OfferLedger(ctx context.Context, key slots.Key, lead uuid.UUID, now time.Time) (Ledger, error) {
	var ledger Ledger
	err := s.within(ctx, key.Workspace, func(q *db.Queries) (err error) {
		ledger, err = readLedger(ctx, q, Offer{
			Workspace: key.Workspace, Asked: Asked{Lead: lead, OfDirectBook: key.Kind == slots.SourceDirectBook}, Time: now,
		})
		return err
	})
	return ledger, wrap("read offers", err)
}

func readLedger(ctx context.Context, q *db.Queries, offer Offer) (Ledger, error) {
	ledger := Ledger{Counts: map[time.Time]int{}}
	offered, err := q.OfferedTo(ctx, db.OfferedToParams{WorkspaceID: offer.Workspace, LeadID: offer.Asked.Lead})
	if err != nil {
		return ledger, err
	}
	for _, starts := range offered {
		ledger.ToLead = append(ledger.ToLead, starts...)
	}
	rows, err := q.OfferedStarts(ctx, db.OfferedStartsParams{
		WorkspaceID: offer.Workspace, SourceKind: string(offer.Asked.Kind()), Since: offer.Time, Until: offer.Time.AddDate(0, 0, 31),
	})
	for _, row := range rows {
		ledger.Counts[row.StartTime.UTC()] = int(row.Times)
	}
	return ledger, err
}

func insertOffer(ctx context.Context, q *db.Queries, offer Offer) error {
	asked, err := json.Marshal(offer.Asked)
	if err != nil {
		return err
	}
	err = q.InsertOffer(ctx, db.InsertOfferParams{
		WorkspaceID: offer.Workspace, ID: offer.ID, LeadID: offer.Asked.Lead, RequestID: offer.Request, Asked: asked,
		TimeZone: offer.Asked.Zone, Starts: offer.Starts, Labels: offer.Labels, State: string(offer.State), AsOf: offer.AsOf,
		PublicUrl: offer.PublicURL, OfferTime: offer.Time,
	})
	if err != nil || len(offer.Starts) == 0 {
		return err
	}
	if err := q.CountStarts(ctx, db.CountStartsParams{WorkspaceID: offer.Workspace, SourceKind: string(offer.Asked.Kind()), Starts: offer.Starts}); err != nil {
		return err
	}
	return q.ForgetStarts(ctx, db.ForgetStartsParams{WorkspaceID: offer.Workspace, Before: offer.Time.AddDate(0, 0, -1)})
}

// Offers gives up to page offers to a lead with ids after the given one, oldest first.
func (s *Store) Offers(ctx context.Context, workspace, lead, after uuid.UUID, page int) ([]Offer, error) {
	var offers []Offer
	err := s.within(ctx, workspace, func(q *db.Queries) error {
		rows, err := q.Offers(ctx, db.OffersParams{WorkspaceID: workspace, LeadID: lead, After: after, Page: int32(page)})
		for _, row := range rows {
			offer, err := fromOffer(row)
			if err != nil {
				return err
			}
			offers = append(offers, offer)
		}
		return err
	})
	return offers, wrap("list offers", err)
}

func fromOffer(r db.Offer) (Offer, error) {
	offer := Offer{
		Workspace: r.WorkspaceID, ID: r.ID, Request: r.RequestID, Starts: r.Starts, Labels: r.Labels,
		State: slots.State(r.State), AsOf: r.AsOf, Time: r.OfferTime, PublicURL: r.PublicUrl,
	}
	if err := json.Unmarshal(r.Asked, &offer.Asked); err != nil {
		return Offer{}, fmt.Errorf("read offer: %w", err)
	}
	return offer, nil
}
