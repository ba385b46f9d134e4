package simulator

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"time"
)

//go:embed fixtures/ghl/*.json
var fixtures embed.FS

// Names of the webhook events built here, as in the field "type".
const (
	eventInbound       = "InboundMessage"
	eventOutbound      = "OutboundMessage"
	eventContactCreate = "ContactCreate"
	eventContactUpdate = "ContactUpdate"
	eventContactDelete = "ContactDelete"
	eventDNDUpdate     = "ContactDndUpdate"
)

// Payload is a webhook body before it is written out. A test may change or delete keys;
// the signature is made over Raw when it is delivered.
type Payload map[string]any

// Raw is the body as sent: compact JSON without HTML escapes, as JSON.stringify writes it.
func (p Payload) Raw() []byte { return encode(p) }

// Type is the event's name, or "".
func (p Payload) Type() string { return text(p, "type") }

// WebhookID is the event's id, or "". Deliveries of one event share it.
func (p Payload) WebhookID() string { return text(p, "webhookId") }

// Events lists the events for which there is an official sample.
func Events() []string {
	files, err := fs.Glob(fixtures, "fixtures/ghl/*.json")
	if err != nil { // the pattern is constant
		return nil
	}
	var names []string
	for _, file := range files {
		name, _, _ := strings.Cut(strings.TrimPrefix(file, "fixtures/ghl/"), ".")
		if len(names) == 0 || names[len(names)-1] != name {
			names = append(names, name)
		}
	}
	return names
}

// Sample is an event's official sample in the real envelope: the location's id, a fresh
// webhookId and the current time, all else as published.
func (s *Simulator) Sample(location, event string) (Payload, error) {
	p, err := readFixture(event)
	if err != nil {
		return nil, err
	}
	return s.envelope(p, event, location), nil
}

// MessageWebhook builds the InboundMessage or OutboundMessage event of a stored message.
func (s *Simulator) MessageWebhook(messageID string) (Payload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.world.messages[messageID]
	if m == nil {
		return nil, ErrNoMessage
	}
	event := eventInbound
	if m.Direction == Outbound {
		event = eventOutbound
	}
	return s.messagePayload(event, s.world.contacts[m.Contact], m), nil
}

// ContactWebhook builds a ContactCreate, ContactUpdate, ContactDelete, ContactTagUpdate
// or ContactDndUpdate event with the contact's current state, deleted ones included.
func (s *Simulator) ContactWebhook(location, contact, event string) (Payload, error) {
	if !strings.HasPrefix(event, "Contact") {
		return nil, fmt.Errorf("simulator: %q is not a contact event", event)
	}
	if _, err := readFixture(event); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.world.contacts[contact]
	if c == nil || c.location != location {
		return nil, ErrNoContact
	}
	return s.contactPayload(event, c), nil
}

// messagePayload fills the sample of a message event; the caller holds the lock.
func (s *Simulator) messagePayload(event string, c *storedContact, m *Message) Payload {
	sample := event + ".SMS"
	if m.Channel == Email {
		sample = event + ".Email"
	}
	p := s.envelope(mustFixture(sample), event, m.Location)
	number, name := messageType(m.Channel)
	own, theirs := "+12025550199", c.Phone
	if m.Channel == Email {
		own, theirs = "team@example.com", c.Email
		p["emailMessageId"], p["threadId"], p["subject"] = m.EmailMessageID, m.EmailMessageID, m.Subject
	}
	p["from"], p["to"] = theirs, own
	if m.Direction == Outbound {
		p["from"], p["to"] = own, theirs
		p["source"] = m.Source
	}
	maps.Copy(p, Payload{
		"attachments": []any{}, "body": m.Body, "contactId": m.Contact, "conversationId": m.ConversationID, "messageId": m.ID,
		"dateAdded": stamp(m.DateAdded), "direction": m.Direction, "messageType": m.Channel, "messageTypeId": number,
		"messageTypeString": name, "status": m.statusAt(s.now()),
	})
	delete(p, "conversationProviderId")
	return p
}

// contactPayload fills the sample of a contact event; the caller holds the lock. Keys
// whose value the contact does not have are left out, as the real service does.
func (s *Simulator) contactPayload(event string, c *storedContact) Payload {
	p := s.envelope(mustFixture(event), event, c.location)
	for _, key := range []string{"address1", "city", "state", "dateOfBirth", "postalCode", "website", "assignedTo"} {
		delete(p, key)
	}
	values := map[string]string{
		"id": c.ID, "name": c.fullName(), "firstName": c.FirstName, "lastName": c.LastName, "email": c.Email,
		"phone": c.Phone, "companyName": c.Company, "source": c.Source, "timezone": c.Timezone,
		"dateAdded": stamp(c.DateAdded), "country": "US",
	}
	for key, value := range values {
		delete(p, key)
		if value != "" {
			p[key] = value
		}
	}
	p["dnd"] = c.DND[AllChannels] == DNDActive
	p["tags"] = append([]string{}, c.Tags...)
	p["customFields"], p["attachments"] = []any{}, []any{}
	if event == eventDNDUpdate {
		settings := dndSettings(c, false)
		for _, channel := range []string{SMS, Call, Email, GMB, FB, WhatsApp} {
			if settings[channel] == nil {
				settings[channel] = object{"status": DNDInactive}
			}
		}
		p["dndSettings"] = settings
	}
	return p
}

// envelope adds the flat fields every marketplace webhook carries.
func (s *Simulator) envelope(p Payload, event, location string) Payload {
	p["type"], p["locationId"] = event, location
	p["timestamp"], p["webhookId"] = stamp(s.now()), newUUID()
	p["appId"], p["versionId"] = "ry1yK2app0simulator0", "ry1yK2ver0simulator0"
	return p
}

// WorkflowMessage says what the body of a workflow webhook carries beside the contact.
type WorkflowMessage struct {
	Body         string // text of the inbound SMS; "" leaves message out
	WorkflowID   string // default a fixed id
	WorkflowName string
	CustomData   map[string]string
}

// WorkflowWebhook builds the body of the workflow "Webhook" action: snake_case keys, no
// webhookId, no timestamp, no signature. date_created is the contact's creation, not
// the message's.
func (s *Simulator) WorkflowWebhook(location, contact string, m WorkflowMessage) (Payload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, l := s.contact(location, contact), s.world.locations[location]
	if c == nil || l == nil {
		return nil, ErrNoContact
	}
	custom := object{}
	for key, value := range m.CustomData {
		custom[key] = value
	}
	p := Payload{
		"contact_id": c.ID, "first_name": c.FirstName, "last_name": c.LastName, "full_name": c.fullName(),
		"email": c.Email, "phone": c.Phone, "tags": strings.Join(c.Tags, ","), "country": "US",
		"date_created": stamp(c.DateAdded), "full_address": "", "contact_type": "lead",
		"location": object{
			"id": l.ID, "name": l.Name, "address": "", "city": "", "state": "", "country": "US",
			"postalCode": "", "fullAddress": "",
		},
		"workflow":    object{"id": firstOf(m.WorkflowID, "workflow0simulator0a"), "name": firstOf(m.WorkflowName, "Customer replied")},
		"customData":  custom,
		"triggerData": object{},
		"contact":     object{"attributionSource": object{}, "lastAttributionSource": object{}},
	}
	if m.Body != "" {
		p["message"] = object{"type": 2, "body": m.Body}
	}
	return p, nil
}

func readFixture(name string) (Payload, error) {
	raw, err := fixtures.ReadFile("fixtures/ghl/" + name + ".json")
	if err != nil {
		raw, err = fixtures.ReadFile("fixtures/ghl/" + name + ".SMS.json")
	}
	if err != nil {
		return nil, fmt.Errorf("simulator: no sample of event %q: %w", name, fs.ErrNotExist)
	}
	var p Payload
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, fmt.Errorf("simulator: sample of event %q: %w", name, err)
	}
	return p, nil
}

// mustFixture reads a fixture that is compiled in.
func mustFixture(name string) Payload {
	p, err := readFixture(name)
	if err != nil {
		panic(err)
	}
	return p
}

// hook is where events go by themselves, once set.
type hook struct {
	url    string
	events []string
}

// retryDelay reads a Retry-After: seconds or a date. Anything else is fallback.
func retryDelay(raw string, now time.Time, fallback time.Duration) time.Duration {
	if seconds, err := time.ParseDuration(raw + "s"); err == nil && seconds >= 0 {
		return seconds
	}
	for _, layout := range []string{time.RFC1123, "Mon, 02 Jan 2006 15:04:05 GMT"} {
		if at, err := time.Parse(layout, raw); err == nil && at.After(now) {
			return at.Sub(now)
		}
	}
	return fallback
}
