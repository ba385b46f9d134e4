package e2e

import (
	"bytes"
	"net/http"
	"strconv"
	"testing"

	"github.com/relance/relance/simulator"
)

// TestDatabaseOutageHeals: while the database is away, webhooks are answered so that GHL delivers them again, cron so that
// the next call mends it, and nothing needs a restart afterwards.
func TestDatabaseOutageHeals(t *testing.T) {
	t.Parallel()
	db := database(t)
	w := newWorld(t)
	p := w.serve(t, keyset(t), append(secrets(), "RELANCE_DATABASE_URL="+db.DSN("relance"))...)
	c := newClient(p.gateway(t), adminSecret, cronSecret)
	c.ready(t, p)
	workspace := c.provision(t, "Ash", w.locations[0], w.tokens[0])
	secret := c.api(t, http.MethodPost, "/v1/"+workspace+":rotateWebhookSecret", object{}).text("secret")
	contact := ghlID("OutageContact")
	w.contact(t, w.locations[0], contact, "+12025550143")
	message, err := w.AddInboundMessage(w.locations[0], contact, simulator.SMS, "anybody there?")
	if err != nil {
		t.Fatal(err)
	}

	db.Halt()
	p.eventually(t, "the services to be not ready", func() bool { return c.get(t, "/readyz").status == http.StatusServiceUnavailable })
	again(t, "marketplace", w.deliver(t, c, message.Webhook.Raw()))
	again(t, "workflow", workflow(t, c, secret, []byte(`{"contact_id":"`+contact+`"}`)))
	for _, job := range []string{"followups", "availability"} {
		c.tick(t, job).want(t, "cron "+job, http.StatusServiceUnavailable, "")
	}
	c.get(t, "/healthz").want(t, "healthz", http.StatusOK, "")
	refused := c.do(t, request{method: http.MethodGet, path: "/v1/workspaces", header: bearer(adminSecret)})
	refused.want(t, "resource", http.StatusServiceUnavailable, "")
	if bytes.Contains(refused.body, []byte(db.Dir())) {
		t.Errorf("the answer tells where the database is: %s", refused.body)
	}

	if err := db.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.ready(t, p)
	accepted := w.deliver(t, c, message.Webhook.Raw())
	accepted.want(t, "the same webhook again", http.StatusOK, "")
	if accepted.json(t)["duplicate"] != false {
		t.Errorf("the webhook had been stored while it was refused: %s", accepted.body)
	}
	p.eventually(t, "the webhook's lead", func() bool { return c.count(t, "/v1/"+workspace+"/leads", "leads") == 1 })
	for _, job := range []string{"followups", "availability"} {
		c.tick(t, job).want(t, "cron "+job+" after the outage", http.StatusOK, "")
	}
}

// again checks the one answer after which GHL delivers again.
func again(t *testing.T, what string, a answer) {
	t.Helper()
	a.want(t, what, http.StatusTooManyRequests, "")
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds <= 0 {
		t.Errorf("%s: Retry-After is %q, want seconds", what, a.header.Get("Retry-After"))
	}
}
