package e2e

import (
	"bytes"
	"context"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/relance/relance/platform/pgserver"
	"github.com/relance/relance/simulator"
)

// Secrets of the processes under test.
const (
	cronSecret  = "e2e-cron-secret-of-some-length"
	adminSecret = "e2e-admin-secret-of-some-length"
)

// world is the provider, in this process, with two locations.
type world struct {
	*simulator.Simulator
	url       string
	locations [2]string
	tokens    [2]string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		Simulator: simulator.New(simulator.Config{Now: time.Now}),
		locations: [2]string{ghlID("LocationAsh"), ghlID("LocationElm")},
		tokens:    [2]string{"pit-e2e-ash", "pit-e2e-elm"},
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var err error
	if w.url, err = w.Start(ctx); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = w.Close()
	})
	for i, id := range w.locations {
		if err := w.AddLocation(simulator.Location{ID: id, Name: id[:11], Timezone: "America/New_York", Token: w.tokens[i]}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// contact adds a person to a location.
func (w *world) contact(t *testing.T, location, id, phone string) {
	t.Helper()
	if _, err := w.AddContact(location, simulator.Contact{ID: id, FirstName: "Sam", Phone: phone}); err != nil {
		t.Fatal(err)
	}
}

// serve starts `relance serve all` against the world. The cron routes run nothing by themselves.
func (w *world) serve(t *testing.T, keyset string, env ...string) *child {
	t.Helper()
	return start(t, append([]string{
		"RELANCE_KEYSET=" + keyset, "RELANCE_GHL_BASE_URL=" + w.url, "RELANCE_GHL_PUBLIC_KEYS=" + w.PublicKeyPEM(),
		"RELANCE_SCHEDULER_INTERVAL=0s", "RELANCE_GATEWAY_LISTEN=127.0.0.1:0",
	}, env...), "serve", "all")
}

// secrets open the cron, admin and /v1 routes.
func secrets() []string {
	return []string{"RELANCE_CRON_SECRET=" + cronSecret, "RELANCE_ADMIN_SECRET=" + adminSecret}
}

// database starts a cluster with the one database that RELANCE_DATABASE_URL will name. It is durable, since sync refuses
// one that is not.
func database(t *testing.T) *pgserver.Server {
	t.Helper()
	db, err := pgserver.Start(t.Context(), pgserver.Config{Dir: clusterDir(t), Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Stop)
	if err := db.CreateDatabase(t.Context(), "relance"); err != nil {
		t.Fatal(err)
	}
	return db
}

// keyset asks the binary for a fresh one.
func keyset(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), relance(t), "keyset")
	cmd.Env = cleanEnv()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("relance keyset: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// deliver posts raw bytes to the marketplace webhook with their signature.
func (w *world) deliver(t *testing.T, c *client, raw []byte) answer {
	t.Helper()
	return c.do(t, request{
		method: http.MethodPost, path: "/api/webhooks/ghl", body: bytes.NewReader(raw),
		header: http.Header{simulator.SignatureHeader: {w.Sign(raw)}, "Content-Type": {"application/json"}},
	})
}

// workflow posts raw bytes to the workflow webhook with a workspace's secret.
func workflow(t *testing.T, c *client, secret string, raw []byte) answer {
	t.Helper()
	return c.do(t, request{
		method: http.MethodPost, path: "/api/webhooks/ghl/sms", body: bytes.NewReader(raw),
		header: http.Header{"X-Relance-Secret": {secret}, "Content-Type": {"application/json"}},
	})
}
