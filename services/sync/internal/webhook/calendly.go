package webhook

import (
	"encoding/json"
	"fmt"

	"github.com/relance/relance/services/sync/internal/booking"
	"github.com/relance/relance/services/sync/internal/lead"
)

// calendly is Calendly's v2 envelope: the invitee's fields are at the top of payload.
type calendly struct {
	Event     string `json:"event"`
	CreatedAt string `json:"created_at"`
	Payload   struct {
		URI         string `json:"uri"`
		Email       string `json:"email"`
		Name        lax    `json:"name"`
		FirstName   lax    `json:"first_name"`
		LastName    lax    `json:"last_name"`
		TimeZone    lax    `json:"timezone"`
		Rescheduled bool   `json:"rescheduled"`
		NewInvitee  string `json:"new_invitee"`
		Scheduled   struct {
			EventType string `json:"event_type"`
			StartTime string `json:"start_time"`
			EndTime   string `json:"end_time"`
		} `json:"scheduled_event"`
	} `json:"payload"`
}

// maxURI bounds Calendly's resource names.
const maxURI = 300

// calendlyEvent reads a Calendly webhook. A reschedule is two deliveries in either order: the old invitee is cancelled as
// rescheduled, which is no cancellation, and a new one is created.
func calendlyEvent(d Delivery) (Event, error) {
	var c calendly
	if err := json.Unmarshal(d.Body, &c); err != nil {
		return Event{}, errType
	}
	p := c.Payload
	e := Event{
		Type: c.Event, Kind: Ignored, Changed: parseTime(c.CreatedAt), WebhookID: d.key(c.Event, p.URI, c.CreatedAt),
		Lead: lead.Facts{Email: p.Email, FirstName: first(p.FirstName, p.Name), LastName: string(p.LastName), TimeZone: string(p.TimeZone)},
		Booking: Booking{
			Provider: "calendly", ID: p.URI, Calendar: p.Scheduled.EventType, Status: booking.Held,
			Start: parseTime(p.Scheduled.StartTime), End: parseTime(p.Scheduled.EndTime),
		},
	}
	switch c.Event {
	case "invitee.created":
		e.Kind = Booked
	case "invitee_no_show.created":
		e.Kind, e.Booking.Status = Booked, booking.NoShow
	case "invitee_no_show.deleted":
		e.Kind = Booked
	case "invitee.canceled":
		e.Kind, e.Booking.Final, e.Booking.Status = Booked, true, booking.Cancelled
		if p.Rescheduled || p.NewInvitee != "" {
			e.Booking.Status = booking.Moved
		}
	}
	if e.Kind == Booked && (p.URI == "" || len(p.URI) > maxURI || len(e.Booking.Calendar) > maxURI) {
		return Event{}, fmt.Errorf("%w: payload.uri is missing or too long", ErrBody)
	}
	return e, e.identified()
}
