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
	"github.com/relance/relance/services/followups/internal/name"
	"github.com/relance/relance/services/followups/internal/run"
	"github.com/relance/relance/services/followups/internal/store"
)

const maxEvents = 500

// RunDueFollowUps takes up what is due.
func (s *Server) RunDueFollowUps(ctx context.Context, req *followupsv1.RunDueFollowUpsRequest) (*followupsv1.RunDueFollowUpsResponse, error) {
	request, err := requestID(req.GetRequestId())
	if err != nil {
		return nil, err
	}
	budget := time.Duration(0)
	if req.GetTimeBudget() != nil {
		budget = req.GetTimeBudget().AsDuration()
		if budget <= 0 || budget > run.MaxBudget {
			return nil, invalid("time_budget", "must be more than 0 s and at most 55 s")
		}
	}
	receipt, err := s.cfg.Runner.Run(ctx, run.Request{ID: request, Budget: budget})
	if err != nil {
		return nil, mapped(err, "run", "")
	}
	return &followupsv1.RunDueFollowUpsResponse{Run: runPB(receipt)}, nil
}

// GetRun reads a receipt.
func (s *Server) GetRun(ctx context.Context, req *followupsv1.GetRunRequest) (*followupsv1.GetRunResponse, error) {
	id, err := name.ParseRun(req.GetName())
	if err != nil {
		return nil, invalid("name", err.Error())
	}
	receipt, err := s.cfg.Store.GetRun(ctx, id)
	if err != nil {
		return nil, mapped(err, "run", req.GetName())
	}
	return &followupsv1.GetRunResponse{Run: runPB(receipt)}, nil
}

// ListRuns lists receipts without their breakdown.
func (s *Server) ListRuns(ctx context.Context, req *followupsv1.ListRunsRequest) (*followupsv1.ListRunsResponse, error) {
	page, paging, err := newPaging(req.GetPageSize(), req.GetPageToken(), "runs")
	if err != nil {
		return nil, err
	}
	rows, err := s.cfg.Store.ListRuns(ctx, page)
	if err != nil {
		return nil, mapped(err, "run", "")
	}
	out := &followupsv1.ListRunsResponse{}
	rows, out.NextPageToken = cut(rows, paging, func(run store.Run) uuid.UUID { return run.ID })
	for _, row := range rows {
		out.Runs = append(out.Runs, runPB(row))
	}
	return out, nil
}

// HandleLeadEvents applies events in order, each in its own transaction with the record that it was handled. When one
// fails the call fails, and the repetition passes over those before it.
func (s *Server) HandleLeadEvents(ctx context.Context, req *followupsv1.HandleLeadEventsRequest) (*followupsv1.HandleLeadEventsResponse, error) {
	events, err := readEvents(ctx, req.GetEvents())
	if err != nil {
		return nil, err
	}
	zones := map[uuid.UUID]*time.Location{}
	out := &followupsv1.HandleLeadEventsResponse{}
	try := followup.Try{Now: s.now(), Max: s.cfg.MaxAttempts}
	for _, event := range events {
		if event.Type != store.DeliveryChanged && event.Type != store.LeadReplied { // the others can schedule a step
			zone, known := zones[event.Workspace]
			if !known {
				zone = s.zone(ctx, event.Workspace)
				zones[event.Workspace] = zone
			}
			event.Zone = zone
		}
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
	types := map[followupsv1.LeadEventType]store.EventType{
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
	var violations []apierr.FieldViolation
	events := make([]store.Event, 0, len(in))
	for i, raw := range in {
		bad := func(field, text string) {
			violations = append(violations, apierr.FieldViolation{Field: fmt.Sprintf("events[%d].%s", i, field), Description: text})
		}
		event := store.Event{Message: raw.GetMessage(), Outcome: raw.GetOutcome(), Type: types[raw.GetType()], Time: raw.GetEventTime().AsTime(),
			Channel: channels().of(raw.GetChannel()), DNDActive: raw.GetDndActive(), AddedTags: raw.GetAddedTags()}
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
		if event.Type == store.MessageSettled {
			if event.Request, err = uuid.Parse(raw.GetRequestId()); err != nil {
				bad("request_id", "must be a UUID")
			}
			if event.Outcome == "" {
				bad("outcome", "is required")
			}
		}
		events = append(events, event)
	}
	if len(violations) > 0 {
		return nil, apierr.Invalid(violations...)
	}
	return events, nil
}
