package simulator

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MailSender names a sender of email campaigns.
type MailSender string

// Senders of email campaigns. Their APIs are served beside GoHighLevel's: EmailBison's and Instantly's at the base URL,
// Smartlead's below /api/v1.
const (
	EmailBison MailSender = "emailbison"
	Smartlead  MailSender = "smartlead"
	Instantly  MailSender = "instantly"
)

// ErrNoMail is for a sender without an account, or a lead that it does not know.
var ErrNoMail = errors.New("simulator: no such account or lead at the email sender")

// MailAccount is an account at a sender; one of each.
type MailAccount struct {
	Sender MailSender
	// Key opens it.
	Key string
	// Mailbox is the address that its campaigns send from. Default "us@example.com".
	Mailbox string
	// Unpaid makes Instantly answer 402.
	Unpaid bool
}

// mailAccount is an account with what it sent and got.
type mailAccount struct {
	MailAccount
	threads map[string]*mailThread // by the lead's address
	uses    map[string]*mailUse    // by what is limited
}

// mailThread is a lead's conversation with a campaign.
type mailThread struct {
	lead         string // its address
	leadID       int
	campaign     int
	campaignID   string // Instantly's
	unsubscribed bool
	mails        []*email
}

// email is one email. The ids are those of all three senders.
type email struct {
	id                  int
	uuid, messageID     string
	inbound, ofCampaign bool
	subject, text       string
	at, visible         time.Time
}

// mailUse counts the calls of a minute.
type mailUse struct {
	since time.Time
	calls int
}

// mailboxID is EmailBison's id of an account's mailbox.
const mailboxID = 3

// mailWorld is the senders' side of the world.
type mailWorld struct {
	accounts map[MailSender]*mailAccount
	next     int
}

// AddMailAccount adds a sender's account, or replaces it while keeping its threads.
func (s *Simulator) AddMailAccount(a MailAccount) error {
	if a.Key == "" || (a.Sender != EmailBison && a.Sender != Smartlead && a.Sender != Instantly) {
		return fmt.Errorf("simulator: mail account of %q: sender and key are required", a.Sender)
	}
	if a.Mailbox == "" {
		a.Mailbox = "us@example.com"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stored := &mailAccount{MailAccount: a, threads: map[string]*mailThread{}, uses: map[string]*mailUse{}}
	if old := s.world.mail.accounts[a.Sender]; old != nil {
		stored.threads = old.threads
	}
	s.world.mail.accounts[a.Sender] = stored
	return nil
}

// AddMailReply lets a lead answer a campaign's email, which is made when it is its first. It returns the sender's webhook.
func (s *Simulator) AddMailReply(sender MailSender, lead, text string) (Payload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	account := s.world.mail.accounts[sender]
	if account == nil {
		return nil, ErrNoMail
	}
	lead = strings.ToLower(lead)
	t := account.threads[lead]
	if t == nil {
		t = &mailThread{lead: lead, leadID: s.mailID(), campaign: s.mailID(), campaignID: newUUID()}
		account.threads[lead] = t
		s.storeMail(t, email{ofCampaign: true, subject: "An idea", text: "<p>Hello</p>", at: s.now().Add(-time.Hour)})
	}
	m := s.storeMail(t, email{inbound: true, subject: "Re: An idea", text: text, at: s.now()})
	return account.replyWebhook(t, m)
}

// UnsubscribeMail makes a sender refuse a lead.
func (s *Simulator) UnsubscribeMail(sender MailSender, lead string) error {
	return s.onThread(sender, lead, func(_ *mailAccount, t *mailThread) { t.unsubscribed = true })
}

// ForgetMailReplies makes a sender lose what a lead wrote, so that it cannot be answered.
func (s *Simulator) ForgetMailReplies(sender MailSender, lead string) error {
	return s.onThread(sender, lead, func(_ *mailAccount, t *mailThread) {
		t.mails = slices.DeleteFunc(t.mails, func(m *email) bool { return m.inbound })
	})
}

func (s *Simulator) onThread(sender MailSender, lead string, change func(*mailAccount, *mailThread)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	account := s.world.mail.accounts[sender]
	if account == nil || account.threads[strings.ToLower(lead)] == nil {
		return ErrNoMail
	}
	change(account, account.threads[strings.ToLower(lead)])
	return nil
}

// MailSends matches a sender's endpoint for answers.
func MailSends(sender MailSender) Match {
	path := map[MailSender]string{EmailBison: "/api/replies/*", Smartlead: "/api/v1/campaigns/*", Instantly: "/api/v2/emails/reply"}[sender]
	return Match{Method: http.MethodPost, Path: path}
}

// mailID draws the next number; the caller holds the lock.
func (s *Simulator) mailID() int {
	s.world.mail.next++
	return 1000 + s.world.mail.next
}

// storeMail appends an email to a thread; the caller holds the lock.
func (s *Simulator) storeMail(t *mailThread, m email) *email {
	m.id, m.uuid = s.mailID(), newUUID()
	m.messageID = "<" + m.uuid + "@mail.example.com>"
	t.mails = append(t.mails, &m)
	return &m
}

// replyWebhook is the sender's webhook of a lead's email.
func (a *mailAccount) replyWebhook(t *mailThread, m *email) (Payload, error) {
	at := m.at.UTC().Format(time.RFC3339)
	name, values := "emailbison.LEAD_REPLIED", map[string]any{
		"data.reply.id": m.id, "data.reply.text_body": m.text, "data.reply.date_received": at, "data.reply.from_email_address": t.lead,
		"data.reply.email_subject": m.subject, "data.lead.id": t.leadID, "data.lead.email": t.lead, "data.sender_email.id": mailboxID,
		"data.campaign_event.id": m.id, "data.campaign_event.created_at": at, "data.campaign.id": t.campaign,
	}
	switch a.Sender {
	case Smartlead:
		name, values = "smartlead.EMAIL_REPLY", map[string]any{
			"sl_lead_email": t.lead, "sl_email_lead_id": strconv.Itoa(t.leadID), "to_email": t.lead, "from_email": a.Mailbox,
			"campaign_id": t.campaign, "stats_id": m.uuid, "event_timestamp": at, "subject": m.subject, "reply_message.message_id": m.messageID,
			"reply_message.text": m.text, "reply_message.time": at,
		}
	case Instantly:
		name, values = "instantly.webhook", map[string]any{
			"event_type": "reply_received", "timestamp": at, "lead_email": t.lead, "email_account": a.Mailbox, "email_id": m.uuid,
			"campaign_id": t.campaignID, "reply_subject": m.subject, "reply_text": m.text,
		}
	}
	p, err := SenderSample(name)
	for path, value := range values {
		p = p.With(path, value)
	}
	return p, err
}
