package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Event is a domain event for followups.
type Event struct {
	Type      string    `json:"-"`
	Workspace uuid.UUID `json:"-"`
	Lead      uuid.UUID `json:"-"`
	// At is when it happened, by the provider's clock where known.
	At        time.Time `json:"at"`
	Message   string    `json:"message,omitempty"`
	RequestID string    `json:"request_id,omitempty"`
	Outcome   string    `json:"outcome,omitempty"`
	// Channel and Active are the channel of DND_CHANGED, and whether do-not-disturb is on now.
	Channel sending.Channel `json:"channel,omitempty"`
	Active  bool            `json:"active,omitempty"`
	// Booking and BookingTime are the appointment of BOOKED and BOOKING_CANCELLED.
	Booking     string    `json:"booking,omitempty"`
	BookingTime time.Time `json:"booking_time,omitzero"`
	// Added and Removed are the tags of TAGS_CHANGED.
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

// Types of events; the API's names without their prefix.
const (
	EventCreated    = "CREATED"
	EventReplied    = "REPLIED"
	EventOptedOut   = "OPTED_OUT"
	EventDNDChanged = "DND_CHANGED"
	EventSettled    = "MESSAGE_SETTLED"
	EventBooked     = "BOOKED"
	EventCancelled  = "BOOKING_CANCELLED"
	EventHuman      = "HUMAN_OUTBOUND"
	EventTags       = "TAGS_CHANGED"
	EventUpdated    = "UPDATED"
)

// Publish writes an event to the outbox; the commit brings one job that delivers all of its events. The caller holds the lead's row lock, which
// keeps the events of a lead in the order of their commits.
func (t *Tx) Publish(ctx context.Context, e Event) error {
	payload, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("publish event: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("publish event: %w", err)
	}
	err = t.InsertOutbox(ctx, db.InsertOutboxParams{
		ID: id, WorkspaceID: e.Workspace, LeadID: e.Lead, Type: e.Type, Payload: payload, Now: t.Now,
	})
	if err != nil {
		return fmt.Errorf("publish event: %w", err)
	}
	t.end.published = true
	return nil
}
