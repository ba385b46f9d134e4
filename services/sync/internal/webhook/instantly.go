package webhook

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
)

// instantly is Instantly's flat body, with the names that older integrations use beside the documented ones.
type instantly struct {
	EventType    string `json:"event_type"`
	Type         string `json:"type"`
	Timestamp    string `json:"timestamp"`
	CampaignID   loose  `json:"campaign_id"`
	LeadEmail    string `json:"lead_email"`
	ContactEmail string `json:"contact_email"`
	FirstName    string `json:"firstName"`
	LastName     string `json:"lastName"`
	Company      string `json:"companyName"`
	EmailID      loose  `json:"email_id"`
	Mailbox      string `json:"email_account"`
	Subject      string `json:"email_subject"`
	Text         string `json:"email_text"`
	HTML         string `json:"email_html"`
	ReplySubject string `json:"reply_subject"`
	ReplyText    string `json:"reply_text"`
	ReplyHTML    string `json:"reply_html"`
	ReplySnippet string `json:"reply_text_snippet"`
}

// instantlyEvent reads an Instantly webhook. email_id names the mail and not the event: opens, clicks and several replies
// share it, so that every key has the time too.
func instantlyEvent(d Delivery) (Event, error) {
	var i instantly
	if err := json.Unmarshal(d.Body, &i); err != nil {
		return Event{}, fmt.Errorf("%w: a field has the wrong type", ErrBody)
	}
	e := Event{
		Type: strings.ToLower(first(i.EventType, i.Type)), Kind: Ignored, Channel: sending.Email, Changed: parseTime(i.Timestamp),
		Lead: lead.Facts{
			Email: first(i.LeadEmail, i.ContactEmail), FirstName: i.FirstName, LastName: i.LastName, CompanyName: i.Company,
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
		e.Subject, e.Text, e.HTML = i.Subject, first(i.Text, i.HTML), i.HTML
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
		e.WebhookID = d.key(e.Type, string(i.EmailID), i.Timestamp)
	default:
		e.WebhookID = d.key(e.Type, string(i.CampaignID), e.Lead.Email, i.Timestamp)
	}
	return e, e.identified()
}
