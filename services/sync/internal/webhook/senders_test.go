package webhook_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/relance/relance/services/sync/internal/booking"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/webhook"
	"github.com/relance/relance/simulator"
)

var received = time.Date(2026, 4, 1, 10, 5, 0, 0, time.UTC)

func parse(source webhook.Source, raw []byte) (webhook.Event, error) {
	return webhook.Parse(webhook.Delivery{Source: source, Body: raw, Workspace: "w", Received: received, Key: []byte("key")})
}

func sample(t testing.TB, name string, changes map[string]any) []byte {
	t.Helper()
	p, err := simulator.SenderSample(name)
	if err != nil {
		t.Fatal(err)
	}
	for path, value := range changes {
		p = p.With(path, value)
	}
	return p.Raw()
}

// TestSenderSamples reads every published sample of the other senders.
func TestSenderSamples(t *testing.T) {
	t.Parallel()
	type want struct {
		source  webhook.Source
		kind    webhook.Kind
		inbound bool
		email   string
		id      string
	}
	wants := map[string]want{
		"emailbison.LEAD_REPLIED":               {webhook.EmailBison, webhook.Message, true, "lead@example.com", "emailbison:reply:725"},
		"emailbison.EMAIL_SENT":                 {webhook.EmailBison, webhook.Message, false, "lead@example.com", "emailbison:sent:4"},
		"emailbison.EMAIL_BOUNCED":              {webhook.EmailBison, webhook.Bounced, false, "lead@example.com", ""},
		"smartlead.EMAIL_REPLIED":               {webhook.Smartlead, webhook.Message, true, "lead@example.com", "smartlead:reply:lead@example.com:2024-01-15T10:30:00Z"},
		"smartlead.EMAIL_SENT":                  {webhook.Smartlead, webhook.Message, false, "lead@example.com", "smartlead:sent:abc123def456"},
		"smartlead.UNTRACKED_REPLIES":           {webhook.Smartlead, webhook.Message, true, "someone@example.com", "smartlead:reply:<reply-0001@mail.example.com>"},
		"smartlead.account-disconnected":        {webhook.Smartlead, webhook.Ignored, false, "", ""},
		"calendly.invitee.created":              {webhook.Calendly, webhook.Booked, false, "test@example.com", ""},
		"calendly.invitee.canceled.rescheduled": {webhook.Calendly, webhook.Booked, false, "test@example.com", ""},
	}
	seen := 0
	for _, name := range simulator.SenderSamples() {
		w, ok := wants[name]
		if !ok {
			continue // fields without values, filled in TestSenderFields
		}
		seen++
		e, err := parse(w.source, sample(t, name, nil))
		if err != nil || e.Kind != w.kind || e.Inbound != w.inbound || e.Lead.Email != w.email || e.MessageID != w.id {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
		if e.Kind == webhook.Message && e.Channel != sending.Email {
			t.Errorf("%s: channel %q", name, e.Channel)
		}
	}
	if seen != len(wants) {
		t.Errorf("%d samples of %d", seen, len(wants))
	}
}

// TestSenderFields fills the samples that are only a list of fields, and what samples do not show.
func TestSenderFields(t *testing.T) {
	t.Parallel()
	e, err := parse(webhook.Smartlead, sample(t, "smartlead.EMAIL_REPLY", map[string]any{
		"sl_lead_email": "lead@example.com", "to_email": "alias@example.com", "stats_id": 17, "reply_message.message_id": "<a@b>",
		"reply_message.text": "Call me", "reply_message.time": "2026-04-01T10:00:00Z", "subject": "Re: hi",
	}))
	if err != nil || e.MessageID != "smartlead:reply:<a@b>" || e.Text != "Call me" || e.Lead.Email != "lead@example.com" ||
		!e.MessageTime.Equal(time.Date(2026, 4, 1, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("smartlead reply: %+v, %v", e, err)
	}
	fields := map[string]any{
		"timestamp": "2026-04-01T10:00:00Z", "event_type": "reply_received", "lead_email": "Lead@Example.com", "email_id": "m1",
		"reply_text": "STOP", "reply_subject": "Re: hi",
	}
	e, err = parse(webhook.Instantly, sample(t, "instantly.webhook", fields))
	if err != nil || !e.Inbound || e.Text != "STOP" || e.MessageID != "instantly:reply:m1:2026-04-01T10:00:00Z" {
		t.Errorf("instantly reply: %+v, %v", e, err)
	}
	fields["timestamp"] = "2026-04-01T10:01:00Z"
	second, err := parse(webhook.Instantly, sample(t, "instantly.webhook", fields))
	if err != nil || second.MessageID == e.MessageID || second.WebhookID == e.WebhookID {
		t.Errorf("two replies to one mail share a key: %q", second.MessageID)
	}
	for event, kind := range map[string]webhook.Kind{
		"email_sent": webhook.Message, "auto_reply_received": webhook.Message, "email_bounced": webhook.Bounced,
		"lead_unsubscribed": webhook.Unsubscribed, "link_clicked": webhook.Ignored, "lead_meeting_booked": webhook.Ignored,
		"My label": webhook.Ignored,
	} {
		fields["event_type"] = event
		if e, err := parse(webhook.Instantly, sample(t, "instantly.webhook", fields)); err != nil || e.Kind != kind {
			t.Errorf("instantly %s: %s, %v", event, e.Kind, err)
		}
	}
}

func TestEmailBisonForms(t *testing.T) {
	t.Parallel()
	plain := sample(t, "emailbison.LEAD_REPLIED", map[string]any{"data.reply.text_body": "Yes", "data.reply.id": "725"})
	first, err := parse(webhook.EmailBison, plain)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"wrapped in data": `{"data":` + string(plain) + `}`, "wrapped in payload": `{"payload":` + string(plain) + `}`,
		"lower case": strings.Replace(string(plain), "LEAD_REPLIED", "lead_replied", 1),
	} {
		e, err := parse(webhook.EmailBison, []byte(body))
		if err != nil || e.MessageID != first.MessageID || e.Text != "Yes" || e.WebhookID != first.WebhookID {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	untracked := sample(t, "emailbison.LEAD_REPLIED", map[string]any{
		"event.type": "UNTRACKED_REPLY_RECEIVED", "data.lead": nil, "data.reply.from_email_address": "mailer-daemon@example.com",
	})
	if e, err := parse(webhook.EmailBison, untracked); err != nil || e.Kind != webhook.Ignored {
		t.Errorf("a mail server's report: %+v, %v", e, err)
	}
	if e, err := parse(webhook.EmailBison, sample(t, "emailbison.LEAD_REPLIED", map[string]any{
		"data.lead.first_name": 7, "data.lead.company": []any{}, "data.reply.email_subject": nil, "data.campaign_event.created_at": 1,
	})); err != nil || e.Kind != webhook.Message || e.Lead.FirstName != "7" || e.Lead.CompanyName != "" {
		t.Errorf("details of another type: %+v, %v", e, err)
	}
	for name, changes := range map[string]map[string]any{
		"no lead": {"data.lead": nil}, "no reply id": {"data.reply.id": nil}, "lead is text": {"data.lead": "x"},
		"id is an object": {"data.reply.id": map[string]any{}}, "no type": {"event.type": ""}, "no data": {"data": nil},
		"address is none": {"data.lead.email": "x"},
	} {
		if _, err := parse(webhook.EmailBison, sample(t, "emailbison.LEAD_REPLIED", changes)); !errors.Is(err, webhook.ErrBody) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCalendlyReschedule(t *testing.T) {
	t.Parallel()
	moved, err := parse(webhook.Calendly, sample(t, "calendly.invitee.canceled.rescheduled", nil))
	if err != nil || moved.Booking.Status != booking.Moved || !moved.Booking.Final {
		t.Errorf("rescheduled: %+v, %v", moved.Booking, err)
	}
	off, err := parse(webhook.Calendly, sample(t, "calendly.invitee.canceled.rescheduled", map[string]any{
		"payload.rescheduled": false, "payload.new_invitee": nil,
	}))
	if err != nil || off.Booking.Status != booking.Cancelled {
		t.Errorf("cancelled: %+v, %v", off.Booking, err)
	}
	if _, err := parse(webhook.Calendly, []byte(`{"event":"invitee.created","payload":{"email":"a@example.com"}}`)); !errors.Is(err, webhook.ErrBody) {
		t.Errorf("no uri: %v", err)
	}
	if e, err := parse(webhook.Calendly, []byte(`{"event":"routing_form_submission.created","payload":{}}`)); err != nil || e.Kind != webhook.Ignored {
		t.Errorf("another event: %+v, %v", e, err)
	}
}

// TestClockSkew: what a sender dates into the future counts from its arrival, so that it cannot hide what comes after it.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	for stamp, want := range map[string]time.Time{
		"2026-04-01T10:09:00Z": received.Add(4 * time.Minute), "2026-04-01T10:11:00Z": received, "2199-01-01T00:00:00Z": received,
		"2020-01-01T00:00:00Z": time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		e, err := parse(webhook.EmailBison, sample(t, "emailbison.LEAD_REPLIED", map[string]any{"data.reply.date_received": stamp}))
		if err != nil || !e.MessageTime.Equal(want) {
			t.Errorf("%s gave %s, %v", stamp, e.MessageTime, err)
		}
	}
}

// TestKeysTellNothing: the key of a delivery without an id depends on the key that makes it, so that a guess at a short
// text cannot be checked against it, and on the workspace, so that one tenant cannot take another's place.
func TestKeysTellNothing(t *testing.T) {
	t.Parallel()
	d := webhook.Delivery{
		Source: webhook.Workflow, Body: []byte(`{"contact_id":"cI08i1Bls3iTB9bKgFJh","message":{"body":"yes"}}`), Workspace: "w",
		Received: received, Key: []byte("key"),
	}
	keys := map[string]bool{}
	for _, change := range []func(*webhook.Delivery){
		func(*webhook.Delivery) {},
		func(d *webhook.Delivery) { d.Key = []byte("other") },
		func(d *webhook.Delivery) { d.Workspace = "x" },
		func(d *webhook.Delivery) { d.Received = received.Add(time.Minute) },
		func(d *webhook.Delivery) { d.Body = append([]byte(" "), d.Body...) },
	} {
		c := d
		change(&c)
		e, err := webhook.Parse(c)
		if err != nil {
			t.Fatal(err)
		}
		keys[e.WebhookID] = true
	}
	if len(keys) != 5 {
		t.Errorf("%d keys for 5 deliveries", len(keys))
	}
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	const calendlyKey, smartleadKey = "calendly-signing-key", "smartlead-secret"
	calendlyBody, smartleadBody := []byte(`{"event":"invitee.created"}`), []byte(`{"event_type":"EMAIL_REPLY"}`)
	const calendlyMAC = "81a9bfd092b45e5532457d73f595f87d45462d421449a6bae3fa0fa5ec207239"
	const smartlead = "sha256=53c4eead5c49d4873a4d515f34bb97b7c769e75ace778680d977aea8438026d1"
	good := "t=1700000000,v1=" + calendlyMAC
	now := time.Unix(1700000000, 0)
	verify := func(header string, at time.Time, keys ...string) error {
		return webhook.VerifyCalendly(header, calendlyBody, keys, at)
	}
	for name, err := range map[string]error{
		"published vector": verify(good, now, calendlyKey), "second key": verify(good, now, "other", calendlyKey),
		"3 minutes late": verify(good, now.Add(3*time.Minute), calendlyKey), "3 minutes early": verify(good, now.Add(-3*time.Minute), calendlyKey),
		"smartlead vector": webhook.VerifySmartlead(smartlead, smartleadBody, []string{smartleadKey}),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"no key": verify(good, now), "other key": verify(good, now, "other"), "late": verify(good, now.Add(3*time.Minute+time.Second), calendlyKey),
		"early":             verify(good, now.Add(-3*time.Minute-time.Second), calendlyKey),
		"body alone":        verify(calendlyMAC, now, calendlyKey),
		"no time":           verify("v1="+calendlyMAC, now, calendlyKey),
		"order":             verify("v1="+calendlyMAC+",t=1700000000", now, calendlyKey),
		"two MACs":          verify(good+",v1="+calendlyMAC, now, calendlyKey),
		"other time":        verify("t=1700000001,v1="+calendlyMAC, now, calendlyKey),
		"time with a sign":  verify("t=+1700000000,v1="+calendlyMAC, now, calendlyKey),
		"capitals":          verify("t=1700000000,v1="+strings.ToUpper(calendlyMAC), now, calendlyKey),
		"other body":        webhook.VerifyCalendly(good, append(calendlyBody, ' '), []string{calendlyKey}, now),
		"smartlead no key":  webhook.VerifySmartlead(smartlead, smartleadBody, nil),
		"smartlead body":    webhook.VerifySmartlead(smartlead, append(smartleadBody, '\n'), []string{smartleadKey}),
		"smartlead no name": webhook.VerifySmartlead(smartlead[7:], smartleadBody, []string{smartleadKey}),
	} {
		if !errors.Is(err, webhook.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !webhook.BodySecretFits([]byte(`{"secret_key":"b"}`), []string{"a", "b"}) || webhook.BodySecretFits([]byte(`{"secret_key":""}`), []string{""}) ||
		webhook.BodySecretFits([]byte(`{"secret_key":"c"}`), []string{"a", "b"}) || webhook.BodySecretFits([]byte(`{"secret_key":"b"`), []string{"b"}) {
		t.Error("body secret")
	}
}

// TestMarketplaceKinds routes every official sample of HighLevel by its type.
func TestMarketplaceKinds(t *testing.T) {
	t.Parallel()
	sim := simulator.New(simulator.Config{Now: func() time.Time { return received }})
	t.Cleanup(func() { _ = sim.Close() })
	wants := map[string]webhook.Kind{
		"InboundMessage": webhook.Message, "OutboundMessage": webhook.Message, "ContactCreate": webhook.Contact,
		"ContactUpdate": webhook.Contact, "ContactDelete": webhook.Deleted, "ContactTagUpdate": webhook.Tags,
		"ContactDndUpdate": webhook.DND, "AppointmentCreate": webhook.Booked, "AppointmentUpdate": webhook.Booked,
		"AppointmentDelete": webhook.Booked, "ConversationUnreadUpdate": webhook.Ignored,
	}
	for _, event := range simulator.Events() {
		p, err := sim.Sample("l1C08ntBrFjLS0elLIYU", event)
		if err != nil {
			t.Fatal(err)
		}
		e, err := parse(webhook.Marketplace, p.Raw())
		if err != nil || e.Kind != wants[event] {
			t.Errorf("%s: %s, %v", event, e.Kind, err)
		}
	}
	for body, kind := range map[string]webhook.Kind{
		`{"type":"INSTALL","appId":"a","locationId":"otg8dTQqGLh3Q6iQI55w","trial":{"onTrial":true}}`:                                             webhook.Access,
		`{"type":"INSTALL","appId":"a","companyId":"otg8dTQqGLh3Q6iQI55w"}`:                                                                       webhook.Ignored,
		`{"type":"UNINSTALL","appId":"a","locationId":"otg8dTQqGLh3Q6iQI55w"}`:                                                                    webhook.Access,
		`{"type":"LocationUpdate","id":"otg8dTQqGLh3Q6iQI55w","name":"Acme"}`:                                                                     webhook.Access,
		`{"type":"LCEmailStats","locationId":"l","webhookPayload":{"event":"delivered","recipient":"a@example.com","timestamp":1714032441}}`:      webhook.Ignored,
		`{"type":"LCEmailStats","locationId":"l","webhookPayload":{"event":"complained","recipient":"a@example.com","timestamp":1714032441}}`:     webhook.Unsubscribed,
		`{"type":"LCEmailStats","locationId":"l","webhookPayload":{"event":"permanent_fail","recipient":"a@example.com","timestamp":1714032441}}`: webhook.Bounced,
	} {
		if e, err := parse(webhook.Marketplace, []byte(body)); err != nil || e.Kind != kind {
			t.Errorf("%s: %s, %v", body, e.Kind, err)
		}
	}
	call, err := parse(webhook.Marketplace, []byte(`{"type":"OutboundMessage","contactId":"gblakL5aYQC4glDtP1r2","direction":"inbound","messageType":"CALL","messageId":"m"}`))
	if err != nil || call.Kind != webhook.Ignored {
		t.Errorf("call: %+v, %v", call, err)
	}
	if _, err := parse(webhook.Marketplace, []byte(`{"type":"ContactCreate","webhookId":"a\u0000b"}`)); !errors.Is(err, webhook.ErrBody) {
		t.Errorf("an id that no database takes: %v", err)
	}
}

func fuzzSource(f *testing.F, source webhook.Source, names ...string) {
	for _, name := range names {
		f.Add(sample(f, name, nil))
	}
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := parse(source, raw)
		check(t, e, err)
		if err == nil && e.Kind != webhook.Ignored && source != webhook.Calendly && e.Lead.Email == "" {
			t.Errorf("acts on nobody: %+v", e)
		}
		again, _ := parse(source, raw)
		if again.WebhookID != e.WebhookID {
			t.Error("one delivery, two keys")
		}
	})
}

func FuzzWebhookEmailBison(f *testing.F) {
	fuzzSource(f, webhook.EmailBison, "emailbison.LEAD_REPLIED", "emailbison.EMAIL_SENT", "emailbison.EMAIL_BOUNCED")
}

func FuzzWebhookSmartlead(f *testing.F) {
	fuzzSource(f, webhook.Smartlead, "smartlead.EMAIL_REPLY", "smartlead.EMAIL_REPLIED", "smartlead.EMAIL_SENT", "smartlead.UNTRACKED_REPLIES")
}

func FuzzWebhookInstantly(f *testing.F) { fuzzSource(f, webhook.Instantly, "instantly.webhook") }

func FuzzWebhookCalendly(f *testing.F) {
	fuzzSource(f, webhook.Calendly, "calendly.invitee.created", "calendly.invitee.canceled.rescheduled")
}

// FuzzHMACSignatures: parsing is total, takes one spelling only, and what it takes fits only the body that was signed.
func FuzzHMACSignatures(f *testing.F) {
	body, now := []byte("body"), time.Unix(1700000000, 0)
	good := simulator.SignCalendly("key", now, body)
	for _, seed := range []string{good, simulator.SignSmartlead("key", body), "", "t=,v1=", "sha256=", good + ",", " " + good} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if webhook.VerifyCalendly(header, body, []string{"key"}, now) == nil && header != good {
			// Another time within the tolerance would need the key.
			t.Errorf("%q verifies beside the one signature", header)
		}
		if webhook.VerifySmartlead(header, body, []string{"key"}) == nil && header != simulator.SignSmartlead("key", body) {
			t.Errorf("%q verifies beside the one signature", header)
		}
		if stamp, mac, err := webhook.ParseCalendlySignature(header); err == nil && (len(mac) != 32 || stamp == "") {
			t.Errorf("%q parsed as %q, %x", header, stamp, mac)
		}
	})
}
