package simulator

import (
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"time"
)

// sendTypes are the values of "type" in a send.
var sendTypes = [...]string{SMS, RCS, Email, WhatsApp, IG, FB, "Custom", "Live_Chat", "TIKTOK"}

// chatWindow is how long after the last inbound message Facebook and Instagram take one.
const chatWindow = 24 * time.Hour

// outgoing is a send that was decoded.
type outgoing struct {
	channel, text, html, subject string
	emailTo                      string
	attachments                  bool
	scheduled                    bool
}

// send is POST /conversations/messages. It has no idempotency: a repeated request is a
// second message, whatever headers it carries.
func (s *Simulator) send(c *call) answer {
	body, bad := c.decode()
	if bad != nil {
		return *bad
	}
	if problems := checkSendBody(body); len(problems) > 0 {
		return invalid(problems...)
	}
	if named := text(body, "locationId"); named != "" && named != c.location {
		return refuseForeign()
	}
	if provider := text(body, "conversationProviderId"); provider != "" {
		return refuseCode(http.StatusUnauthorized, "CONVERSATIONS_MSG_PROVIDER_NO_ACCESS",
			"You don't have access to the conversationProvider with id: "+provider)
	}
	files, _ := body["attachments"].([]any)
	out := outgoing{
		channel: text(body, "type"), text: text(body, "message"), html: text(body, "html"),
		subject: text(body, "subject"), emailTo: text(body, "emailTo"), attachments: len(files) > 0,
		scheduled: body["scheduledTimestamp"] != nil,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	contact := s.contact(c.location, c.contact)
	if contact == nil {
		return refuseCode(http.StatusBadRequest, "CONVERSATIONS_CONTACT_NOT_FOUND", "Contact not found for id:"+c.contact)
	}
	if no := s.refuseSend(contact, out); no != nil {
		return *no
	}
	return s.accept(c, contact, out)
}

// checkSendBody is what the DTO validators say.
func checkSendBody(body object) []string {
	var problems []string
	if kind := text(body, "type"); !slices.Contains(sendTypes[:], kind) {
		problems = append(problems, "type must be one of the following values: "+strings.Join(sendTypes[:], ", "))
	}
	if text(body, "contactId") == "" {
		problems = append(problems, "contactId must be a string", "contactId should not be empty")
	}
	for _, key := range []string{"message", "html", "subject", "emailTo", "locationId"} {
		if value, present := body[key]; present {
			if _, ok := value.(string); !ok {
				problems = append(problems, key+" must be a string")
			}
		}
	}
	return problems
}

// refuseSend is the refusal table, in the order in which the causes win.
func (s *Simulator) refuseSend(c *storedContact, out outgoing) *answer {
	var no answer
	switch {
	case c.OptedOut:
		no = refuse(http.StatusForbidden, "Contact is opted out")
	case out.empty():
		no = refuseCode(http.StatusUnprocessableEntity, "CONVERSATIONS_MSG_NO_CONTENT",
			"There is no message or attachments for this message. Skip sending.")
	case out.channel == Email:
		return refuseEmail(c, out)
	case out.channel == SMS || out.channel == WhatsApp || out.channel == RCS:
		return refusePhone(c, out.channel)
	case (out.channel == FB || out.channel == IG) && !s.chatOpen(c, out.channel):
		name := map[string]string{FB: "Facebook", IG: "Instagram"}[out.channel]
		no = refusal{
			status: http.StatusBadRequest, code: "CONVERSATIONS_MSG_CHAT_NO_LONGER_ACTIVE",
			message: "Can't send " + name + " message as the last inbound message was earlier than 24 hours ago and there is no " + name + " comment.",
			extra:   object{"arguments": object{"channel": name}},
		}.answer()
	default:
		return refuseDND(c, out.channel)
	}
	return &no
}

// empty: an e-mail is its html; a text in "message" does not make it one.
func (o outgoing) empty() bool {
	if o.attachments {
		return false
	}
	if o.channel == Email {
		return o.html == ""
	}
	return o.text == ""
}

func refusePhone(c *storedContact, channel string) *answer {
	var no answer
	switch {
	case c.Phone == "":
		no = refuseCode(http.StatusUnprocessableEntity, "CONVERSATIONS_MSG_NO_PHONE", "Missing phone number")
	case strings.HasPrefix(c.Phone, "+0"), strings.HasPrefix(c.Phone, "+999"):
		no = refuse(http.StatusBadRequest, "The number "+c.Phone+" has an invalid country calling code")
	case channel == SMS && c.UnsubscribedSMS:
		no = refuseCode(http.StatusBadRequest, "CONVERSATIONS_MSG_UNSUBSCRIBED_SMS", "Cannot send message as "+c.Phone+" has unsubscribed")
	default:
		return refuseDND(c, channel)
	}
	return &no
}

func refuseEmail(c *storedContact, out outgoing) *answer {
	var no answer
	address, err := mail.ParseAddress(c.Email)
	switch {
	case c.Email == "":
		no = refuseCode(http.StatusBadRequest, "CONVERSATIONS_MSG_NO_EMAIL", "Contact does not have an email")
	case c.EmailInvalid || err != nil || address.Address != c.Email:
		no = refuseCode(http.StatusBadRequest, "CONVERSATIONS_MSG_INVALID_EMAIL", "Unable to send e-mail, contact's e-mail is invalid")
	case c.UnsubscribedEmail:
		no = refuseCode(http.StatusBadRequest, "CONVERSATIONS_MSG_UNSUBSCRIBED", "Cannot send email as "+c.Email+" has unsubscribed")
	case out.emailTo != "" && out.emailTo != c.Email: // verbatim against the lower-cased address
		no = refuseCode(http.StatusBadRequest, "CONVERSATIONS_MSG_INVALID_EMAILTO",
			"Cannot send message as emailTo is not under contact's primary or additional emails")
	default:
		return refuseDND(c, Email)
	}
	return &no
}

func refuseDND(c *storedContact, channel string) *answer {
	if !c.blocked(channel) {
		return nil
	}
	message := "Cannot send message as DND is active for " + channel
	if channel == SMS || channel == Email {
		message += "."
	}
	no := refuseCode(http.StatusBadRequest, "CONVERSATIONS_MSG_DND_ACTIVE_"+strings.ToUpper(channel), message)
	return &no
}

// blocked: the contact-wide flag, or the channel active or permanent.
func (c *storedContact) blocked(channel string) bool {
	for _, key := range []string{AllChannels, dndKey(channel)} {
		if status := c.DND[key]; status == DNDActive || status == DNDPermanent {
			return true
		}
	}
	return false
}

// chatOpen reports an inbound message on the channel within the window.
func (s *Simulator) chatOpen(c *storedContact, channel string) bool {
	conv := s.world.byContact[c.ID]
	if conv == nil {
		return false
	}
	since := s.now().Add(-chatWindow)
	return slices.ContainsFunc(conv.messages, func(m *Message) bool {
		return m.Direction == Inbound && m.Channel == channel && m.DateAdded.After(since)
	})
}

// accept stores the message. 201 means queued, not delivered.
func (s *Simulator) accept(c *call, contact *storedContact, out outgoing) answer {
	m := Message{Channel: out.channel, Direction: Outbound, Body: out.text, Subject: out.subject, Source: "api", DateAdded: s.now()}
	if out.channel == Email {
		m.Body = out.html
	}
	if out.scheduled {
		m.Status = "scheduled"
	}
	if c.fault != nil {
		switch c.fault.Kind {
		case LaggingList:
			m.VisibleAt, m.HiddenIn = m.DateAdded.Add(c.fault.Delay), c.fault.Variant
		case BodyRewritten:
			m.Body += c.fault.Body
		}
	}
	stored := s.store(contact, m)
	c.accepted, c.messageID = true, stored.ID
	s.emit(eventOutbound, s.messagePayload(eventOutbound, contact, stored))
	body := object{"conversationId": stored.ConversationID, "messageId": stored.ID, "msg": "Message queued successfully."}
	if stored.EmailMessageID != "" {
		body["emailMessageId"], body["threadId"] = stored.EmailMessageID, stored.EmailMessageID
	}
	return reply(http.StatusCreated, body)
}
