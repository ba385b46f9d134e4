package webhook

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
)

// instantly is Instantly's flat body, with the names that older integrations use beside the documented ones.
type instantly struct {
	EventType    string `json:"event_type"`
	Type         string `json:"type"`
	Timestamp    lax    `json:"timestamp"`
	CampaignID   loose  `json:"campaign_id"`
	LeadEmail    string `json:"lead_email"`
	ContactEmail string `json:"contact_email"`
	FirstName    lax    `json:"firstName"`
	LastName     lax    `json:"lastName"`
	Company      lax    `json:"companyName"`
	EmailID      loose  `json:"email_id"`
	Mailbox      string `json:"email_account"`
	Subject      lax    `json:"email_subject"`
	Text         lax    `json:"email_text"`
	HTML         lax    `json:"email_html"`
	ReplySubject lax    `json:"reply_subject"`
	ReplyText    lax    `json:"reply_text"`
	ReplyHTML    lax    `json:"reply_html"`
	ReplySnippet lax    `json:"reply_text_snippet"`
}

var instantlyNames = namesOf(reflect.TypeFor[instantly]())

// instantlyEvent reads an Instantly webhook. email_id names the mail and not the event: opens, clicks and several replies
// share it, so that every key has the time too.
func instantlyEvent(d Delivery) (Event, error) {
	var i instantly
	if err := json.Unmarshal(instantlyNames.ours(d.top), &i); err != nil {
		return Event{}, errType
	}
	e := Event{
		Type: strings.ToLower(first(i.EventType, i.Type)), Kind: Ignored, Channel: sending.Email, Changed: parseTime(string(i.Timestamp)),
		Lead: lead.Facts{
			Email: first(i.LeadEmail, i.ContactEmail), FirstName: string(i.FirstName), LastName: string(i.LastName), CompanyName: string(i.Company),
		},
	}
	switch e.Type {
	case "reply_received", "auto_reply_received":
		e.Kind, e.Inbound, e.MessageTime = Message, true, e.Changed
		e.Subject, e.Text = first(i.ReplySubject, i.Subject), first(i.ReplyText, i.ReplySnippet, i.ReplyHTML)
		e.MessageID = identity("instantly:reply:", i.EmailID, loose(i.Timestamp))
		e.Target = sending.Target{Message: string(i.EmailID), Mailbox: i.Mailbox, Lead: e.Lead.Email, To: e.Lead.Email}
	case "email_sent":
		e.Kind, e.MessageTime = Message, e.Changed
		e.Subject, e.Text, e.HTML = string(i.Subject), first(i.Text, i.HTML), string(i.HTML)
		e.MessageID = identity("instantly:sent:", i.EmailID, loose(i.Timestamp))
	case "email_bounced":
		e.Kind = Bounced
	case "lead_unsubscribed", "unsubscribed":
		e.Kind = Unsubscribed
	}
	switch {
	case i.Timestamp == "":
		e.WebhookID = d.key(string(d.Body))
	case i.EmailID != "":
		e.WebhookID = d.key(e.Type, string(i.EmailID), string(i.Timestamp))
	default:
		e.WebhookID = d.key(e.Type, string(i.CampaignID), e.Lead.Email, string(i.Timestamp))
	}
	return e, e.identified()
}
