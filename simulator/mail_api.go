package simulator

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// mailRoutes are the endpoints of the senders that Relance calls.
func (s *Simulator) mailRoutes() []route {
	of := func(sender MailSender, pattern string, handle func(*call, *mailAccount) answer) route {
		r := newRoute(pattern, func(c *call) answer { return s.mailCall(c, handle) })
		r.open, r.mail = true, sender
		return r
	}
	return []route{
		of(EmailBison, "POST /api/replies/{id}/reply", s.bisonReply),
		of(EmailBison, "GET /api/replies", s.bisonList),
		of(EmailBison, "GET /api/users", func(*call, *mailAccount) answer { return plainReply(object{"data": object{"id": 1}}) }),
		of(Smartlead, "POST /api/v1/campaigns/{campaign}/reply-email-thread", s.smartleadReply),
		of(Smartlead, "GET /api/v1/campaigns/{campaign}/leads/{lead}/message-history", s.smartleadHistory),
		of(Smartlead, "GET /api/v1/email-accounts", func(*call, *mailAccount) answer { return plainReply([]any{object{"id": mailboxID}}) }),
		of(Instantly, "POST /api/v2/emails/reply", s.instantlyReply),
		of(Instantly, "GET /api/v2/emails", s.instantlyList),
	}
}

func plainReply(body any) answer { return answer{status: http.StatusOK, body: encode(body)} }

// mailCall checks key and limit, then lets the endpoint answer under the lock.
func (s *Simulator) mailCall(c *call, handle func(*call, *mailAccount) answer) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	account := s.world.mail.accounts[c.mail]
	key := bearer(c.header)
	if c.mail == Smartlead {
		key = c.query.Get("api_key")
	}
	if account == nil || key != account.Key {
		return c.refuse(http.StatusUnauthorized, map[MailSender]string{
			EmailBison: "Unauthenticated.", Smartlead: "Invalid API Key", Instantly: "Invalid API key",
		}[c.mail])
	}
	if !s.limiter.cfg.Disabled && !account.admit(c) {
		return c.refuse(http.StatusTooManyRequests, "Too many requests. Please retry after 30 seconds.")
	}
	if account.Unpaid {
		return c.refuse(http.StatusPaymentRequired, "Your workspace has no active paid plan")
	}
	return handle(c, account)
}

// admit counts a call against what the sender publishes for it, by the minute.
func (a *mailAccount) admit(c *call) bool {
	what, limit := "", map[MailSender]int{EmailBison: 3000, Smartlead: 60, Instantly: 6000}[a.Sender]
	if a.Sender == Instantly && c.method == http.MethodGet {
		what, limit = "emails", 20
	}
	u := a.uses[what]
	if u == nil || c.at.Sub(u.since) >= time.Minute || c.at.Before(u.since) {
		u = &mailUse{since: c.at}
		a.uses[what] = u
	}
	u.calls++
	return u.calls <= limit
}

// refuse is an error in the words of whom the call is for.
func (c *call) refuse(status int, message string) answer {
	var body object
	switch c.mail {
	case EmailBison:
		body = object{"data": object{"success": false, "message": message}}
		if status == http.StatusUnauthorized || status == http.StatusTooManyRequests {
			body = object{"message": message}
		}
	case Smartlead:
		code := strings.ToUpper(strings.ReplaceAll(http.StatusText(status), " ", "_"))
		body = object{"error": object{"code": code, "message": message}}
		if status == http.StatusUnauthorized {
			body = object{"message": message}
		}
	case Instantly:
		body = object{"statusCode": status, "error": http.StatusText(status), "message": message}
	default:
		return refuse(status, message)
	}
	return answer{status: status, body: encode(body), refusal: message}
}

// sendMail stores an answer to an email of a lead.
func (s *Simulator) sendMail(c *call, t *mailThread, subject, html string) *email {
	c.contact, c.channel = strconv.Itoa(t.leadID), Email
	m := email{subject: subject, text: html, at: s.now()}
	if c.fault != nil {
		switch c.fault.Kind {
		case LaggingList:
			m.visible = m.at.Add(c.fault.Delay)
		case BodyRewritten:
			m.text += c.fault.Body
		}
	}
	stored := s.storeMail(t, m)
	c.accepted = true
	return stored
}

// findMail finds an email of a lead by what names it.
func (a *mailAccount) findMail(is func(*mailThread, *email) bool) (*mailThread, *email) {
	for _, t := range a.threads {
		for _, m := range t.mails {
			if m.inbound && is(t, m) {
				return t, m
			}
		}
	}
	return nil, nil
}

// shown are a thread's emails that its lists show, oldest first.
func (s *Simulator) shown(t *mailThread) []*email {
	return slices.DeleteFunc(slices.Clone(t.mails), func(m *email) bool { return m.visible.After(s.now()) })
}

func (s *Simulator) bisonReply(c *call, a *mailAccount) answer {
	body, bad := c.decode()
	if bad != nil {
		return *bad
	}
	to, _ := body["to_emails"].([]any)
	if mailbox, ok := body["sender_email_id"].(float64); !ok || mailbox != mailboxID || len(to) == 0 || text(body, "message") == "" {
		return answer{status: http.StatusUnprocessableEntity, refusal: "validation", body: encode(object{
			"message": "The given data was invalid.", "errors": object{"sender_email_id": []string{"The selected sender email id is invalid."}},
		})}
	}
	t, m := a.findMail(func(_ *mailThread, m *email) bool { return strconv.Itoa(m.id) == c.params["id"] })
	switch {
	case m == nil:
		return c.refuse(http.StatusNotFound, "Record not found.")
	case t.unsubscribed:
		return c.refuse(http.StatusForbidden, "This lead has unsubscribed")
	}
	sent := s.sendMail(c, t, text(body, "subject"), text(body, "message"))
	c.messageID = "emailbison:reply:" + strconv.Itoa(sent.id)
	return plainReply(object{"data": object{"success": true, "message": "Reply sent", "reply": object{"id": sent.id, "uuid": sent.uuid}}})
}

func (s *Simulator) bisonList(c *call, a *mailAccount) answer {
	rows := []object{}
	for _, t := range a.threads {
		if lead := c.query.Get("lead_id"); lead != "" && lead != strconv.Itoa(t.leadID) {
			continue
		}
		for _, m := range s.shown(t) {
			folder := map[bool]string{true: "Inbox", false: "Sent"}[m.inbound]
			if want := c.query.Get("folder"); m.ofCampaign || (want != "" && !strings.EqualFold(want, folder)) {
				continue
			}
			rows = append(rows, object{
				"id": m.id, "uuid": m.uuid, "folder": folder, "email_subject": m.subject, "html_body": m.text, "text_body": nil,
				"date_received": m.at.UTC().Format("2006-01-02T15:04:05.000000Z"), "raw_message_id": m.messageID,
			})
		}
	}
	slices.SortFunc(rows, func(x, y object) int { return y["id"].(int) - x["id"].(int) }) // newest first
	size, page := 15, max(whole(c.query.Get("page")), 1)
	if n := whole(c.query.Get("per_page")); n > 0 {
		size = min(n, 100)
	}
	last := max((len(rows)+size-1)/size, 1)
	from := min((page-1)*size, len(rows))
	return plainReply(object{
		"data": rows[from:min(from+size, len(rows))], "links": object{},
		"meta": object{"current_page": page, "last_page": last, "per_page": size, "total": len(rows)},
	})
}

func (s *Simulator) smartleadReply(c *call, a *mailAccount) answer {
	body, bad := c.decode()
	if bad != nil {
		return *bad
	}
	if text(body, "email_stats_id") == "" || text(body, "email_body") == "" {
		return c.refuse(http.StatusBadRequest, `"email_stats_id" and "email_body" are required`)
	}
	t, m := a.findMail(func(t *mailThread, m *email) bool {
		return m.uuid == text(body, "email_stats_id") && strconv.Itoa(t.campaign) == c.params["campaign"]
	})
	switch {
	case m == nil:
		return c.refuse(http.StatusNotFound, "Email stats not found")
	case t.unsubscribed:
		return c.refuse(http.StatusForbidden, "Lead has unsubscribed")
	}
	c.messageID = "smartlead:sent:" + s.sendMail(c, t, m.subject, text(body, "email_body")).messageID
	return plainReply(object{"ok": true})
}

func (s *Simulator) smartleadHistory(c *call, a *mailAccount) answer {
	for _, t := range a.threads {
		if strconv.Itoa(t.campaign) != c.params["campaign"] || strconv.Itoa(t.leadID) != c.params["lead"] {
			continue
		}
		rows := []object{}
		for _, m := range s.shown(t) {
			row := object{
				"type": map[bool]string{true: "REPLY", false: "SENT"}[m.inbound], "message_id": m.messageID, "stats_id": m.uuid,
				"time": m.at.UTC().Format("2006-01-02T15:04:05.000Z"), "email_body": m.text, "subject": m.subject,
			}
			if m.ofCampaign {
				row["email_seq_number"] = "1"
			}
			rows = append(rows, row)
		}
		return plainReply(object{"history": rows, "from": a.Mailbox, "to": t.lead})
	}
	return c.refuse(http.StatusNotFound, "Lead not found in campaign")
}

func (s *Simulator) instantlyReply(c *call, a *mailAccount) answer {
	body, bad := c.decode()
	if bad != nil {
		return *bad
	}
	for _, field := range []string{"reply_to_uuid", "eaccount", "subject"} {
		if text(body, field) == "" {
			return c.refuse(http.StatusBadRequest, "body must have required property '"+field+"'")
		}
	}
	content, _ := body["body"].(object)
	t, m := a.findMail(func(_ *mailThread, m *email) bool { return m.uuid == text(body, "reply_to_uuid") })
	switch {
	case m == nil:
		return c.refuse(http.StatusNotFound, "Email not found")
	case text(body, "eaccount") != a.Mailbox:
		return c.refuse(http.StatusBadRequest, "eaccount is not connected to the workspace")
	case t.unsubscribed:
		return c.refuse(http.StatusForbidden, "Lead has unsubscribed")
	}
	sent := s.sendMail(c, t, text(body, "subject"), cmp.Or(text(content, "html"), text(content, "text")))
	c.messageID = "instantly:sent:" + sent.uuid
	return plainReply(a.instantlyMail(t, sent))
}

func (a *mailAccount) instantlyMail(t *mailThread, m *email) object {
	kind := 3
	switch {
	case m.inbound:
		kind = 2
	case m.ofCampaign:
		kind = 1
	}
	at := m.at.UTC().Format("2006-01-02T15:04:05.000Z")
	return object{
		"id": m.uuid, "timestamp_created": at, "timestamp_email": at, "message_id": m.messageID, "subject": m.subject, "ue_type": kind,
		"body": object{"html": m.text, "text": m.text}, "eaccount": a.Mailbox, "lead": t.lead, "campaign_id": t.campaignID,
		"from_address_email": a.Mailbox, "to_address_email_list": t.lead, "thread_id": t.campaignID,
	}
}

func (s *Simulator) instantlyList(c *call, a *mailAccount) answer {
	since, _ := time.Parse(time.RFC3339Nano, c.query.Get("min_timestamp_created"))
	rows := []object{}
	for _, t := range a.threads {
		if lead := c.query.Get("lead"); lead != "" && !strings.EqualFold(lead, t.lead) {
			continue
		}
		for _, m := range slices.Backward(s.shown(t)) {
			if !m.at.Before(since) {
				rows = append(rows, a.instantlyMail(t, m))
			}
		}
	}
	if after := c.query.Get("starting_after"); after != "" {
		if i := slices.IndexFunc(rows, func(o object) bool { return o["id"] == after }); i >= 0 {
			rows = rows[i+1:]
		}
	}
	if n := whole(c.query.Get("limit")); n > 0 && len(rows) > n {
		rows = rows[:n]
	}
	out := object{"items": rows}
	if len(rows) > 0 {
		out["next_starting_after"] = rows[len(rows)-1]["id"] // the last page with rows has a cursor too
	}
	return plainReply(out)
}

// whole reads a whole number; what is none is 0.
func whole(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}
