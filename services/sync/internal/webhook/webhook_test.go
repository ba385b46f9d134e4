package webhook_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/webhook"
)

const sms = `{"type":"InboundMessage","locationId":"l1C08ntBrFjLS0elLIYU","attachments":[],"body":"This is a test message",
"contactId":"cI08i1Bls3iTB9bKgFJh","contentType":"text/plain","conversationId":"fcanlLgpbQgQhderivVs",
"dateAdded":"2021-04-21T11:31:45.750Z","direction":"inbound","messageType":"SMS","status":"delivered"}`

const dnd = `{"type":"ContactDndUpdate","locationId":"ve9EPM428h8vShlRW1KT","id":"nmFmQEsNgz6AVpgLVUJ0","dnd":false,
"dndSettings":{"SMS":{"status":"inactive","code":"101"},"Email":{"status":"active"},"whatsApp":{"status":"active"}}}`

func market(raw []byte) (webhook.Event, error) {
	return webhook.Parse(webhook.Delivery{Source: webhook.Marketplace, Body: raw})
}

func TestStrictRefusals(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"empty": "", "array": `[1]`, "cut": `{"a":`, "repeated key": `{"a":1,"a":2}`, "deep repeated key": `{"x":{"a":1,"a":2}}`,
		"utf8": "{\"a\":\"\xff\"}", "two values": `{} {}`, "deep": strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40),
		"escaped repeat": `{"a":1,"\u0061":2}`, "long": `{"a":"` + strings.Repeat("x", webhook.MaxBody) + `"}`,
	} {
		if err := webhook.Strict([]byte(raw)); !errors.Is(err, webhook.ErrBody) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := webhook.Strict([]byte(sms)); err != nil {
		t.Error(err)
	}
}

func TestMarketplace(t *testing.T) {
	t.Parallel()
	e, err := market([]byte(sms))
	if err != nil || e.Kind != webhook.Message || !e.Inbound || e.Channel != sending.SMS || e.Lead.ContactID != "cI08i1Bls3iTB9bKgFJh" {
		t.Errorf("event = %+v, %v", e, err)
	}
	again, _ := market([]byte(sms))
	if e.WebhookID == "" || e.WebhookID != again.WebhookID {
		t.Errorf("keys %q and %q", e.WebhookID, again.WebhookID)
	}
	d, err := market([]byte(dnd))
	flags := webhook.Flags(d.DNDAll, d.DNDSettings)
	if err != nil || d.Kind != webhook.DND || flags[sending.SMS] != sending.Open || flags[sending.Email] != sending.DND {
		t.Errorf("event = %+v, %v", d, err)
	}
	if got := webhook.Flags(true, d.DNDSettings); got[sending.SMS] != sending.DND {
		t.Errorf("contact-wide switch left SMS %s", got[sending.SMS])
	}
	if _, err := market([]byte(`{"type":1}`)); !errors.Is(err, webhook.ErrBody) {
		t.Errorf("wrong type: %v", err)
	}
}

// TestDetailsOfAnotherTypeCostNoEvent: a refusal is final for GoHighLevel, so that a detail it writes in another form must not cost the
// reply that it came with. What an event cannot be acted on without is refused all the same, and so is what would open a channel.
func TestDetailsOfAnotherTypeCostNoEvent(t *testing.T) {
	t.Parallel()
	odd := `"status":7,"source":{"type":"x"},"userId":null,"tags":"a,b","dnd":"no","appointment":[],"webhookPayload":"x","subject":false,"dateUpdated":[]`
	const ids = `"locationId":"l1C08ntBrFjLS0elLIYU","contactId":"cI08i1Bls3iTB9bKgFJh","id":"cI08i1Bls3iTB9bKgFJh"`
	for name, c := range map[string]struct {
		body string
		kind webhook.Kind // empty for a refusal
	}{
		"reply":               {`{"type":"InboundMessage","messageType":"SMS","body":"Yes",` + ids + "," + odd + `}`, webhook.Message},
		"contact":             {`{"type":"ContactCreate","firstName":7,"phone":12125550100,"email":{},` + ids + "," + odd + `}`, webhook.Contact},
		"order":               {`{"type":"OrderCreate","body":{},"direction":1,"messageType":[],` + ids + `,"source":{"type":"website"}}`, webhook.Ignored},
		"reply of no channel": {`{"type":"InboundMessage","messageType":2,"body":"Yes",` + ids + `}`, ""},
		"reply without words": {`{"type":"InboundMessage","messageType":"SMS","body":{},` + ids + `}`, ""},
		"switches":            {`{"type":"ContactDndUpdate","dnd":"true",` + ids + `}`, ""},
		"tags":                {`{"type":"ContactTagUpdate","tags":"a,b",` + ids + `}`, ""},
		"appointment":         {`{"type":"AppointmentUpdate","appointment":{"appointmentStatus":1},` + ids + `}`, ""},
		"contact of no id":    {`{"type":"ContactCreate","id":1}`, ""},
	} {
		e, err := market([]byte(c.body))
		if c.kind == "" != errors.Is(err, webhook.ErrBody) || e.Kind != c.kind {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
		if c.kind == webhook.Message && (e.Text != "Yes" || !e.Inbound || e.Status != "7" || e.Source != "" || e.Subject != "") {
			t.Errorf("%s: %+v", name, e)
		}
	}
	e, err := webhook.Parse(webhook.Delivery{Source: webhook.Workflow, Workspace: "w", Received: time.Unix(1, 0), Body: []byte(
		`{"contact_id":"cI08i1Bls3iTB9bKgFJh","first_name":{},"last_name":["x"],"phone":12125550100,"workflow":{"id":7},"message":{"type":2,"body":"STOP"}}`)})
	if err != nil || e.Kind != webhook.Message || e.Text != "STOP" || e.Lead.FirstName != "" || e.Lead.Phone != "12125550100" {
		t.Errorf("workflow: %+v, %v", e, err)
	}
}

func TestFreshness(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)
	for offset, want := range map[time.Duration]bool{
		-2 * time.Hour: true, -2*time.Hour - time.Second: false, 5 * time.Minute: true, 5*time.Minute + time.Second: false,
	} {
		if got := (webhook.Event{Timestamp: now.Add(offset)}).Fresh(now); got != want {
			t.Errorf("fresh at %s = %v", offset, got)
		}
	}
}

func FuzzWebhookMarketplace(f *testing.F) {
	f.Add([]byte(sms))
	f.Add([]byte(dnd))
	f.Add([]byte(`{"type":"ContactCreate","id":"nmFmQEsNgz6AVpgLVUJ0","email":"JohnDeo@example.com","timestamp":"2026-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := market(raw)
		check(t, e, err)
	})
}

func FuzzWebhookWorkflow(f *testing.F) {
	f.Add([]byte(`{"contact_id":"cI08i1Bls3iTB9bKgFJh","location":{"id":"l1C08ntBrFjLS0elLIYU"},"message":{"type":2,"body":"STOP"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := webhook.Parse(webhook.Delivery{Source: webhook.Workflow, Body: raw, Workspace: "w", Received: time.Unix(1, 0)})
		check(t, e, err)
		if err == nil && e.Lead.ContactID == "" {
			t.Error("no contact")
		}
	})
}

func check(t *testing.T, e webhook.Event, err error) {
	switch {
	case err != nil && !errors.Is(err, webhook.ErrBody):
		t.Errorf("error of another kind: %v", err)
	case err == nil && (e.WebhookID == "" || e.Type == "" || e.Kind == ""):
		t.Errorf("incomplete event %+v", e)
	case err == nil && e.Kind == webhook.Message && e.Channel == "":
		t.Error("message without channel")
	}
}
