package simulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/relance/relance/simulator"
)

func TestSendIsAcceptedAndInTheLedger(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	got := r.do(r.sms(lead, "hello <b>"))
	equal(t, "status", got.status, http.StatusCreated)
	checkSchema(t, "SendMessageResponseDto", got.body)
	accepted := r.Accepted(simulator.Filter{Location: acme, Contact: lead, Channel: "SMS"})
	if len(accepted) != 1 {
		t.Fatalf("accepted %d, want 1", len(accepted))
	}
	e := accepted[0]
	equal(t, "message id", e.MessageID, got.text("messageId"))
	equal(t, "ledger status", e.Status, http.StatusCreated)
	equal(t, "hash length", len(e.BodyHash), 64)
	for _, name := range e.HeaderNames {
		if strings.Contains(e.Body, acmeToken) || name == "" {
			t.Error("the ledger kept a token")
		}
	}
	held := r.Messages(acme, lead)
	if len(held) != 1 || held[0].Body != "hello <b>" || held[0].Source != "api" {
		t.Errorf("provider holds %+v", held)
	}
}

func TestNoIdempotency(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	for range 2 {
		req := r.sms(lead, "same")
		req.Header.Set("Idempotency-Key", "k1")
		equal(t, "status", r.do(req).status, http.StatusCreated)
	}
	equal(t, "accepted", len(r.Accepted(simulator.Filter{})), 2)
}

func TestEmailNeedsHTML(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	got := r.post("/conversations/messages", map[string]any{"type": "Email", "contactId": lead, "subject": "Hi", "message": "text only"})
	equal(t, "status", got.status, http.StatusUnprocessableEntity)
	equal(t, "code", got.text("canonicalCode"), "CONVERSATIONS_MSG_NO_CONTENT")
	got = r.do(r.email(lead, "<p>hi</p>"))
	equal(t, "status", got.status, http.StatusCreated)
	if got.text("emailMessageId") == "" {
		t.Error("no emailMessageId")
	}
}

// refusalRow is a row of the refusal table.
type refusalRow struct {
	name    string
	arrange func(*rig)
	channel string
	body    map[string]any
	status  int
	code    string
	message string
}

func dnd(channel, status string) func(*rig) {
	return func(r *rig) { must(r.t, r.SetDND(acme, lead, channel, status)) }
}

func edit(change func(*simulator.Contact)) func(*rig) {
	return func(r *rig) { r.change(change) }
}

func refusalRows() []refusalRow {
	gone := func(r *rig) { must(r.t, r.DeleteContact(acme, lead)) }
	return []refusalRow{
		{"sms dnd", dnd("SMS", "active"), "SMS", nil, 400, "CONVERSATIONS_MSG_DND_ACTIVE_SMS", "Cannot send message as DND is active for SMS."},
		{"sms dnd permanent", dnd("sms", "permanent"), "SMS", nil, 400, "CONVERSATIONS_MSG_DND_ACTIVE_SMS", "DND is active for SMS."},
		{"dnd all, sms", dnd("all", "active"), "SMS", nil, 400, "CONVERSATIONS_MSG_DND_ACTIVE_SMS", "DND is active"},
		{"dnd all, email", dnd("all", "active"), "Email", nil, 400, "CONVERSATIONS_MSG_DND_ACTIVE_EMAIL", "Cannot send message as DND is active for Email."},
		{"email dnd", dnd("Email", "active"), "Email", nil, 400, "CONVERSATIONS_MSG_DND_ACTIVE_EMAIL", "DND is active for Email."},
		{"whatsapp dnd", dnd("WhatsApp", "active"), "WhatsApp", nil, 400, "CONVERSATIONS_MSG_DND_ACTIVE_WHATSAPP", "DND is active for WhatsApp"},
		{"unsubscribed sms", func(r *rig) { must(r.t, r.Unsubscribe(acme, lead, "SMS")) }, "SMS", nil, 400, "CONVERSATIONS_MSG_UNSUBSCRIBED_SMS", "+12025550123 has unsubscribed"},
		{"unsubscribed email", func(r *rig) { must(r.t, r.Unsubscribe(acme, lead, "Email")) }, "Email", nil, 400, "CONVERSATIONS_MSG_UNSUBSCRIBED", "ada@example.com has unsubscribed"},
		{"no phone", edit(func(c *simulator.Contact) { c.Phone = "" }), "SMS", nil, 422, "CONVERSATIONS_MSG_NO_PHONE", "Missing phone number"},
		{"no phone, whatsapp", edit(func(c *simulator.Contact) { c.Phone = "" }), "WhatsApp", nil, 422, "CONVERSATIONS_MSG_NO_PHONE", "Missing phone number"},
		{"bad country code", edit(func(c *simulator.Contact) { c.Phone = "+9995550100" }), "SMS", nil, 400, "", "invalid country calling code"},
		{"no email", edit(func(c *simulator.Contact) { c.Email = "" }), "Email", nil, 400, "CONVERSATIONS_MSG_NO_EMAIL", "email"},
		{"bounced email", edit(func(c *simulator.Contact) { c.EmailInvalid = true }), "Email", nil, 400, "CONVERSATIONS_MSG_INVALID_EMAIL", "contact's e-mail is invalid"},
		{"malformed email", edit(func(c *simulator.Contact) { c.Email = "ada at example" }), "Email", nil, 400, "CONVERSATIONS_MSG_INVALID_EMAIL", "e-mail is invalid"},
		{"emailTo upper case", func(*rig) {}, "Email", map[string]any{"emailTo": "Ada@Example.com"}, 400, "CONVERSATIONS_MSG_INVALID_EMAILTO", "emailTo is not under"},
		{"contact gone", gone, "SMS", nil, 400, "CONVERSATIONS_CONTACT_NOT_FOUND", "Contact not found for id:" + lead},
		{"opted out", edit(func(c *simulator.Contact) { c.OptedOut = true }), "SMS", nil, 403, "", "Contact is opted out"},
		{"location inactive", func(r *rig) { must(r.t, r.SetLocationActive(acme, false)) }, "SMS", nil, 400, "", "Location is not active"},
		{"facebook window", func(*rig) {}, "FB", nil, 400, "CONVERSATIONS_MSG_CHAT_NO_LONGER_ACTIVE", "earlier than 24 hours ago"},
		{"foreign provider", func(*rig) {}, "SMS", map[string]any{"conversationProviderId": "p1"}, 401, "CONVERSATIONS_MSG_PROVIDER_NO_ACCESS", "conversationProvider"},
		{"foreign location", func(*rig) {}, "SMS", map[string]any{"locationId": other}, 403, "", "does not have access to this location"},
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, row := range refusalRows() {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, simulator.Config{})
			row.arrange(r)
			body := map[string]any{"type": row.channel, "contactId": lead, "message": "m", "html": "<p>m</p>", "subject": "s"}
			for key, value := range row.body {
				body[key] = value
			}
			got := r.post("/conversations/messages", body)
			equal(t, "status", got.status, row.status)
			equal(t, "code", got.text("canonicalCode"), row.code)
			if !strings.Contains(got.text("message"), row.message) {
				t.Errorf("message %q lacks %q", got.text("message"), row.message)
			}
			checkSchema(t, "BadRequestDTO", got.body)
			if got.text("traceId") == "" || got.text("error") == "" || got.body["statusCode"] != float64(row.status) {
				t.Errorf("body %s", got.raw)
			}
			sends := r.Sends(simulator.Filter{Contact: lead})
			if len(sends) != 1 || sends[0].Accepted || sends[0].Refusal == "" {
				t.Errorf("ledger %+v", sends)
			}
		})
	}
}

func TestSendValidation(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	for name, body := range map[string]any{
		"no type":      map[string]any{"contactId": lead, "message": "m"},
		"unknown type": map[string]any{"type": "Pigeon", "contactId": lead, "message": "m"},
		"no contact":   map[string]any{"type": "SMS", "message": "m"},
		"wrong type":   map[string]any{"type": "SMS", "contactId": lead, "message": 7},
	} {
		got := r.post("/conversations/messages", body)
		equal(t, name, got.status, http.StatusUnprocessableEntity)
		if list, ok := got.body["message"].([]any); !ok || len(list) == 0 {
			t.Errorf("%s: message is no list: %s", name, got.raw)
		}
	}
	equal(t, "no JSON", r.post("/conversations/messages", "{").status, http.StatusBadRequest)
	equal(t, "no object", r.post("/conversations/messages", "null").status, http.StatusBadRequest)
}

func TestFacebookInsideTheWindow(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	_, err := r.AddInboundMessage(acme, lead, simulator.FB, "hi")
	must(t, err)
	body := map[string]any{"type": "FB", "contactId": lead, "message": "hello"}
	equal(t, "inside", r.post("/conversations/messages", body).status, http.StatusCreated)
	r.clock.Advance(25 * time.Hour)
	equal(t, "outside", r.post("/conversations/messages", body).status, http.StatusBadRequest)
}

func TestStopKeyword(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	in, err := r.AddInboundMessage(acme, lead, simulator.SMS, "STOP please")
	must(t, err)
	if in.DNDWebhook != nil {
		t.Error("a sentence is not a keyword")
	}
	equal(t, "after a sentence", r.do(r.sms(lead, "x")).status, http.StatusCreated)
	in, err = r.AddInboundMessage(acme, lead, simulator.SMS, " stop ")
	must(t, err)
	if in.DNDWebhook.Type() != "ContactDndUpdate" {
		t.Errorf("DND webhook %v", in.DNDWebhook)
	}
	equal(t, "after STOP", r.do(r.sms(lead, "x")).text("canonicalCode"), "CONVERSATIONS_MSG_UNSUBSCRIBED_SMS")
	equal(t, "email still goes", r.do(r.email(lead, "<p>x</p>")).status, http.StatusCreated)
	_, err = r.AddInboundMessage(acme, lead, simulator.SMS, "START")
	must(t, err)
	equal(t, "after START", r.do(r.sms(lead, "x")).status, http.StatusCreated)
}

func TestAuthorisation(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	cases := []struct {
		name, header, value string
		status              int
		message             string
	}{
		{"no version", "Version", "", 401, "version header was not found."},
		{"bad version", "Version", "2020-01-01", 401, "version header is invalid"},
		{"no token", "Authorization", "", 401, "Invalid JWT"},
		{"garbage", "Authorization", "Bearer nope", 401, "Invalid JWT"},
		{"unknown private token", "Authorization", "Bearer pit-nope", 401, "Invalid Private Integration token"},
		{"other location", "Authorization", "Bearer pit-other", 403, "The token does not have access to this location."},
	}
	for _, c := range cases {
		req := r.request(http.MethodGet, "/contacts/"+lead, nil)
		req.Header.Set(c.header, c.value)
		got := r.do(req)
		equal(t, c.name, got.status, c.status)
		equal(t, c.name, got.text("message"), c.message)
	}
	r.RestrictTokens(acme, true)
	equal(t, "scope", r.get("/contacts/"+lead).text("message"), "The token is not authorized for this scope.")
	r.RevokeTokens(acme)
	equal(t, "revoked", r.get("/contacts/"+lead).status, http.StatusUnauthorized)
	got := r.get("/nowhere")
	equal(t, "unknown route", got.status, http.StatusNotFound)
	equal(t, "unknown route", got.text("message"), "Cannot GET /nowhere")
}

func TestRateLimits(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{RateLimit: simulator.RateLimit{Burst: 3, Daily: 5, RetryAfter: true}})
	for i := range 3 {
		got := r.get("/contacts/" + lead)
		equal(t, "status", got.status, http.StatusOK)
		equal(t, "remaining", got.header.Get("X-RateLimit-Remaining"), fmt.Sprint(2-i))
		equal(t, "daily", got.header.Get("X-RateLimit-Daily-Remaining"), fmt.Sprint(4-i))
		equal(t, "interval", got.header.Get("X-RateLimit-Interval-Milliseconds"), "10000")
		equal(t, "max", got.header.Get("X-RateLimit-Max"), "3")
		equal(t, "limit", got.header.Get("X-RateLimit-Limit-Daily"), "5")
		equal(t, "reset", got.header.Get("X-RateLimit-Reset"), "")
	}
	got := r.do(r.sms(lead, "x"))
	equal(t, "burst", got.status, http.StatusTooManyRequests)
	equal(t, "retry after", got.header.Get("Retry-After"), "11")
	r.clock.Advance(10 * time.Second)
	for range 2 {
		equal(t, "next window", r.get("/contacts/"+lead).status, http.StatusOK)
	}
	r.clock.Advance(10 * time.Second)
	got = r.get("/contacts/" + lead)
	equal(t, "day used up", got.status, http.StatusTooManyRequests)
	equal(t, "day left", got.header.Get("X-RateLimit-Daily-Remaining"), "0")
	r.clock.Advance(24 * time.Hour)
	equal(t, "next day", r.get("/contacts/"+lead).status, http.StatusOK)
}
