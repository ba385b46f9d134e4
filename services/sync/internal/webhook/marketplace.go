package webhook

import (
	"encoding/json"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/relance/relance/services/sync/internal/booking"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
)

// marketplace is the flat body of a marketplace webhook.
type marketplace struct {
	Type         string          `json:"type"`
	LocationID   string          `json:"locationId"`
	CompanyID    string          `json:"companyId"`
	WebhookID    string          `json:"webhookId"`
	Timestamp    json.RawMessage `json:"timestamp"`
	ID           string          `json:"id"`
	ContactID    string          `json:"contactId"`
	MessageID    string          `json:"messageId"`
	EmailID      string          `json:"emailMessageId"`
	Direction    string          `json:"direction"`
	Conversation string          `json:"conversationId"`
	MessageType  string          `json:"messageType"`
	Status       string          `json:"status"`
	Source       string          `json:"source"`
	UserID       string          `json:"userId"`
	Body         string          `json:"body"`
	Subject      string          `json:"subject"`
	DateAdded    string          `json:"dateAdded"`
	DateUpdated  string          `json:"dateUpdated"`
	FirstName    string          `json:"firstName"`
	LastName     string          `json:"lastName"`
	Email        string          `json:"email"`
	Phone        string          `json:"phone"`
	Company      string          `json:"companyName"`
	TimeZone     string          `json:"timezone"`
	State        string          `json:"state"`
	Country      string          `json:"country"`
	DND          bool            `json:"dnd"`
	DNDSettings  json.RawMessage `json:"dndSettings"`
	Tags         []string        `json:"tags"`
	Appointment  appointment     `json:"appointment"`
	EmailStats   emailStats      `json:"webhookPayload"`
}

type appointment struct {
	ID          string `json:"id"`
	CalendarID  string `json:"calendarId"`
	ContactID   string `json:"contactId"`
	Status      string `json:"appointmentStatus"`
	StartTime   string `json:"startTime"`
	EndTime     string `json:"endTime"`
	DateUpdated string `json:"dateUpdated"`
}

type emailStats struct {
	Event     string          `json:"event"`
	Recipient string          `json:"recipient"`
	Timestamp json.RawMessage `json:"timestamp"`
}

// marketplaceEvent reads a marketplace webhook; unknown events are kind Ignored.
func marketplaceEvent(d Delivery) (Event, error) {
	var m marketplace
	if err := json.Unmarshal(d.Body, &m); err != nil {
		return Event{}, fmt.Errorf("%w: a field has the wrong type", ErrBody)
	}
	stamp, err := moment(m.Timestamp)
	if err != nil {
		return Event{}, err
	}
	e := Event{Type: m.Type, Kind: Ignored, Location: m.LocationID, Timestamp: stamp, WebhookID: m.WebhookID}
	e.Changed = firstTime(parseTime(m.DateUpdated), stamp)
	if e.WebhookID == "" || len(e.WebhookID) > 200 {
		e.WebhookID = d.key(string(d.Body))
	}
	e.read(m)
	return e, nil
}

// pollerEvent reads what the poller found: its key is the message, or the appointment's newest change, so that it is stored once
// however often it is seen.
func pollerEvent(d Delivery) (Event, error) {
	e, err := marketplaceEvent(d)
	if err == nil && e.Kind == Booked {
		e.WebhookID = e.Location + ":appointment:" + e.Booking.ID + ":" + e.Changed.UTC().Format(time.RFC3339Nano)
		return e, nil
	}
	if err == nil && (e.Kind != Message || e.MessageID == "") {
		return Event{}, fmt.Errorf("%w: a found message has no id", ErrBody)
	}
	e.WebhookID = e.Location + ":" + e.MessageID
	return e, err
}

func (e *Event) read(m marketplace) {
	e.Lead = lead.Facts{
		ContactID: m.ID, FirstName: m.FirstName, LastName: m.LastName, Email: m.Email, Phone: m.Phone,
		TimeZone: m.TimeZone, CompanyName: m.Company, State: m.State, Country: m.Country,
	}
	switch m.Type {
	case "InboundMessage", "OutboundMessage":
		e.message(m)
	case "ContactCreate", "ContactUpdate":
		e.Kind = Contact
	case "ContactDelete":
		e.Kind = Deleted
	case "ContactTagUpdate":
		e.Kind, e.Tags = Tags, m.Tags
	case "ContactDndUpdate":
		e.Kind, e.DNDAll, e.DNDSettings = DND, m.DND, Settings(m.DNDSettings)
	case "AppointmentCreate", "AppointmentUpdate", "AppointmentDelete":
		e.appointment(m)
	case "LCEmailStats":
		e.emailStats(m.EmailStats)
		return
	case "INSTALL", "UNINSTALL", "LocationUpdate":
		if m.Type == "LocationUpdate" && e.Location == "" {
			e.Location = m.ID
		}
		if m.Type == "UNINSTALL" && e.Location == "" && lead.ValidID(m.CompanyID) {
			e.Company = m.CompanyID
		}
		if e.Location != "" || e.Company != "" {
			e.Kind = Access
		}
		return
	}
	if e.Kind != Ignored && !lead.ValidID(e.Lead.ContactID) {
		e.Kind = Ignored
	}
}

func (e *Event) message(m marketplace) {
	e.Lead = lead.Facts{ContactID: m.ContactID}
	// The sender's samples disagree between type and direction; an OutboundMessage that says inbound is a call.
	e.Inbound = m.Type == "InboundMessage" && m.Direction != "outbound"
	e.Channel, e.Text, e.Subject, e.MessageID = ChannelOf(m.MessageType), m.Body, m.Subject, m.MessageID
	if e.MessageID == "" {
		e.MessageID = m.EmailID
	}
	e.Status, e.Source, e.User = m.Status, strings.ToLower(m.Source), m.UserID
	e.MessageTime, e.ConversationID = parseTime(m.DateAdded), m.Conversation
	if e.Channel != "" {
		e.Kind = Message
	}
}

// appointment reads an appointment. The sender's samples of Update and Delete carry the type of Create: a cancellation is
// told by the status.
func (e *Event) appointment(m marketplace) {
	a := m.Appointment
	e.Lead = lead.Facts{ContactID: a.ContactID}
	e.Changed = firstTime(parseTime(a.DateUpdated), e.Timestamp)
	e.Booking = Booking{
		Provider: "ghl", ID: a.ID, Calendar: a.CalendarID, Status: booking.Held, Start: parseTime(a.StartTime), End: parseTime(a.EndTime),
	}
	switch strings.ToLower(a.Status) {
	case "cancelled", "canceled", "invalid":
		e.Booking.Status = booking.Cancelled
	case "showed":
		e.Booking.Status = booking.Showed
	case "noshow", "no-show", "no_show":
		e.Booking.Status = booking.NoShow
	}
	if m.Type == "AppointmentDelete" {
		e.Booking.Status, e.Booking.Final = booking.Cancelled, true
	}
	if lead.ValidID(a.ID) {
		e.Kind = Booked
	}
}

// emailStats reads what became of an email that GoHighLevel sent.
func (e *Event) emailStats(s emailStats) {
	address, err := mail.ParseAddress(s.Recipient)
	if err != nil {
		return
	}
	switch strings.ToLower(s.Event) {
	case "complained", "unsubscribed":
		e.Kind = Unsubscribed
	case "permanent_fail", "bounced":
		e.Kind = Bounced
	default:
		return
	}
	e.Channel, e.Lead = sending.Email, lead.Facts{Email: address.Address}
	if t, err := moment(s.Timestamp); err == nil {
		e.Changed = firstTime(t, e.Changed)
	}
}

func firstTime(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
