package simulator_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/relance/relance/simulator"
)

// receiver takes webhooks on a real loopback listener.
type receiver struct {
	mu       sync.Mutex
	statuses []int // answers to give, then 200
	bodies   []string
	headers  []http.Header
	url      string
	got      chan struct{}
}

func newReceiver(t *testing.T, statuses ...int) *receiver {
	t.Helper()
	var listen net.ListenConfig
	listener, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	rec := &receiver{statuses: statuses, url: "http://" + listener.Addr().String() + "/hook", got: make(chan struct{}, 100)}
	server := &http.Server{Handler: rec, ReadHeaderTimeout: time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		must(t, server.Close())
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return rec
}

func (rec *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	status := http.StatusOK
	if len(rec.statuses) > 0 {
		status, rec.statuses = rec.statuses[0], rec.statuses[1:]
	}
	rec.bodies = append(rec.bodies, string(raw))
	rec.headers = append(rec.headers, r.Header.Clone())
	w.Header().Set("Retry-After", "600")
	w.WriteHeader(status)
	rec.got <- struct{}{}
}

// verify checks a signature with the published key, as a receiver would.
func verify(t *testing.T, keyPEM, body, signature string) bool {
	t.Helper()
	block, _ := pem.Decode([]byte(keyPEM))
	if block == nil {
		t.Fatal("no PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	must(t, err)
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		t.Fatalf("key is %T", parsed)
	}
	raw, err := base64.StdEncoding.DecodeString(signature)
	must(t, err)
	return ed25519.Verify(key, []byte(body), raw)
}

var fast = simulator.DeliveryLimits{Attempts: 3, MaxWait: time.Millisecond}

func TestDeliverIsSignedAndRetriesOnly429(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{Delivery: fast})
	in, err := r.AddInboundMessage(acme, lead, simulator.SMS, `a <b> & "c" 😀`)
	must(t, err)
	for _, c := range []struct {
		name     string
		answers  []int
		attempts int
		ok       bool
	}{
		{"taken", nil, 1, true},
		{"429 then taken", []int{429}, 2, true},
		{"429 for ever", []int{429, 429, 429, 429}, 3, false},
		{"500", []int{500}, 1, false},
		{"401", []int{401}, 1, false},
	} {
		rec := newReceiver(t, c.answers...)
		d, err := r.Deliver(t.Context(), rec.url, in.Webhook)
		must(t, err)
		equal(t, c.name, len(d.Attempts), c.attempts)
		equal(t, c.name, d.OK(), c.ok)
		for i, body := range rec.bodies {
			equal(t, "same body", body, rec.bodies[0])
			if !verify(t, r.PublicKeyPEM(), body, rec.headers[i].Get(simulator.SignatureHeader)) {
				t.Error("signature does not verify")
			}
			if verify(t, r.PublicKeyPEM(), body+" ", rec.headers[i].Get(simulator.SignatureHeader)) {
				t.Error("signature verifies another body")
			}
		}
		if c.answers != nil && c.answers[0] == 429 {
			equal(t, "asked for", d.Attempts[0].RetryAfter, 10*time.Minute)
		}
	}
}

func TestDeliverEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{Delivery: simulator.DeliveryLimits{MaxWait: time.Hour}})
	rec := newReceiver(t, 429)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-rec.got; cancel() }()
	_, err := r.Deliver(ctx, rec.url, simulator.Payload{"type": "x"})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err = r.Deliver(t.Context(), "http://127.0.0.1:1/", simulator.Payload{}); err == nil {
		t.Error("nobody listens, no error")
	}
}

func TestMessageWebhooks(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	in, err := r.AddInboundMessage(acme, lead, simulator.SMS, "hi")
	must(t, err)
	want := map[string]any{
		"type": "InboundMessage", "locationId": acme, "contactId": lead, "direction": "inbound", "body": "hi", "messageType": "SMS",
		"messageId": in.MessageID, "conversationId": in.ConversationID, "messageTypeString": "TYPE_SMS", "from": "+12025550123",
		"timestamp": "2026-03-02T14:00:00.000Z", "dateAdded": "2026-03-02T14:00:00.000Z",
	}
	for key, value := range want {
		equal(t, key, in.Webhook[key], value)
	}
	for _, key := range []string{"webhookId", "appId", "versionId"} {
		if in.Webhook[key] == "" || in.Webhook[key] == nil {
			t.Errorf("no %s", key)
		}
	}
	sent := r.do(r.email(lead, "<p>x</p>"))
	out, err := r.MessageWebhook(sent.text("messageId"))
	must(t, err)
	equal(t, "type", out.Type(), "OutboundMessage")
	equal(t, "direction", out["direction"], any("outbound"))
	equal(t, "source", out["source"], any("api"))
	equal(t, "e-mail id", out["emailMessageId"], any(sent.text("emailMessageId")))
	if out.WebhookID() == in.Webhook.WebhookID() {
		t.Error("webhook ids repeat")
	}
}

func TestContactWebhooks(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	must(t, r.SetDND(acme, lead, simulator.SMS, simulator.DNDActive))
	for _, event := range []string{"ContactCreate", "ContactUpdate", "ContactDelete", "ContactDndUpdate", "ContactTagUpdate"} {
		p, err := r.ContactWebhook(acme, lead, event)
		must(t, err)
		equal(t, event, p.Type(), event)
		equal(t, "id", p["id"], any(lead))
		equal(t, "phone", p["phone"], any("+12025550123"))
		if p["contactId"] != nil {
			t.Error("contact events carry id, not contactId")
		}
		equal(t, event+" has dndSettings", p["dndSettings"] != nil, event == "ContactDndUpdate")
	}
	r.change(func(c *simulator.Contact) { c.Phone = "" })
	p, err := r.ContactWebhook(acme, lead, "ContactCreate")
	must(t, err)
	if _, has := p["phone"]; has {
		t.Error("a contact without a phone shows one")
	}
	if _, err = r.ContactWebhook(acme, lead, "InboundMessage"); err == nil {
		t.Error("InboundMessage is no contact event")
	}
	if _, err = r.ContactWebhook(acme, lead, "ContactSneeze"); err == nil {
		t.Error("no such event")
	}
}

func TestWorkflowDialect(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	rec := newReceiver(t)
	p, err := r.WorkflowWebhook(acme, lead, simulator.WorkflowMessage{Body: "yes", CustomData: map[string]string{"Date": "Mar 2nd, 2026"}})
	must(t, err)
	d, err := r.DeliverWorkflow(t.Context(), rec.url, p, http.Header{"x-relance-secret": {"s"}})
	must(t, err)
	equal(t, "ok", d.OK(), true)
	equal(t, "secret", rec.headers[0].Get("X-Relance-Secret"), "s")
	equal(t, "unsigned", rec.headers[0].Get(simulator.SignatureHeader), "")
	for _, key := range []string{`"contact_id":"` + lead + `"`, `"message":{"body":"yes","type":2}`, `"id":"` + acme + `"`, `"Date":"Mar 2nd, 2026"`, `"full_name":"Ada Byron"`} {
		if !strings.Contains(rec.bodies[0], key) {
			t.Errorf("body lacks %s: %s", key, rec.bodies[0])
		}
	}
	for _, key := range []string{"webhookId", "timestamp", "locationId"} {
		if _, has := p[key]; has {
			t.Errorf("the workflow dialect has no %s", key)
		}
	}
}

func TestSamplesAreAllUsable(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	events := simulator.Events()
	for _, want := range []string{"InboundMessage", "OutboundMessage", "ContactCreate", "AppointmentCreate", "ConversationUnreadUpdate"} {
		if !slices.Contains(events, want) {
			t.Errorf("no sample of %s", want)
		}
	}
	for _, event := range events {
		p, err := r.Sample(acme, event)
		must(t, err)
		equal(t, event, p.Type(), event)
		equal(t, event, p["locationId"], any(acme))
	}
	if _, err := r.Sample(acme, "Nothing"); err == nil {
		t.Error("no such sample")
	}
}

func TestAutoDeliver(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{Delivery: fast})
	rec := newReceiver(t)
	r.AutoDeliver(rec.url, "OutboundMessage", "ContactDndUpdate")
	id := r.do(r.sms(lead, "x")).text("messageId")
	<-rec.got
	must(t, r.SetDND(acme, lead, simulator.SMS, simulator.DNDActive))
	<-rec.got
	_, err := r.AddInboundMessage(acme, lead, simulator.SMS, "not asked for")
	must(t, err)
	r.AutoDeliver("")
	must(t, r.Close()) // waits for what is under way
	equal(t, "events", len(rec.bodies), 2)
	if !strings.Contains(rec.bodies[0], id) || !strings.Contains(rec.bodies[1], "ContactDndUpdate") {
		t.Errorf("bodies %q", rec.bodies)
	}
}
