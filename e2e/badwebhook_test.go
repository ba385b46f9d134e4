package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/relance/relance/simulator"
)

// maxBody is the cap on bodies, in bytes.
const maxBody = 256 << 10

// refusedUnread sends a request that announces a body and never sends it: only who reads no body can answer.
func refusedUnread(t *testing.T, base, path string) {
	t.Helper()
	host := strings.TrimPrefix(base, "http://")
	conn, err := net.DialTimeout("tcp", host, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	// Shorter than the time after which the server gives up on a request, so that its giving up is not taken for an answer.
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 100000\r\n\r\n", path, host); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer before the body was sent: %v", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d before the body was sent, want 401", resp.StatusCode)
	}
}

func (r *rig) sizes(t *testing.T) {
	filler := strings.Repeat("a", maxBody)
	over := r.sample(t, "InboundMessage", simulator.Payload{"body": filler})
	r.unchanged(t, func() {
		r.world.deliver(t, r.client, over).want(t, "marketplace", http.StatusRequestEntityTooLarge, "BODY_TOO_LARGE")
		workflow(t, r.client, r.secrets[0], over).want(t, "workflow", http.StatusRequestEntityTooLarge, "BODY_TOO_LARGE")
		// Without a declared length the cap is met while reading.
		r.do(t, request{
			method: http.MethodPost, path: "/api/webhooks/ghl", body: io.MultiReader(strings.NewReader(string(over))),
			header: http.Header{simulator.SignatureHeader: {r.world.Sign(over)}},
		}).want(t, "chunked", http.StatusRequestEntityTooLarge, "BODY_TOO_LARGE")
	})
	r.do(t, request{
		method: http.MethodPost, path: "/v1/workspaces", header: bearer(adminSecret),
		body: strings.NewReader(`{"displayName":"` + filler + `"}`),
	}).want(t, "resource", http.StatusRequestEntityTooLarge, "BODY_TOO_LARGE")
	empty := len(r.sample(t, "InboundMessage", simulator.Payload{"body": ""}))
	fits := r.sample(t, "InboundMessage", simulator.Payload{"body": filler[:maxBody-empty]})
	r.world.deliver(t, r.client, fits).want(t, "control, at the cap", http.StatusOK, "")
}

// malformed are bodies that no dialect takes.
func malformed() map[string]string {
	return map[string]string{
		"empty":          "",
		"no JSON":        "hello",
		"cut off":        `{"type":"InboundMessage","locationId":"`,
		"array":          `[{"type":"InboundMessage"}]`,
		"null":           `null`,
		"two values":     `{"type":"InboundMessage"}{"type":"InboundMessage"}`,
		"trailing text":  `{"type":"InboundMessage"} x`,
		"duplicate keys": `{"type":"InboundMessage","contact_id":"a","type":"ContactCreate","contact_id":"b"}`,
		"nested twins":   `{"type":"InboundMessage","location":{"id":"a","id":"b"}}`,
		"invalid UTF-8":  "{\"type\":\"InboundMessage\",\"body\":\"\xff\xfe\"}",
		"cut UTF-8":      "{\"type\":\"InboundMessage\",\"body\":\"\xe2\x82\"}",
		"deep":           `{"type":"InboundMessage","x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
	}
}

func (r *rig) marketplaceForm(t *testing.T) {
	bodies := malformed()
	for name, changes := range map[string]simulator.Payload{
		"type is a number":       {"type": 7},
		"locationId is an array": {"locationId": []string{"x"}},
		"contactId is an object": {"contactId": simulator.Payload{"id": "x"}},
		"body is a number":       {"body": 12},
		"timestamp is no time":   {"timestamp": "soon"},
		"type is missing":        {"type": ""},
	} {
		bodies[name] = string(r.sample(t, "InboundMessage", changes))
	}
	r.unchanged(t, func() {
		for name, body := range bodies {
			r.world.deliver(t, r.client, []byte(body)).want(t, name, http.StatusBadRequest, "")
		}
	})
}

func (r *rig) workflowForm(t *testing.T) {
	bodies := malformed()
	for name, body := range map[string]string{
		"contact_id is a number": `{"contact_id":7,"location":{"id":"` + r.world.locations[0] + `"}}`,
		"location is a string":   `{"contact_id":"WorkflowContact00000","location":"` + r.world.locations[0] + `"}`,
		"message is an array":    `{"contact_id":"WorkflowContact00000","message":[]}`,
		"no contact":             `{"location":{"id":"` + r.world.locations[0] + `"}}`,
	} {
		bodies[name] = body
	}
	r.unchanged(t, func() {
		for name, body := range bodies {
			workflow(t, r.client, r.secrets[0], []byte(body)).want(t, name, http.StatusBadRequest, "")
		}
	})
}

func (r *rig) timestamps(t *testing.T) {
	at := func(offset time.Duration) []byte {
		return r.sample(t, "InboundMessage", simulator.Payload{"timestamp": stamp(time.Now().Add(offset))})
	}
	r.unchanged(t, func() {
		for _, offset := range []time.Duration{-24 * time.Hour, -2*time.Hour - time.Minute, 6 * time.Minute, time.Hour} {
			r.world.deliver(t, r.client, at(offset)).want(t, offset.String(), http.StatusBadRequest, "")
		}
	})
	for _, offset := range []time.Duration{-2*time.Hour + 5*time.Minute, 4 * time.Minute} {
		r.world.deliver(t, r.client, at(offset)).want(t, "control "+offset.String(), http.StatusOK, "")
	}
}

// replay: the first delivery has an effect, which shows that the second could have had one.
func (r *rig) replay(t *testing.T) {
	location, contact := r.world.locations[1], ghlID("ReplayContact")
	r.world.contact(t, location, contact, "+12025550142")
	message, err := r.world.AddInboundMessage(location, contact, simulator.SMS, "is this still on?")
	if err != nil {
		t.Fatal(err)
	}
	raw, before := message.Webhook.Raw(), r.events(t)
	messages := func() int { return r.count(t, "/v1/"+r.workspaces[1]+"/messages", "messages") }
	first := r.world.deliver(t, r.client, raw)
	first.want(t, "first", http.StatusOK, "")
	if first.json(t)["duplicate"] != false {
		t.Errorf("the first delivery is called a duplicate: %s", first.body)
	}
	r.process.eventually(t, "the first delivery's effect", func() bool { return messages() == 1 && r.leads(t, 1) == 1 })
	// Once as it was, once written differently under the same id.
	message.Webhook["extra"] = "x"
	for _, again := range [][]byte{raw, message.Webhook.Raw()} {
		repeat := r.world.deliver(t, r.client, again)
		repeat.want(t, "repeat", http.StatusOK, "")
		if repeat.json(t)["duplicate"] != true || repeat.json(t).text("event") != first.json(t).text("event") {
			t.Errorf("repeat answered %s, first %s", repeat.body, first.body)
		}
	}
	r.settled(t)
	if n := r.events(t); n != before+1 {
		t.Errorf("%d webhooks stored for three deliveries of one, want 1", n-before)
	}
	if m, l := messages(), r.leads(t, 1); m != 1 || l != 1 {
		t.Errorf("%d messages and %d leads after the repeats, want 1 and 1", m, l)
	}
}

// settled waits until no stored webhook waits for its job.
func (r *rig) settled(t *testing.T) {
	t.Helper()
	r.process.eventually(t, "all webhooks to be processed", func() bool {
		for _, event := range r.api(t, http.MethodGet, "/v1/workspaces/-/webhookEvents?pageSize=500", nil).list("webhookEvents") {
			if event.text("state") == "WEBHOOK_STATE_PENDING" {
				return false
			}
		}
		return true
	})
}

func (r *rig) unknownEvent(t *testing.T) {
	before := r.leads(t, 0)
	r.stored(t, r.world.deliver(t, r.client, r.sample(t, "ConversationUnreadUpdate", nil)), "IGNORED")
	r.stored(t, r.world.deliver(t, r.client, r.sample(t, "InboundMessage", simulator.Payload{"type": "BrandNewEvent"})), "IGNORED")
	r.settled(t)
	if n := r.leads(t, 0); n != before {
		t.Errorf("unknown events made %d leads", n-before)
	}
}

func (r *rig) unknownLocation(t *testing.T) {
	before := [2]int{r.leads(t, 0), r.leads(t, 1)}
	foreign := simulator.Payload{"locationId": ghlID("LocationNowhere")}
	r.stored(t, r.world.deliver(t, r.client, r.sample(t, "InboundMessage", foreign)), "UNROUTED")
	r.stored(t, r.world.deliver(t, r.client, r.sample(t, "ContactCreate", foreign)), "UNROUTED")
	r.settled(t)
	if after := [2]int{r.leads(t, 0), r.leads(t, 1)}; after != before {
		t.Errorf("leads were %v, are %v after webhooks of an unknown location", before, after)
	}
}

// stored checks a webhook that was taken, is kept, and has no job.
func (r *rig) stored(t *testing.T, a answer, state string) {
	t.Helper()
	a.want(t, state, http.StatusOK, "")
	if got := a.json(t).text("state"); got != state {
		t.Errorf("state %s, want %s: %s", got, state, a.body)
	}
	for _, event := range r.api(t, http.MethodGet, "/v1/workspaces/-/webhookEvents?pageSize=500", nil).list("webhookEvents") {
		if event.text("name") == a.json(t).text("event") {
			if event.text("state") != "WEBHOOK_STATE_"+state {
				t.Errorf("stored as %s, want %s", event.text("state"), state)
			}
			return
		}
	}
	t.Errorf("the webhook %s is not stored", a.body)
}

// resources: bad bodies and names of /v1.
func (r *rig) resources(t *testing.T) {
	nobody := "/v1/" + r.workspaces[0] + "/leads/018f3b4e-0000-7000-8000-00000000dead"
	for _, c := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"unknown field", http.MethodPost, "/v1/workspaces", `{"displayName":"X","timeZone":"UTC","isAdmin":true}`, http.StatusBadRequest},
		{"unknown zone", http.MethodPost, "/v1/workspaces", `{"displayName":"X","timeZone":"Mars/Olympus"}`, http.StatusBadRequest},
		{"bad JSON", http.MethodPost, "/v1/workspaces", `{`, http.StatusBadRequest},
		{"wrong type", http.MethodPost, "/v1/workspaces", `{"displayName":7}`, http.StatusBadRequest},
		{"unknown parameter", http.MethodGet, "/v1/workspaces?admin=true", "", http.StatusBadRequest},
		{"foreign page token", http.MethodGet, "/v1/workspaces?pageToken=zzz", "", http.StatusBadRequest},
		{"malformed name", http.MethodGet, "/v1/workspaces/x", "", http.StatusBadRequest},
		{"no such lead", http.MethodGet, nobody, "", http.StatusNotFound},
		{"lead without identity", http.MethodPost, "/v1/" + r.workspaces[0] + "/leads", `{"firstName":"Nobody"}`, http.StatusBadRequest},
	} {
		r.do(t, request{method: c.method, path: c.path, header: bearer(adminSecret), body: strings.NewReader(c.body)}).
			want(t, c.name, c.status, "")
	}
}
