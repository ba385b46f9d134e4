package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// EventType says what happened to a lead.
type EventType string

// Types of events.
const (
	LeadCreated    EventType = "created"
	LeadReplied    EventType = "replied"
	LeadOptedOut   EventType = "opted_out"
	DNDChanged     EventType = "dnd_changed"
	MessageSettled EventType = "message_settled"
	LeadBooked     EventType = "booked"
	// BookingCancelled is the end of an appointment.
	BookingCancelled EventType = "booking_cancelled"
	HumanOutbound    EventType = "human_outbound"
	LeadBlocked      EventType = "blocked"
	// DeliveryChanged came after a message had left; it is recorded and moves nothing.
	DeliveryChanged EventType = "delivery_changed"
	TagsChanged     EventType = "tags_changed"
	LeadUpdated     EventType = "updated"
)

// Event is something sync learned about a lead.
type Event struct {
	// ID is handled once.
	ID uuid.UUID
	// Workspace and Lead are whom it is about.
	Workspace, Lead uuid.UUID
	// Type and Time say what and when.
	Type EventType
	Time time.Time
	// Message, Request and Outcome are for MessageSettled.
	Message string
	Request uuid.UUID
	Outcome string
	// Known is the lead after a LeadUpdated; nil when it could not be read.
	Known *followup.Lead
	// Zone of the workspace, or nil when it could not be learned.
	Zone *time.Location
	// Channel and DNDActive are for DNDChanged; an empty channel means every one. Channel is also for HumanOutbound.
	Channel   followup.Channel
	DNDActive bool
	// AddedTags are for TagsChanged.
	AddedTags []string
	// Snooze is the date that a reply named for writing again; zero for none.
	Snooze time.Time
	// Unread tells that the text of a reply could not be read: its date is taken later.
	Unread bool
	// Booking and BookingTime are for LeadBooked and BookingCancelled.
	Booking     string
	BookingTime time.Time
}

// HandleEvent applies an event together with the record that it was handled, and reports whether it was new.
func (s *Store) HandleEvent(ctx context.Context, event Event, try followup.Try) (isNew bool, err error) {
	for range commitTries {
		err = s.in(ctx, event.Workspace, func(q *db.Queries) error {
			rows, err := q.InsertLeadEvent(ctx, db.InsertLeadEventParams{
				WorkspaceID: event.Workspace, EventID: event.ID, LeadID: event.Lead, Type: string(event.Type),
				EventTime: event.Time, Now: try.Now, Wakes: event.wakes(),
			})
			if isNew = rows == 1; err != nil || !isNew {
				return err
			}
			if err := keepUnread(ctx, q, event, try.Now); err != nil {
				return err
			}
			pulls, err := handle(ctx, q, event, try)
			if err != nil {
				return err
			}
			return pull(ctx, q, event, pulls, try.Now)
		})
		if !postgres.IsRetryable(err) {
			break
		}
	}
	if err != nil {
		return false, fmt.Errorf("handle %s event: %w", event.Type, err)
	}
	return isNew, nil
}

// handle applies an event to what runs for the lead. It reports whether the event may start sequences: one that tells
// nothing new of an appointment does not.
func handle(ctx context.Context, q *db.Queries, event Event, try followup.Try) (pulls bool, err error) {
	switch event.Type {
	case LeadReplied, HumanOutbound, LeadUpdated, DNDChanged:
		return true, live(ctx, q, event, try.Now)
	case LeadBooked:
		return booked(ctx, q, event, try.Now)
	case BookingCancelled:
		return false, unbooked(ctx, q, event, try.Now)
	case LeadOptedOut:
		return false, endLead(ctx, q, followup.Enrollment{Workspace: event.Workspace, Lead: event.Lead}, "OPTED_OUT", try.Now)
	case LeadBlocked:
		return false, endLead(ctx, q, followup.Enrollment{Workspace: event.Workspace, Lead: event.Lead}, "LEAD_BLOCKED", try.Now)
	case MessageSettled:
		return false, settle(ctx, q, event, try)
	}
	return true, nil
}

// wakes is what the event ends the holds for, as the beginning of the WakeOn of those that it ends; empty for nothing.
func (e Event) wakes() string {
	switch {
	case e.Type == LeadUpdated:
		return string(followup.WakeLeadChanged)
	case e.Type == DNDChanged && !e.DNDActive && e.Channel == "":
		return string(followup.WakeDNDCleared)
	case e.Type == DNDChanged && !e.DNDActive:
		return followup.WakeDNDCleared.On(e.Channel)
	}
	return ""
}

// settle keeps the outcome with the plan, for a batch that is still under way, and moves an enrollment that waits for it.
func settle(ctx context.Context, q *db.Queries, event Event, try followup.Try) error {
	plan, err := q.GetPlan(ctx, db.GetPlanParams{WorkspaceID: event.Workspace, RequestID: event.Request})
	if postgres.IsNoRows(err) {
		return nil // a message of somebody else
	}
	if err != nil {
		return fmt.Errorf("read plan: %w", err)
	}
	// The enrollment is locked before the plan is written, as in Commit: one of the two sees the other's work.
	row, err := q.LockEnrollment(ctx, db.LockEnrollmentParams{WorkspaceID: event.Workspace, ID: plan.EnrollmentID})
	if err != nil {
		return fmt.Errorf("lock enrollment: %w", err)
	}
	err = q.SettlePlan(ctx, db.SettlePlanParams{
		WorkspaceID: event.Workspace, RequestID: event.Request, Settled: event.Outcome, Message: event.Message,
	})
	if err != nil {
		return fmt.Errorf("settle plan: %w", err)
	}
	e := toEnrollment(row)
	if e.Version != int(plan.Version) || e.Position != int(plan.Position) || e.Part != int(plan.Part) || !settles(e, row.LeaseToken != nil, event.Outcome) {
		return nil
	}
	return settleStep(ctx, q, e, event, try)
}

// settles tells whether the outcome moves the enrollment now. One that waits always moves. sync also finishes sends by
// itself that were deferred or had exhausted our tries: that such a message left is a fact, whatever the state. A batch
// that holds the enrollment gets the same answer and records it.
func settles(e followup.Enrollment, held bool, outcome string) bool {
	return e.State == followup.Awaiting || (!held && !e.State.Ended() && outcome == followup.OutcomeAccepted)
}

func settleStep(ctx context.Context, q *db.Queries, e followup.Enrollment, event Event, try followup.Try) error {
	step, err := stepAt(ctx, q, e)
	if err != nil || step == nil {
		return err
	}
	following := e
	following.Position++
	next, err := stepAt(ctx, q, following)
	if err != nil {
		return err
	}
	try.Channel = step.Channel
	if try.Policy, err = policyOf(ctx, q, e, *step); err != nil {
		return err
	}
	effect := followup.Settle(event.Outcome, e, try)
	effect.Message = event.Message
	key := followup.StepKey{
		Workspace: e.Workspace, Enrollment: e.ID, Version: e.Version, Position: e.Position, Channel: step.Channel, Part: e.Part,
	}
	decided := newDecisions(uuid.Nil, try.Now)
	if err := decided.add(e, effect, []followup.Check{followup.SettledCheck(effect, event.Outcome)}); err != nil {
		return err
	}
	if err := decided.save(ctx, q); err != nil {
		return err
	}
	return record(ctx, q, recording{Before: e, Key: key, Effect: effect, Next: next, Zone: event.Zone, Now: try.Now})
}

// policyOf reads what refusals mean for a step of an enrollment.
func policyOf(ctx context.Context, q *db.Queries, e followup.Enrollment, step followup.Step) (followup.Layers, error) {
	layers := followup.Layers{Step: step.Refusals}
	states, err := q.ListSequenceStates(ctx, db.ListSequenceStatesParams{
		WorkspaceIds: []uuid.UUID{e.Workspace}, Ids: []uuid.UUID{e.Sequence},
	})
	if err != nil {
		return layers, fmt.Errorf("read sequence: %w", err)
	}
	for _, row := range states {
		layers.Sequence = toPolicy(row.Refusals)
	}
	settings, err := q.ListSettings(ctx, []uuid.UUID{e.Workspace})
	if err != nil {
		return layers, fmt.Errorf("read settings: %w", err)
	}
	for _, row := range settings {
		layers.Workspace = toPolicy(row.Refusals)
	}
	return layers, nil
}
