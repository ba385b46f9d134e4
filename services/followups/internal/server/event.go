package server

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/learn"
	"github.com/relance/relance/services/followups/internal/name"
	"github.com/relance/relance/services/followups/internal/store"
)

const (
	maxEvents    = 500
	maxBookingID = 300
)

// HandleLeadEvents applies events in order, each in its own transaction with the record that it was handled. When one
// fails the call fails, and the repetition passes over those before it.
func (s *Server) HandleLeadEvents(ctx context.Context, req *followupsv1.HandleLeadEventsRequest) (*followupsv1.HandleLeadEventsResponse, error) {
	events, err := readEvents(ctx, req.GetEvents())
	if err != nil {
		return nil, err
	}
	out := &followupsv1.HandleLeadEventsResponse{}
	try := followup.Try{Now: s.now(), Max: s.cfg.MaxAttempts}
	for _, event := range events {
		s.complete(ctx, &event)
		isNew, err := s.cfg.Store.HandleEvent(ctx, event, try)
		switch {
		case err != nil:
			return nil, mapped(err, "lead", "")
		case isNew:
			out.Handled++
		default:
			out.RepeatedCount++
		}
	}
	return out, nil
}

// readEvents checks all events before any is applied.
func readEvents(ctx context.Context, in []*followupsv1.LeadEvent) ([]store.Event, error) {
	if len(in) > maxEvents {
		return nil, invalid("events", fmt.Sprintf("must be at most %d", maxEvents))
	}
	types := eventTypes()
	var violations []apierr.FieldViolation
	events := make([]store.Event, 0, len(in))
	for i, raw := range in {
		bad := func(field, text string) {
			violations = append(violations, apierr.FieldViolation{Field: fmt.Sprintf("events[%d].%s", i, field), Description: text})
		}
		event := store.Event{
			Message: raw.GetMessage(), Outcome: raw.GetOutcome(), Type: types[raw.GetType()], Time: raw.GetEventTime().AsTime(),
			Channel: either(channels(), raw.GetChannel()), DNDActive: raw.GetDndActive(), AddedTags: raw.GetAddedTags(), Booking: raw.GetBookingId(),
		}
		var err error
		if event.ID, err = uuid.Parse(raw.GetEventId()); err != nil {
			bad("event_id", "must be a UUID")
		}
		if event.Workspace, event.Lead, err = name.ParseChild(raw.GetLead(), "leads"); err != nil {
			bad("lead", err.Error())
		} else if err := principal.AuthorizeWorkspace(ctx, event.Workspace.String()); err != nil {
			return nil, err
		}
		if event.Type == "" {
			bad("type", "is not a type of events")
		}
		if raw.GetEventTime() == nil || raw.GetEventTime().CheckValid() != nil {
			bad("event_time", "is required")
		}
		checkDetails(raw, &event, bad)
		events = append(events, event)
	}
	if len(violations) > 0 {
		return nil, apierr.Invalid(violations...)
	}
	return events, nil
}

// checkDetails reads what only some types have.
func checkDetails(raw *followupsv1.LeadEvent, event *store.Event, bad func(field, text string)) {
	switch event.Type {
	case store.MessageSettled:
		id, err := uuid.Parse(raw.GetRequestId())
		if event.Request = id; err != nil {
			bad("request_id", "must be a UUID")
		}
		if event.Outcome == "" {
			bad("outcome", "is required")
		}
	case store.LeadBooked, store.BookingCancelled:
		if n := len(event.Booking); n < 1 || n > maxBookingID {
			bad("booking_id", fmt.Sprintf("must have 1 to %d bytes", maxBookingID))
		}
		if at := raw.GetBookingTime(); at != nil {
			if at.CheckValid() != nil {
				bad("booking_time", "is not a time")
			}
			event.BookingTime = at.AsTime()
		}
	}
}

func eventTypes() map[followupsv1.LeadEventType]store.EventType {
	return map[followupsv1.LeadEventType]store.EventType{
		followupsv1.LeadEventType_LEAD_EVENT_TYPE_CREATED:           store.LeadCreated,
		followupsv1.LeadEventType_LEAD_EVENT_TYPE_REPLIED:           store.LeadReplied,
		followupsv1.LeadEventType_LEAD_EVENT_TYPE_OPTED_OUT:         store.LeadOptedOut,
		followupsv1.LeadEventType_LEAD_EVENT_TYPE_DND_CHANGED:       store.DNDChanged,
		followupsv1.LeadEventType_LEAD_EVENT_TYPE_MESSAGE_SETTLED:   store.MessageSettled,
		followupsv1.LeadEventType_LEAD_EVENT_TYPE_BOOKED:            store.LeadBooked,
		followupsv1.LeadEventType_LEAD_EVENT_TYPE_BOOKING_CANCELLED: store.BookingCancelled,
		followupsv1.LeadEventType_LEAD_EVENT_TYPE_HUMAN_OUTBOUND:    store.HumanOutbound,
		followupsv1.LeadEventType_LEAD_EVENT_TYPE_BLOCKED:           store.LeadBlocked,
		followupsv1.LeadEventType_LEAD_EVENT_TYPE_DELIVERY_CHANGED:  store.DeliveryChanged,
		followupsv1.LeadEventType_LEAD_EVENT_TYPE_TAGS_CHANGED:      store.TagsChanged,
		followupsv1.LeadEventType_LEAD_EVENT_TYPE_UPDATED:           store.LeadUpdated,
	}
}

// complete adds what only sync knows: the zone that a step is scheduled in, and the date that a reply names. An event is
// applied without them when sync does not answer: a reply must stop the sequences all the same. Its date is then taken by a run.
func (s *Server) complete(ctx context.Context, event *store.Event) {
	switch event.Type {
	case store.DeliveryChanged:
	case store.LeadReplied:
		var read bool
		event.Snooze, read = s.reader.Snooze(ctx, learn.Reply{
			Workspace: event.Workspace, Lead: event.Lead, Message: event.Message, Time: event.Time,
		})
		event.Unread = !read
	case store.LeadUpdated:
		leads, _ := s.reader.Leads(ctx, event.Workspace, []uuid.UUID{event.Lead})
		event.Known = leads[event.Lead]
	default: // these can schedule a step
		event.Zone = s.leadZone(ctx, event.Workspace, event.Lead)
	}
}

// leadZone is the lead's zone, or the workspace's; nil when neither is known.
func (s *Server) leadZone(ctx context.Context, workspace, lead uuid.UUID) *time.Location {
	if zone, ok := s.reader.LeadZone(ctx, workspace, lead); ok {
		return zone
	}
	return s.zone(ctx, workspace)
}
