package webhook

import (
	"encoding/json"
	"fmt"
	"net/mail"
	"reflect"
	"strings"
	"sync"
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
	EmailID      lax             `json:"emailMessageId"`
	Direction    string          `json:"direction"`
	Conversation lax             `json:"conversationId"`
	MessageType  string          `json:"messageType"`
	Status       lax             `json:"status"`
	Source       lax             `json:"source"`
	UserID       lax             `json:"userId"`
	Body         string          `json:"body"`
	Subject      lax             `json:"subject"`
	DateAdded    lax             `json:"dateAdded"`
	DateUpdated  lax             `json:"dateUpdated"`
	FirstName    lax             `json:"firstName"`
	LastName     lax             `json:"lastName"`
	Email        lax             `json:"email"`
	Phone        lax             `json:"phone"`
	Company      lax             `json:"companyName"`
	TimeZone     lax             `json:"timezone"`
	State        lax             `json:"state"`
	Country      lax             `json:"country"`
	DND          json.RawMessage `json:"dnd"`
	DNDSettings  json.RawMessage `json:"dndSettings"`
	Tags         json.RawMessage `json:"tags"`
	Appointment  json.RawMessage `json:"appointment"`
	EmailStats   json.RawMessage `json:"webhookPayload"`
}

// marketplaceFields is made once.
var marketplaceFields = sync.OnceValue(func() flat { return newFlat(reflect.TypeFor[marketplace]()) })

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

// marketplaceEvent reads a marketplace webhook; unknown events are kind Ignored, whatever their fields are.
func marketplaceEvent(d Delivery) (Event, error) {
	var m marketplace
	wrong := marketplaceFields().read(d.Body, d.top, &m)
	if wrong != nil && m.Type == "" {
		return Event{}, errType
	}
	stamp, err := moment(m.Timestamp)
	if err != nil {
		return Event{}, err
	}
	e := Event{Type: m.Type, Kind: Ignored, Location: m.LocationID, Timestamp: stamp, WebhookID: m.WebhookID}
	e.Changed = firstTime(parseTime(string(m.DateUpdated)), stamp)
	if e.WebhookID == "" || len(e.WebhookID) > 200 {
		e.WebhookID = d.key(string(d.Body))
	}
	if known, err := e.read(m); err != nil || (known && wrong != nil) {
		return Event{}, errType
	}
	return e, nil
}

// errType refuses a field of the wrong type that an event cannot be acted on without.
var errType = fmt.Errorf("%w: a field has the wrong type", ErrBody)

// part reads a part that only some events have; none is the zero value.
func part(raw json.RawMessage, into any) error {
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return errType
	}
	return nil
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

// read reads what the event's type has, and reports false for a type that nothing is done about.
func (e *Event) read(m marketplace) (known bool, err error) {
	e.Lead = lead.Facts{
		ContactID: m.ID, FirstName: string(m.FirstName), LastName: string(m.LastName), Email: string(m.Email), Phone: string(m.Phone),
		TimeZone: string(m.TimeZone), CompanyName: string(m.Company), State: string(m.State), Country: string(m.Country),
	}
	switch m.Type {
	case "InboundMessage", "OutboundMessage":
		e.message(m)
	case "ContactCreate", "ContactUpdate":
		e.Kind = Contact
	case "ContactDelete":
		e.Kind = Deleted
	case "ContactTagUpdate":
		e.Kind, err = Tags, part(m.Tags, &e.Tags)
	case "ContactDndUpdate":
		e.Kind, e.DNDSettings, err = DND, Settings(m.DNDSettings), part(m.DND, &e.DNDAll)
	case "AppointmentCreate", "AppointmentUpdate", "AppointmentDelete":
		err = e.appointment(m)
	case "LCEmailStats":
		return true, e.emailStats(m)
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
		return true, nil
	default:
		return false, nil
	}
	if e.Kind != Ignored && !lead.ValidID(e.Lead.ContactID) {
		e.Kind = Ignored
	}
	return true, err
}

func (e *Event) message(m marketplace) {
	e.Lead = lead.Facts{ContactID: m.ContactID}
	// The sender's samples disagree between type and direction; an OutboundMessage that says inbound is a call.
	e.Inbound = m.Type == "InboundMessage" && m.Direction != "outbound"
	e.Channel, e.Text, e.Subject, e.MessageID = ChannelOf(m.MessageType), m.Body, string(m.Subject), m.MessageID
	if e.MessageID == "" {
		e.MessageID = string(m.EmailID)
	}
	e.Status, e.Source, e.User = string(m.Status), strings.ToLower(string(m.Source)), string(m.UserID)
	e.MessageTime, e.ConversationID = parseTime(string(m.DateAdded)), string(m.Conversation)
	if e.Channel != "" {
		e.Kind = Message
	}
}

// appointment reads an appointment. The sender's samples of Update and Delete carry the type of Create: a cancellation is
// told by the status.
func (e *Event) appointment(m marketplace) error {
	var a appointment
	if err := part(m.Appointment, &a); err != nil {
		return err
	}
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
	return nil
}

// emailStats reads what became of an email that GoHighLevel sent.
func (e *Event) emailStats(m marketplace) error {
	var s emailStats
	if err := part(m.EmailStats, &s); err != nil {
		return err
	}
	address, err := mail.ParseAddress(s.Recipient)
	if err != nil {
		return nil //nolint:nilerr // it says of nobody what became of it
	}
	switch strings.ToLower(s.Event) {
	case "complained", "unsubscribed":
		e.Kind = Unsubscribed
	case "permanent_fail", "bounced":
		e.Kind = Bounced
	default:
		return nil
	}
	e.Channel, e.Lead = sending.Email, lead.Facts{Email: address.Address}
	if t, err := moment(s.Timestamp); err == nil {
		e.Changed = firstTime(t, e.Changed)
	}
	return nil
}

func firstTime(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
