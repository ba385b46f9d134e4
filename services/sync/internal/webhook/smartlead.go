package webhook

import (
	"crypto/subtle"
	"encoding/json"
	"net/mail"
	"reflect"
	"strings"

	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
)

// smartlead is Smartlead's body in the spellings of its three documents.
type smartlead struct {
	EventType  string `json:"event_type"`
	Event      string `json:"event"`
	EventCamel string `json:"eventType"`
	Type       string `json:"type"`

	StatsID     loose  `json:"stats_id"`
	CampaignID  loose  `json:"campaign_id"`
	LeadID      loose  `json:"sl_email_lead_id"`
	MessageID   loose  `json:"message_id"`
	Stamp       lax    `json:"event_timestamp"`
	Timestamp   lax    `json:"timestamp"`
	TimeReplied lax    `json:"time_replied"`
	TimeSent    lax    `json:"time_sent"`
	LeadEmail   string `json:"sl_lead_email"`
	ToEmail     string `json:"to_email"`
	Sender      string `json:"sender_detail"`
	Subject     lax    `json:"subject"`
	SentSubject lax    `json:"custom_subject"`
	SentBody    lax    `json:"custom_email_message"`
	ReplyBody   lax    `json:"reply_body"`
	VisibleText lax    `json:"visible_text"`

	ReplyMessage smartleadMail `json:"reply_message"`
	SentMessage  smartleadMail `json:"sent_message"`
	Lead         struct {
		Email     string `json:"email"`
		FirstName lax    `json:"first_name"`
		LastName  lax    `json:"last_name"`
		Company   lax    `json:"company_name"`
	} `json:"lead"`
	Reply struct {
		Subject    lax `json:"subject"`
		Body       lax `json:"body"`
		ReceivedAt lax `json:"received_at"`
	} `json:"reply"`
}

type smartleadMail struct {
	ID   loose `json:"message_id"`
	HTML lax   `json:"html"`
	Text lax   `json:"text"`
	Time lax   `json:"time"`
}

var smartleadNames = namesOf(reflect.TypeFor[smartlead]())

// smartleadEvent reads a Smartlead webhook.
func smartleadEvent(d Delivery) (Event, error) {
	var s smartlead
	if err := json.Unmarshal(smartleadNames.ours(d.top), &s); err != nil {
		return Event{}, errType
	}
	stamp := first(s.Stamp, s.Timestamp)
	e := Event{
		Type: strings.ToUpper(first(s.EventType, s.Event, s.EventCamel, s.Type)), Kind: Ignored, Channel: sending.Email,
		Changed: parseTime(stamp),
		Lead: lead.Facts{
			Email: first(s.LeadEmail, s.Lead.Email, s.ToEmail), FirstName: string(s.Lead.FirstName), LastName: string(s.Lead.LastName),
			CompanyName: string(s.Lead.Company),
		},
	}
	switch e.Type {
	case "EMAIL_REPLY", "EMAIL_REPLIED":
		e.smartleadReply(s)
	case "UNTRACKED_REPLIES":
		e.Lead = lead.Facts{}
		if from, err := mail.ParseAddress(s.Sender); err == nil {
			e.Lead.Email = from.Address
		}
		if !bounceSender(e.Lead.Email) {
			e.smartleadReply(s)
		}
	case "EMAIL_SENT", "FIRST_EMAIL_SENT":
		e.Kind = Message
		e.Subject, e.Text = first(s.SentSubject, s.Subject), first(s.SentMessage.Text, s.SentMessage.HTML, s.SentBody)
		e.HTML = first(s.SentMessage.HTML, s.SentBody)
		e.MessageID = identity("smartlead:sent:", loose(first(s.SentMessage.ID, s.MessageID, s.StatsID)))
		e.MessageTime = firstTime(parseTime(string(s.SentMessage.Time)), parseTime(string(s.TimeSent)), e.Changed)
	case "EMAIL_BOUNCE", "EMAIL_BOUNCED":
		e.Kind = Bounced
	case "LEAD_UNSUBSCRIBED", "EMAIL_UNSUBSCRIBED":
		e.Kind = Unsubscribed
	}
	e.WebhookID = d.smartleadKey(e.Type, s)
	return e, e.identified()
}

func (e *Event) smartleadReply(s smartlead) {
	e.Kind, e.Inbound, e.Subject = Message, true, first(s.Reply.Subject, s.Subject)
	e.Text = first(s.ReplyMessage.Text, s.VisibleText, s.ReplyBody, s.Reply.Body, s.ReplyMessage.HTML)
	e.MessageTime = firstTime(parseTime(string(s.ReplyMessage.Time)), parseTime(string(s.TimeReplied)), parseTime(string(s.Reply.ReceivedAt)), e.Changed)
	e.Target = sending.Target{
		Message: string(s.StatsID), Campaign: string(s.CampaignID), Lead: string(s.LeadID), Reference: string(s.ReplyMessage.ID),
	}
	// stats_id and message_id name the mail that was answered, so that two replies to it need the time too.
	answered := loose(first(s.StatsID, s.MessageID))
	if s.ReplyMessage.ID != "" {
		e.MessageID = identity("smartlead:reply:", s.ReplyMessage.ID)
	} else if stamp := first(s.TimeReplied, s.Reply.ReceivedAt, s.Stamp, s.Timestamp); stamp != "" {
		e.MessageID = identity("smartlead:reply:", answered, loose(e.Lead.Email), loose(stamp))
	}
}

func (d Delivery) smartleadKey(event string, s smartlead) string {
	if d.ID != "" {
		return d.key("id", d.ID)
	}
	id, stamp := first(s.ReplyMessage.ID, s.StatsID, s.MessageID), first(s.Stamp, s.Timestamp, s.TimeReplied, s.TimeSent)
	if id == "" || stamp == "" {
		return d.key(event, string(d.Body))
	}
	return d.key(event, id, stamp)
}

type smartleadSecret struct {
	Secret string `json:"secret_key"`
}

var secretName = namesOf(reflect.TypeFor[smartleadSecret]())

// BodySecretFits compares the field secret_key of older Smartlead hooks with the secrets, in constant time.
func BodySecretFits(body []byte, secrets []string) bool {
	var s smartleadSecret
	top, err := members(body, cased)
	if err != nil || json.Unmarshal(secretName.ours(top), &s) != nil || s.Secret == "" {
		return false
	}
	match := 0
	for _, secret := range secrets {
		match |= subtle.ConstantTimeCompare([]byte(s.Secret), []byte(secret))
	}
	return match == 1
}
