package webhook

import (
	"encoding/json"
	"fmt"
	"time"
)

// FoundAppointment is an appointment that the poll found at GoHighLevel.
type FoundAppointment struct {
	Location, Contact, Calendar, ID, Status string
	Start, End, Updated                     time.Time
}

// Body is the appointment as its webhook would have told it, for Parse with source Poller.
func (f FoundAppointment) Body() ([]byte, error) {
	return written(map[string]any{
		"type": "AppointmentUpdate", "locationId": f.Location, "appointment": map[string]string{
			"id": f.ID, "calendarId": f.Calendar, "contactId": f.Contact, "appointmentStatus": f.Status,
			"startTime": f.Start.UTC().Format(time.RFC3339), "endTime": f.End.UTC().Format(time.RFC3339),
			"dateUpdated": f.Updated.UTC().Format(time.RFC3339Nano),
		},
	})
}

// FoundInvitee is an invitee that the poll found at Calendly.
type FoundInvitee struct {
	// Event is the webhook that would have told of it, such as invitee.created.
	Event, URI, Email, Name, NewInvitee, EventType string
	Start, End, Updated                            time.Time
}

// Body is the invitee as its webhook would have told it, for Parse with source Calendly.
func (f FoundInvitee) Body() ([]byte, error) {
	return written(map[string]any{
		"event": f.Event, "created_at": f.Updated.UTC().Format(time.RFC3339Nano), "payload": map[string]any{
			"uri": f.URI, "email": f.Email, "name": f.Name, "new_invitee": f.NewInvitee, "rescheduled": f.NewInvitee != "",
			"scheduled_event": map[string]string{
				"event_type": f.EventType, "start_time": f.Start.UTC().Format(time.RFC3339), "end_time": f.End.UTC().Format(time.RFC3339),
			},
		},
	})
}

func written(body map[string]any) ([]byte, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("write found appointment: %w", err)
	}
	return raw, nil
}
