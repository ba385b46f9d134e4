package simulator

import (
	"strings"
	"time"
)

// InboundMessage is what AddInboundMessage did.
type InboundMessage struct {
	MessageID      string
	ConversationID string
	// Webhook is the marketplace InboundMessage body, ready for Deliver.
	Webhook Payload
	// DNDWebhook is the ContactDndUpdate that a keyword (STOP, START, …) causes; else nil.
	DNDWebhook Payload
}

// stopWords and startWords are the carriers' keywords. They count only as the whole
// text: "STOP please" is an ordinary message to the provider, and Relance has to
// understand it by itself.
var (
	stopWords  = [...]string{"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"}
	startWords = [...]string{"START", "UNSTOP"}
)

// AddInboundMessage stores a message from a contact in its conversation and returns the
// webhook it causes. An SMS that is exactly a stop keyword sets permanent SMS DND.
func (s *Simulator) AddInboundMessage(location, contact, channel, body string) (InboundMessage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.contact(location, contact)
	if c == nil {
		return InboundMessage{}, ErrNoContact
	}
	m := s.store(c, Message{Channel: channel, Direction: Inbound, Body: body, Status: "delivered", DateAdded: s.now()})
	s.world.conversations[m.ConversationID].unread++
	out := InboundMessage{MessageID: m.ID, ConversationID: m.ConversationID}
	out.Webhook = s.messagePayload(eventInbound, c, m)
	s.emit(eventInbound, out.Webhook)
	if channel == SMS && s.obeyKeyword(c, body) {
		out.DNDWebhook = s.contactPayload(eventDNDUpdate, c)
		s.emit(eventDNDUpdate, out.DNDWebhook)
	}
	return out, nil
}

// obeyKeyword applies a carrier keyword and reports whether there was one.
func (s *Simulator) obeyKeyword(c *storedContact, body string) bool {
	word := strings.ToUpper(strings.TrimSpace(body))
	for _, stop := range stopWords {
		if word == stop {
			c.UnsubscribedSMS, c.DND[SMS], c.updated = true, DNDPermanent, s.now()
			return true
		}
	}
	for _, start := range startWords {
		if word == start {
			c.UnsubscribedSMS, c.DND[SMS], c.updated = false, DNDInactive, s.now()
			return true
		}
	}
	return false
}

// AddHistory stores a message of the past without any webhook and returns its id.
func (s *Simulator) AddHistory(location, contact string, h HistoryMessage) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.contact(location, contact)
	if c == nil {
		return "", ErrNoContact
	}
	m := Message{Channel: h.Channel, Direction: h.Direction, Body: h.Body, Subject: h.Subject, Source: h.Source, DateAdded: h.At, Status: "delivered"}
	if m.Channel == "" {
		m.Channel = SMS
	}
	if m.Direction == "" {
		m.Direction = Outbound
	}
	if m.Source == "" && m.Direction == Outbound {
		m.Source = "app"
	}
	if m.DateAdded.IsZero() {
		m.DateAdded = s.now()
	}
	return s.store(c, m).ID, nil
}

// store appends a message to the contact's conversation; the caller holds the lock.
func (s *Simulator) store(c *storedContact, m Message) *Message {
	conv := s.world.byContact[c.ID]
	if conv == nil {
		conv = &conversation{id: newID(), location: c.location, contact: c.ID}
		s.world.byContact[c.ID] = conv
		s.world.conversations[conv.id] = conv
	}
	if m.ID == "" {
		m.ID = newID()
	}
	if m.Channel == Email && m.EmailMessageID == "" {
		m.EmailMessageID = newID()
	}
	m.ConversationID, m.Location, m.Contact = conv.id, c.location, c.ID
	stored := &m
	conv.messages = append(conv.messages, stored)
	s.world.messages[m.ID] = stored
	if m.EmailMessageID != "" {
		s.world.messages[m.EmailMessageID] = stored
	}
	return stored
}

// Messages returns what the provider holds for a contact, oldest first, hidden ones too.
func (s *Simulator) Messages(location, contact string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	conv := s.world.byContact[contact]
	if conv == nil || conv.location != location {
		return nil
	}
	out := make([]Message, 0, len(conv.messages))
	for _, m := range conv.messages {
		out = append(out, *m)
	}
	return out
}

// SetMessageStatus fixes the delivery status of a message (delivered, failed,
// undelivered, …), which else follows the clock.
func (s *Simulator) SetMessageStatus(messageID, status string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.world.messages[messageID]
	if m == nil {
		return ErrNoMessage
	}
	m.Status = status
	return nil
}

// HideMessage keeps a message out of one list, ExportList or ConversationList, or of all reads for "", until a moment.
func (s *Simulator) HideMessage(messageID, list string, until time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.world.messages[messageID]
	if m == nil {
		return ErrNoMessage
	}
	m.VisibleAt, m.HiddenIn = until, list
	return nil
}

// statusAt is the delivery status of a message: fixed, or pending, sent and delivered
// as time passes, since the real one needs some seconds too.
func (m *Message) statusAt(now time.Time) string {
	switch age := now.Sub(m.DateAdded); {
	case m.Status != "":
		return m.Status
	case age < 2*time.Second:
		return "pending"
	case age < 8*time.Second:
		return "sent"
	default:
		return "delivered"
	}
}

// visible says whether a message shows in a list ("" is a read by id) at a moment.
func (m *Message) visible(now time.Time, list string) bool {
	return !now.Before(m.VisibleAt) || (m.HiddenIn != "" && m.HiddenIn != list)
}

// ReplaceMessage does what a person's "retry" in the provider's own pages does: the
// message disappears and a copy under a new id, which is returned, takes its place.
func (s *Simulator) ReplaceMessage(messageID string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.world.messages[messageID]
	if m == nil {
		return "", ErrNoMessage
	}
	delete(s.world.messages, m.ID)
	m.ID, m.DateAdded, m.Source = newID(), s.now(), "app"
	s.world.messages[m.ID] = m
	return m.ID, nil
}

// messageTypes are the numbers and names of a channel in message objects.
func messageType(channel string) (int, string) {
	switch channel {
	case Call:
		return 1, "TYPE_CALL"
	case Email:
		return 3, "TYPE_EMAIL"
	case FB:
		return 11, "TYPE_FACEBOOK"
	case GMB:
		return 15, "TYPE_GMB"
	case IG:
		return 18, "TYPE_INSTAGRAM"
	case WhatsApp:
		return 19, "TYPE_WHATSAPP"
	case RCS:
		return 37, "TYPE_RCS"
	case "Custom":
		return 20, "TYPE_CUSTOM_SMS"
	case "Live_Chat":
		return 29, "TYPE_LIVE_CHAT"
	default:
		return 2, "TYPE_SMS"
	}
}
