package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
)

// Kind is what an event means to us.
type Kind string

// Kinds of events.
const (
	// Ignored: stored and not acted on.
	Ignored Kind = "ignored"
	// Message: somebody wrote.
	Message Kind = "message"
	// Contact: a contact was made or changed.
	Contact Kind = "contact"
	// DND: do-not-disturb of a contact changed.
	DND Kind = "dnd"
)

// Event is a webhook as parsed, of either dialect.
type Event struct {
	// Type is the provider's name of the event.
	Type string
	// Kind is what it means.
	Kind Kind
	// WebhookID is the provider's id of the delivery, or a key derived from the body.
	WebhookID string
	// Location is the GHL location, possibly empty in the workflow dialect.
	Location string
	// Timestamp is when the provider sent it; zero when it did not say.
	Timestamp time.Time
	// Lead is what it says about the person.
	Lead lead.Facts
	// Inbound is true for a message of the lead, false for one to the lead.
	Inbound bool
	// Channel, Text, Subject, MessageID and MessageTime describe a message. MessageID may be empty. Channel is empty for
	// channels that Relance does not follow.
	Channel                  sending.Channel
	Text, Subject, MessageID string
	MessageTime              time.Time
	// ConversationID, Source (api, app, workflow ...) and Status (the delivery status) are the provider's, possibly empty.
	ConversationID, Source, Status string
	// DNDAll is the contact-wide switch; DNDSettings the flags by channel, lower case. They are meant only for kind DND.
	DNDAll      bool
	DNDSettings map[sending.Channel]sending.ChannelStatus
}

// marketplace is the flat body of a marketplace webhook.
type marketplace struct {
	Type        string          `json:"type"`
	LocationID  string          `json:"locationId"`
	WebhookID   string          `json:"webhookId"`
	Timestamp   json.RawMessage `json:"timestamp"`
	ID          string          `json:"id"`
	ContactID   string          `json:"contactId"`
	MessageID   string          `json:"messageId"`
	EmailID     string          `json:"emailMessageId"`
	Direction   string          `json:"direction"`
	MessageType string          `json:"messageType"`
	Body        string          `json:"body"`
	Subject     string          `json:"subject"`
	DateAdded   string          `json:"dateAdded"`
	Conv        string          `json:"conversationId"`
	Source      string          `json:"source"`
	Status      string          `json:"status"`
	FirstName   string          `json:"firstName"`
	LastName    string          `json:"lastName"`
	Email       string          `json:"email"`
	Phone       string          `json:"phone"`
	Company     string          `json:"companyName"`
	TimeZone    string          `json:"timezone"`
	DND         bool            `json:"dnd"`
	DNDSettings json.RawMessage `json:"dndSettings"`
}

// ParseMarketplace reads a marketplace webhook. Wrong JSON or types are ErrBody; unknown events are kind Ignored.
func ParseMarketplace(raw []byte) (Event, error) {
	if err := Strict(raw); err != nil {
		return Event{}, err
	}
	var m marketplace
	if err := json.Unmarshal(raw, &m); err != nil {
		return Event{}, fmt.Errorf("%w: a field has the wrong type", ErrBody)
	}
	if m.Type == "" || len(m.Type) > 100 {
		return Event{}, fmt.Errorf("%w: type is missing or too long", ErrBody)
	}
	stamp, err := moment(m.Timestamp)
	if err != nil {
		return Event{}, err
	}
	e := Event{Type: m.Type, Kind: Ignored, Location: m.LocationID, Timestamp: stamp, WebhookID: m.WebhookID}
	if e.WebhookID == "" || len(e.WebhookID) > 200 {
		e.WebhookID = digest("marketplace", string(raw))
	}
	e.read(m)
	return e, nil
}

func (e *Event) read(m marketplace) {
	e.Lead = lead.Facts{
		ContactID: m.ID, FirstName: m.FirstName, LastName: m.LastName, Email: m.Email, Phone: m.Phone,
		TimeZone: m.TimeZone, CompanyName: m.Company,
	}
	switch m.Type {
	case "InboundMessage", "OutboundMessage":
		e.Lead = lead.Facts{ContactID: m.ContactID}
		// The sender's samples disagree between type and direction; an OutboundMessage that says inbound is a call.
		e.Inbound = m.Type == "InboundMessage" && m.Direction != "outbound"
		e.Channel, e.Text, e.Subject, e.MessageID = ChannelOf(m.MessageType), m.Body, m.Subject, m.MessageID
		if e.MessageID == "" {
			e.MessageID = m.EmailID
		}
		e.MessageTime, e.ConversationID, e.Source, e.Status = parseTime(m.DateAdded), m.Conv, m.Source, m.Status
		if e.Channel != "" {
			e.Kind = Message
		}
	case "ContactCreate", "ContactUpdate":
		e.Kind = Contact
	case "ContactDndUpdate":
		e.Kind, e.DNDAll, e.DNDSettings = DND, m.DND, Settings(m.DNDSettings)
	}
	if e.Kind != Ignored && !lead.ValidID(e.Lead.ContactID) {
		e.Kind = Ignored
	}
}

// workflow is the body of a workflow's webhook action.
type workflow struct {
	ContactID string `json:"contact_id"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Email     string `json:"email"`
	Phone     string `json:"phone"`
	TimeZone  string `json:"timezone"`
	Company   string `json:"company_name"`
	Location  struct {
		ID string `json:"id"`
	} `json:"location"`
	Workflow struct {
		ID string `json:"id"`
	} `json:"workflow"`
	Message struct {
		Type json.RawMessage `json:"type"`
		Body string          `json:"body"`
	} `json:"message"`
}

// ParseWorkflow reads a workflow webhook of a workspace, received at the given business time. It carries no id, so its
// key is made of workspace, contact, workflow, the exact body and the minute.
func ParseWorkflow(raw []byte, workspace string, received time.Time) (Event, error) {
	if err := Strict(raw); err != nil {
		return Event{}, err
	}
	var w workflow
	if err := json.Unmarshal(raw, &w); err != nil {
		return Event{}, fmt.Errorf("%w: a field has the wrong type", ErrBody)
	}
	if !lead.ValidID(w.ContactID) {
		return Event{}, fmt.Errorf("%w: contact_id is missing or not a provider id", ErrBody)
	}
	minute := strconv.FormatInt(received.Unix()/60, 10)
	e := Event{
		Type: "WorkflowContact", Kind: Contact, Location: w.Location.ID, Inbound: true, MessageTime: received,
		WebhookID: digest(workspace, w.ContactID, w.Workflow.ID, string(raw), minute),
		Lead: lead.Facts{
			ContactID: w.ContactID, FirstName: w.FirstName, LastName: w.LastName, Email: w.Email, Phone: w.Phone,
			TimeZone: w.TimeZone, CompanyName: w.Company,
		},
	}
	if strings.TrimSpace(w.Message.Body) != "" {
		e.Type, e.Kind, e.Text = "WorkflowMessage", Message, w.Message.Body
		e.Channel = workflowChannel(w.Message.Type)
	}
	return e, nil
}

func workflowChannel(raw json.RawMessage) sending.Channel {
	switch strings.Trim(string(raw), `"`) {
	case "3", "Email", "TYPE_EMAIL":
		return sending.Email
	default:
		return sending.SMS
	}
}

// ChannelOf gives the channel of a provider's message type, empty for one that is not followed.
func ChannelOf(messageType string) sending.Channel {
	switch strings.ToUpper(strings.TrimPrefix(strings.ToUpper(messageType), "TYPE_")) {
	case "SMS":
		return sending.SMS
	case "EMAIL":
		return sending.Email
	default:
		return ""
	}
}

// Settings reads dndSettings of any version: keys in any case, values that are no flag are skipped.
func Settings(raw json.RawMessage) map[sending.Channel]sending.ChannelStatus {
	out := map[sending.Channel]sending.ChannelStatus{}
	var byChannel map[string]json.RawMessage
	if json.Unmarshal(raw, &byChannel) != nil {
		return out
	}
	for name, rawFlag := range byChannel {
		channel := ChannelOf(name)
		var flag struct {
			Status string `json:"status"`
		}
		if channel == "" || json.Unmarshal(rawFlag, &flag) != nil {
			continue
		}
		switch strings.ToLower(flag.Status) {
		case "active":
			out[channel] = sending.DND
		case "permanent":
			out[channel] = sending.DNDPermanent
		case "inactive":
			out[channel] = sending.Open
		}
	}
	return out
}

// Flags gives the flag of every followed channel after the contact's switches: the contact-wide switch blocks all, a
// permanent flag stays permanent, and a channel that nothing is said about is open.
func Flags(all bool, settings map[sending.Channel]sending.ChannelStatus) map[sending.Channel]sending.ChannelStatus {
	out := map[sending.Channel]sending.ChannelStatus{sending.SMS: sending.Open, sending.Email: sending.Open}
	for channel := range out {
		if status, said := settings[channel]; said {
			out[channel] = status
		}
		if all && out[channel] == sending.Open {
			out[channel] = sending.DND
		}
	}
	return out
}

// Fresh reports whether a delivery's time lies within the window around now. A delivery that names no time is fresh: its
// key is its whole body, so that a repeat has no effect.
func (e Event) Fresh(now time.Time) bool {
	const past, future = 2 * time.Hour, 5 * time.Minute
	return e.Timestamp.IsZero() || (!e.Timestamp.Before(now.Add(-past)) && !e.Timestamp.After(now.Add(future)))
}

func moment(raw json.RawMessage) (time.Time, error) {
	text := strings.Trim(string(raw), `"`)
	if text == "" || text == "null" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms > 0 && ms < 1<<43 {
		return time.UnixMilli(ms), nil
	}
	return time.Time{}, fmt.Errorf("%w: timestamp is not a time", ErrBody)
}

func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() < 2000 || t.Year() > 2200 {
		return time.Time{}
	}
	return t
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s,", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
