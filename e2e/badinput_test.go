package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/relance/relance/simulator"
)

// rig is one serve all with two workspaces. Its cases share it one after the other, so that they can count effects.
type rig struct {
	*client
	world      *world
	process    *child
	workspaces [2]string
	secrets    [2]string
}

// TestBadInput sends what must be refused, with a control for each kind, and looks for effects.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.serve(t, keyset(t), append(secrets(), "RELANCE_DATA_DIR="+clusterDir(t))...)
	r := &rig{client: newClient(p.gateway(t), adminSecret, cronSecret), world: w, process: p}
	r.ready(t, p)
	// The person of the official samples, so that what is taken of them can be worked off.
	w.contact(t, w.locations[0], "cI08i1Bls3iTB9bKgFJh", "+12025550140")
	for i, location := range w.locations {
		r.workspaces[i] = r.provision(t, location[:11], location, w.tokens[i])
		r.secrets[i] = r.api(t, http.MethodPost, "/v1/"+r.workspaces[i]+":rotateWebhookSecret", object{}).text("secret")
	}
	for _, step := range []struct {
		name string
		run  func(*rig, *testing.T)
	}{
		{"public routes", (*rig).publicRoutes},
		{"cron secret", (*rig).cronSecrets},
		{"admin secret", (*rig).adminSecrets},
		{"signature", (*rig).signatures},
		{"workflow secret", (*rig).workflowSecrets},
		{"size", (*rig).sizes},
		{"form of a marketplace body", (*rig).marketplaceForm},
		{"form of a workflow body", (*rig).workflowForm},
		{"timestamp", (*rig).timestamps},
		{"replay", (*rig).replay},
		{"unknown event", (*rig).unknownEvent},
		{"unknown location", (*rig).unknownLocation},
		{"resources", (*rig).resources},
	} {
		t.Run(step.name, func(t *testing.T) { step.run(r, t) })
	}
}

// events is how many webhooks are stored, in all workspaces and none.
func (r *rig) events(t *testing.T) int {
	t.Helper()
	return r.count(t, "/v1/workspaces/-/webhookEvents", "webhookEvents")
}

func (r *rig) leads(t *testing.T, i int) int {
	t.Helper()
	return r.count(t, "/v1/"+r.workspaces[i]+"/leads", "leads")
}

// unchanged checks that do stores no webhook.
func (r *rig) unchanged(t *testing.T, do func()) {
	t.Helper()
	before := r.events(t)
	do()
	if after := r.events(t); after != before {
		t.Errorf("%d webhooks were stored, want none", after-before)
	}
}

func (r *rig) publicRoutes(t *testing.T) {
	r.get(t, "/healthz").want(t, "healthz", http.StatusOK, "")
	r.get(t, "/readyz").want(t, "readyz", http.StatusOK, "")
	api := r.get(t, "/openapi.json")
	api.want(t, "openapi", http.StatusOK, "")
	if len(api.json(t).object("paths")) < 20 {
		t.Errorf("openapi.json has %d paths, want all", len(api.json(t).object("paths")))
	}
	r.get(t, "/nothing").want(t, "unknown route", http.StatusNotFound, "ROUTE_UNKNOWN")
	r.do(t, request{method: http.MethodDelete, path: "/api/cron/followups", header: bearer(cronSecret)}).
		want(t, "wrong method", http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED")
}

// bad are the ways to present a secret wrongly.
func bad(secret string) map[string]http.Header {
	return map[string]http.Header{
		"missing":      {},
		"empty":        {"Authorization": {"Bearer "}},
		"wrong":        bearer(strings.Repeat("x", len(secret))),
		"truncated":    bearer(secret[:len(secret)-1]),
		"longer":       bearer(secret + "x"),
		"other case":   bearer(strings.ToUpper(secret)),
		"basic":        {"Authorization": {"Basic " + secret}},
		"twice":        {"Authorization": {"Bearer " + secret, "Bearer " + secret}},
		"in the query": {},
	}
}

func (r *rig) cronSecrets(t *testing.T) {
	runs := func() int { return r.count(t, "/v1/runs", "runs") }
	before := runs()
	for _, job := range []string{"followups", "availability"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for name, header := range bad(cronSecret) {
				path := "/api/cron/" + job
				if name == "in the query" {
					path += "?secret=" + cronSecret
				}
				r.do(t, request{method: method, path: path, header: header}).
					want(t, method+" "+job+" "+name, http.StatusUnauthorized, "CREDENTIALS_REJECTED")
			}
			r.do(t, request{method: method, path: "/api/cron/" + job, header: bearer(adminSecret)}).
				want(t, "admin secret", http.StatusUnauthorized, "CREDENTIALS_REJECTED")
		}
	}
	refusedUnread(t, r.base, "/api/cron/followups")
	if after := runs(); after != before {
		t.Errorf("refused calls made %d runs", after-before)
	}
	tick := r.tick(t, "followups")
	tick.want(t, "control", http.StatusOK, "")
	addsUp(t, tick.json(t))
	r.tick(t, "availability").want(t, "control", http.StatusOK, "")
	if after := runs(); after != before+1 {
		t.Errorf("%d runs after the control, want %d", after, before+1)
	}
}

func (r *rig) adminSecrets(t *testing.T) {
	for name, header := range bad(adminSecret) {
		r.do(t, request{method: http.MethodGet, path: "/v1/workspaces", header: header}).
			want(t, name, http.StatusUnauthorized, "CREDENTIALS_REJECTED")
	}
	r.do(t, request{method: http.MethodGet, path: "/v1/workspaces", header: bearer(cronSecret)}).
		want(t, "cron secret", http.StatusUnauthorized, "CREDENTIALS_REJECTED")
	// What a client says about who it is counts for nothing.
	r.do(t, request{method: http.MethodGet, path: "/v1/workspaces", header: http.Header{
		"Relance-Principal": {"system:admin"}, "Grpc-Metadata-Relance-Principal": {"system:admin"},
	}}).want(t, "principal header", http.StatusUnauthorized, "CREDENTIALS_REJECTED")
}

func (r *rig) signatures(t *testing.T) {
	raw := r.sample(t, "InboundMessage", nil)
	good := r.world.Sign(raw)
	cases := map[string]http.Header{
		"missing":        {},
		"empty":          {simulator.SignatureHeader: {""}},
		"not signed":     {simulator.SignatureHeader: {"N/A"}},
		"of other bytes": {simulator.SignatureHeader: {r.world.Sign(append(raw, ' '))}},
		"of another key": {simulator.SignatureHeader: {simulator.New(simulator.Config{Now: time.Now}).Sign(raw)}},
		"two":            {simulator.SignatureHeader: {good, good}},
		"two in one":     {simulator.SignatureHeader: {good + ", " + good}},
		"no base64":      {simulator.SignatureHeader: {strings.Repeat("!", len(good))}},
		"truncated":      {simulator.SignatureHeader: {good[:len(good)-4]}},
		"RSA alone":      {"X-Wh-Signature": {strings.Repeat("QUJD", 114)}},
		"RSA's header":   {"X-Wh-Signature": {good}},
	}
	r.unchanged(t, func() {
		for name, header := range cases {
			r.do(t, request{method: http.MethodPost, path: "/api/webhooks/ghl", header: header, body: strings.NewReader(string(raw))}).
				want(t, name, http.StatusUnauthorized, "CREDENTIALS_REJECTED")
		}
	})
	r.world.deliver(t, r.client, raw).want(t, "control", http.StatusOK, "")
}

// workflowSecrets: a secret of one workspace does not speak for another.
func (r *rig) workflowSecrets(t *testing.T) {
	contact := ghlID("WorkflowContact")
	r.world.contact(t, r.world.locations[0], contact, "+12025550141")
	// A workflow's webhook is a hint: its message has to be at the provider.
	if _, err := r.world.AddInboundMessage(r.world.locations[0], contact, simulator.SMS, "tell me more"); err != nil {
		t.Fatal(err)
	}
	payload, err := r.world.WorkflowWebhook(r.world.locations[0], contact, simulator.WorkflowMessage{Body: "tell me more"})
	if err != nil {
		t.Fatal(err)
	}
	r.unchanged(t, func() {
		for name, secret := range map[string]string{
			"wrong": strings.Repeat("x", 43), "truncated": r.secrets[0][:len(r.secrets[0])-1], "cron": cronSecret, "admin": adminSecret,
		} {
			workflow(t, r.client, secret, payload.Raw()).want(t, name, http.StatusUnauthorized, "WEBHOOK_SECRET_UNKNOWN")
		}
		r.do(t, request{method: http.MethodPost, path: "/api/webhooks/ghl/sms", body: strings.NewReader(string(payload.Raw()))}).
			want(t, "missing", http.StatusUnauthorized, "CREDENTIALS_REJECTED")
		workflow(t, r.client, r.secrets[1], payload.Raw()).
			want(t, "of another workspace", http.StatusForbidden, "WEBHOOK_LOCATION_MISMATCH")
	})
	workflow(t, r.client, r.secrets[0], payload.Raw()).want(t, "control", http.StatusOK, "")
	r.process.eventually(t, "the control's lead", func() bool {
		for _, lead := range r.api(t, http.MethodGet, "/v1/"+r.workspaces[0]+"/leads?pageSize=500", nil).list("leads") {
			if lead.text("ghlContactId") == contact {
				return true
			}
		}
		return false
	})
	if n := r.leads(t, 1); n != 0 {
		t.Errorf("the other workspace has %d leads, want none", n)
	}
}

// sample is an official sample of an event as it is delivered to the first location, with changes.
func (r *rig) sample(t *testing.T, event string, changes simulator.Payload) []byte {
	t.Helper()
	payload, err := r.world.Sample(r.world.locations[0], event)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range changes {
		payload[key] = value
	}
	return payload.Raw()
}
