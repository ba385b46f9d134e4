package simulator_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/relance/relance/simulator"
)

func TestAdminAPI(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{Delivery: fast})
	rec := newReceiver(t)
	location := r.post("/_sim/locations", map[string]any{"name": "Sand", "timezone": "Europe/Paris"})
	id := location.text("id")
	contact := r.post("/_sim/contacts", map[string]any{"locationId": id, "firstName": "Sam", "phone": "+12025550177", "dnd": map[string]string{"Email": "active"}})
	equal(t, "contact", contact.status, http.StatusOK)
	equal(t, "calendar", r.post("/_sim/calendars", map[string]any{"locationId": id, "slotMinutes": 20}).status, http.StatusOK)
	inbound := r.post("/_sim/inbound", map[string]any{"locationId": id, "contactId": contact.text("id"), "body": "hello", "url": rec.url})
	equal(t, "inbound", inbound.status, http.StatusOK)
	equal(t, "workflow", r.post("/_sim/inbound", map[string]any{
		"locationId": id, "contactId": contact.text("id"), "body": "hello",
		"url": rec.url, "dialect": "workflow", "headers": map[string]string{"X-Secret": "s"},
	}).status, http.StatusOK)
	equal(t, "dnd", r.post("/_sim/dnd", map[string]any{"locationId": id, "contactId": contact.text("id"), "channel": "SMS", "url": rec.url}).status, http.StatusOK)
	equal(t, "sample", r.post("/_sim/deliver", map[string]any{"locationId": id, "event": "ConversationUnreadUpdate", "url": rec.url}).status, http.StatusOK)
	equal(t, "contact event", r.post("/_sim/deliver", map[string]any{"locationId": id, "contactId": contact.text("id"), "event": "ContactCreate", "url": rec.url}).status, http.StatusOK)
	equal(t, "payload", r.post("/_sim/deliver", map[string]any{"payload": map[string]any{"type": "Odd"}, "url": rec.url}).status, http.StatusOK)
	equal(t, "delivered", len(rec.bodies), 6)
	equal(t, "secret", rec.headers[1].Get("X-Secret"), "s")
	for _, i := range []int{0, 2, 3, 4, 5} {
		if !verify(t, r.PublicKeyPEM(), rec.bodies[i], rec.headers[i].Get(simulator.SignatureHeader)) {
			t.Errorf("delivery %d is not signed", i)
		}
	}
	equal(t, "key", string(r.get("/_sim/key").raw), r.PublicKeyPEM())

	send := r.request(http.MethodPost, "/conversations/messages", map[string]any{"type": "SMS", "contactId": contact.text("id"), "message": "x"})
	send.Header.Set("Authorization", "Bearer "+location.text("token"))
	equal(t, "dnd holds", r.do(send).text("canonicalCode"), "CONVERSATIONS_MSG_DND_ACTIVE_SMS")
	equal(t, "ledger", r.get("/_sim/ledger?sends=true&contact=" + contact.text("id")).body["total"], any(float64(1)))
	equal(t, "accepted", r.get("/_sim/ledger?accepted=true").body["total"], any(float64(0)))
}

func TestAdminFaults(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	fault := r.post("/_sim/faults", map[string]any{"kind": "status_5xx_clean", "path": "/contacts/*", "delayMillis": 1})
	id := fmt.Sprint(fault.body["id"])
	equal(t, "fault", r.get("/contacts/"+lead).status, http.StatusServiceUnavailable)
	list, _ := r.get("/_sim/faults").body["faults"].([]any)
	equal(t, "list", len(list), 1)
	equal(t, "remove", r.do(r.request(http.MethodDelete, "/_sim/faults/"+id, nil)).status, http.StatusOK)
	equal(t, "twice", r.do(r.request(http.MethodDelete, "/_sim/faults/"+id, nil)).status, http.StatusNotFound)
	equal(t, "healed", r.get("/contacts/"+lead).status, http.StatusOK)
	r.post("/_sim/faults", map[string]any{"kind": "unauthorized"})
	equal(t, "clear", r.do(r.request(http.MethodDelete, "/_sim/faults", nil)).status, http.StatusOK)
	equal(t, "cleared", r.get("/contacts/"+lead).status, http.StatusOK)
}

func TestAdminRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{})
	equal(t, "unknown field", r.post("/_sim/dnd", map[string]any{"oops": 1}).status, http.StatusBadRequest)
	equal(t, "no contact", r.post("/_sim/dnd", map[string]any{"locationId": acme, "contactId": "x"}).status, http.StatusNotFound)
	equal(t, "no kind", r.post("/_sim/faults", map[string]any{}).status, http.StatusBadRequest)
	for _, url := range []string{"http://192.0.2.1/hook", "http://example.com/", "://"} {
		got := r.post("/_sim/deliver", map[string]any{"locationId": acme, "event": "ContactCreate", "url": url})
		equal(t, url, got.status, http.StatusBadRequest)
	}
	req := r.request(http.MethodGet, "/_sim/ledger", nil)
	req.RemoteAddr = "192.0.2.7:1234"
	answer := &statusOnly{header: http.Header{}}
	r.Handler().ServeHTTP(answer, req)
	equal(t, "from afar", answer.status, http.StatusForbidden)
}

// statusOnly is a ResponseWriter that keeps the status.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }
func (s *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
