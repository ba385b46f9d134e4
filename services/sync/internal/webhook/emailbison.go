package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
)

// emailBison is EmailBison's body. Its test deliveries come wrapped once more, under data or payload.
type emailBison struct {
	Event   emailBisonHead  `json:"event"`
	Data    json.RawMessage `json:"data"`
	Payload json.RawMessage `json:"payload"`
}

type emailBisonHead struct {
	Type string `json:"type"`
}

type emailBisonData struct {
	Reply struct {
		ID       loose  `json:"id"`
		Subject  lax    `json:"email_subject"`
		HTML     lax    `json:"html_body"`
		Text     lax    `json:"text_body"`
		Received lax    `json:"date_received"`
		FromName lax    `json:"from_name"`
		From     string `json:"from_email_address"`
		Folder   lax    `json:"folder"`
	} `json:"reply"`
	CampaignEvent struct {
		ID        loose `json:"id"`
		CreatedAt lax   `json:"created_at"`
	} `json:"campaign_event"`
	Lead struct {
		ID        loose  `json:"id"`
		Email     string `json:"email"`
		FirstName lax    `json:"first_name"`
		LastName  lax    `json:"last_name"`
		Company   lax    `json:"company"`
	} `json:"lead"`
	Mailbox struct {
		ID loose `json:"id"`
	} `json:"sender_email"`
	Email struct {
		ID      loose `json:"id"`
		Subject lax   `json:"email_subject"`
		Body    lax   `json:"email_body"`
		SentAt  lax   `json:"sent_at"`
	} `json:"scheduled_email"`
}

// emailBisonEvent reads an EmailBison webhook. The event's name is compared without regard to case: it is subscribed in
// lower case and delivered in upper.
func emailBisonEvent(d Delivery) (Event, error) {
	head, data, err := unwrapEmailBison(d.Body)
	if err != nil {
		return Event{}, err
	}
	e := Event{
		Type: strings.ToUpper(head.Type), Kind: Ignored, Channel: sending.Email,
		Lead: lead.Facts{
			Email: data.Lead.Email, FirstName: string(data.Lead.FirstName), LastName: string(data.Lead.LastName), CompanyName: string(data.Lead.Company),
		},
		Changed: firstTime(parseTime(string(data.CampaignEvent.CreatedAt)), parseTime(string(data.Reply.Received))),
	}
	switch e.Type {
	case "LEAD_REPLIED", "LEAD_INTERESTED":
		e.bisonReply(data)
	case "UNTRACKED_REPLY_RECEIVED":
		e.Lead = lead.Facts{Email: data.Reply.From}
		if !bounceSender(data.Reply.From) {
			e.bisonReply(data)
		}
	case "EMAIL_SENT", "MANUAL_EMAIL_SENT":
		e.Kind, e.Subject, e.Text, e.HTML = Message, string(data.Email.Subject), string(data.Email.Body), string(data.Email.Body)
		e.MessageID, e.MessageTime = identity("emailbison:sent:", data.Email.ID), parseTime(string(data.Email.SentAt))
	case "EMAIL_BOUNCED":
		e.Kind = Bounced
	case "LEAD_UNSUBSCRIBED":
		e.Kind = Unsubscribed
	}
	id := first(data.Reply.ID, data.CampaignEvent.ID, data.Email.ID)
	if id == "" {
		id = string(d.Body)
	}
	e.WebhookID = d.key(e.Type, id)
	return e, e.identified()
}

// bisonReply makes the event a reply, unless it is a mail server's.
func (e *Event) bisonReply(data emailBisonData) {
	if strings.EqualFold(string(data.Reply.Folder), "Bounced") {
		return
	}
	e.Kind, e.Inbound, e.Subject = Message, true, string(data.Reply.Subject)
	e.Text = first(data.Reply.Text, data.Reply.HTML)
	e.MessageID, e.MessageTime = identity("emailbison:reply:", data.Reply.ID), parseTime(string(data.Reply.Received))
	e.Target = sending.Target{
		Message: string(data.Reply.ID), Mailbox: string(data.Mailbox.ID), Lead: string(data.Lead.ID), To: first(data.Reply.From, e.Lead.Email),
	}
}

func unwrapEmailBison(raw []byte) (emailBisonHead, emailBisonData, error) {
	var data emailBisonData
	for range 3 {
		var envelope emailBison
		if err := json.Unmarshal(raw, &envelope); err != nil {
			return envelope.Event, data, errType
		}
		if envelope.Event.Type != "" {
			if len(envelope.Data) == 0 {
				return envelope.Event, data, fmt.Errorf("%w: data is missing", ErrBody)
			}
			if err := json.Unmarshal(envelope.Data, &data); err != nil {
				return envelope.Event, data, errType
			}
			return envelope.Event, data, nil
		}
		if raw = envelope.Data; len(raw) == 0 {
			raw = envelope.Payload
		}
		if len(raw) == 0 {
			break
		}
	}
	return emailBisonHead{}, data, fmt.Errorf("%w: event.type is missing", ErrBody)
}

// identified refuses what acts on somebody and does not say on whom, or on which message.
func (e Event) identified() error {
	if e.Kind == Ignored {
		return nil
	}
	if email, ok := lead.Email(e.Lead.Email); !ok || email == "" {
		return fmt.Errorf("%w: the lead's email is missing or cannot be one", ErrBody)
	}
	if e.Kind == Message && e.MessageID == "" {
		return fmt.Errorf("%w: the message's id is missing", ErrBody)
	}
	return nil
}

// identity makes a provider's id of a message ours, empty for none.
func identity(prefix string, parts ...loose) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, string(p))
		}
	}
	if len(out) == 0 {
		return ""
	}
	id := prefix + strings.Join(out, ":")
	if len(id) > maxIdentity {
		sum := sha256.Sum256([]byte(id))
		id = prefix + hex.EncodeToString(sum[:])
	}
	return id
}

// maxIdentity bounds ids of messages as stored; the mail standard allows a Message-ID of 998 characters.
const maxIdentity = 300

// bounceSender tells a mail server's report from a person's mail.
func bounceSender(address string) bool {
	user, _, _ := strings.Cut(strings.ToLower(address), "@")
	for _, name := range []string{"mailer-daemon", "postmaster", "mail-delivery", "bounce", "maildelivery"} {
		if strings.HasPrefix(user, name) {
			return true
		}
	}
	return false
}
