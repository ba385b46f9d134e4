package edge

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
)

const event = `{"type":"InboundMessage","locationId":"l1","webhookId":"w1","body":"hello é"}`

func (h *harness) sign(body string) string {
	return base64.StdEncoding.EncodeToString(ed25519.Sign(h.key, []byte(body)))
}

func TestMarketplaceWebhook(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	w := h.do(t, http.MethodPost, "/api/webhooks/ghl", map[string]string{"X-GHL-Signature": h.sign(event)}, strings.NewReader(event))
	requireStatus(t, w, http.StatusOK, "")
	answer := object(t, w)
	if answer["success"] != true || answer["event"] != "webhookEvents/1" || answer["state"] != "PENDING" || answer["duplicate"] != false {
		t.Errorf("answer %v", answer)
	}
	who, _, _ := h.sync.get()
	if who != (principal.Principal{Kind: principal.KindWebhook}) || string(h.sync.body) != event {
		t.Errorf("principal %v, body %q", who, h.sync.body)
	}
}

// TestPathsAreNotRedirected: a POST that is answered with a redirect comes again as a GET, whose 200 says that the endpoint lives.
func TestPathsAreNotRedirected(t *testing.T) {
	t.Parallel()
	for path, status := range map[string]int{
		"//api/webhooks/ghl":         http.StatusOK,
		"/api//webhooks///ghl":       http.StatusOK,
		"/api/./webhooks/ghl":        http.StatusNotFound,
		"/api/cron/../webhooks/ghl":  http.StatusNotFound,
		"/api/webhooks/ghl/":         http.StatusNotFound,
		"/api/webhooks%2f%2fghl":     http.StatusNotFound,
		"//api//cron//availability":  http.StatusUnauthorized, // a guard is not gone round
		"/healthz/../api/cron/sync/": http.StatusNotFound,
	} {
		h := newHarness(t)
		w := h.do(t, http.MethodPost, path, map[string]string{"X-GHL-Signature": h.sign(event)}, strings.NewReader(event))
		if w.Code != status {
			t.Errorf("POST %s: %d %s, want %d", path, w.Code, w.Body, status)
		}
		if stored := string(h.sync.body) == event; stored != (status == http.StatusOK) {
			t.Errorf("POST %s: stored %v", path, stored)
		}
	}
}

func TestForgedMarketplaceWebhooks(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	rsa := make([]byte, 512)
	_, _ = rand.Read(rsa)
	good := h.sign(event)
	raw, _ := base64.StdEncoding.DecodeString(good)
	flipped := bytes.Clone(raw)
	flipped[10] ^= 1
	for name, c := range map[string]struct {
		header []string
		body   string
	}{
		"missing":          {nil, event},
		"empty":            {[]string{""}, event},
		"n/a":              {[]string{"N/A"}, event},
		"two":              {[]string{good, good}, event},
		"joined":           {[]string{good + ", " + good}, event},
		"other key":        {[]string{base64.StdEncoding.EncodeToString(ed25519.Sign(other, []byte(event)))}, event},
		"rsa in its place": {[]string{base64.StdEncoding.EncodeToString(rsa)}, event},
		"url base64":       {[]string{base64.URLEncoding.EncodeToString(raw) + "-"}, event},
		"no padding":       {[]string{strings.TrimRight(good, "=")}, event},
		"hex":              {[]string{fmt.Sprintf("%x", raw)}, event},
		"flipped bit":      {[]string{base64.StdEncoding.EncodeToString(flipped)}, event},
		"trailing space":   {[]string{good}, event + " "},
		"bom":              {[]string{good}, "\ufeff" + event},
		"re-serialised":    {[]string{good}, strings.ReplaceAll(event, `":`, `": `)},
		"empty body":       {[]string{good}, ""},
	} {
		r := httptest.NewRequest(http.MethodPost, "/api/webhooks/ghl", strings.NewReader(c.body))
		for _, value := range c.header {
			r.Header.Add("X-GHL-Signature", value)
		}
		r.Header.Set("X-WH-Signature", base64.StdEncoding.EncodeToString(rsa))
		w := httptest.NewRecorder()
		h.edge.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if _, _, calls := h.sync.get(); calls != 0 {
		t.Errorf("%d forgeries accepted", calls)
	}
}

func TestWorkflowWebhook(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, header := range []map[string]string{{"X-Relance-Secret": "a-workspace-secret"}, {"Authorization": "Bearer a-workspace-secret"}} {
		w := h.do(t, http.MethodPost, "/api/webhooks/ghl/sms", header, strings.NewReader(event))
		requireStatus(t, w, http.StatusOK, "")
		who, _, _ := h.sync.get()
		if who != (principal.Principal{Kind: principal.KindWebhook, Workspace: workspaceID}) {
			t.Errorf("principal %v", who)
		}
	}
	h.sync.identify = apierr.New(codes.Unauthenticated, "sync.relance.dev", "WEBHOOK_SECRET_UNKNOWN", "no workspace has this secret")
	w := h.do(t, http.MethodPost, "/api/webhooks/ghl/sms", map[string]string{"X-Relance-Secret": "another"}, untouchable{t})
	requireStatus(t, w, http.StatusUnauthorized, "WEBHOOK_SECRET_UNKNOWN")
	h.sync.identify = apierr.Unavailable("the database is away", nil)
	w = h.do(t, http.MethodPost, "/api/webhooks/ghl/sms", map[string]string{"X-Relance-Secret": "another"}, untouchable{t})
	requireStatus(t, w, http.StatusTooManyRequests, "")
	if w.Header().Get("Retry-After") != "600" {
		t.Errorf("Retry-After = %q", w.Header().Get("Retry-After"))
	}
}

// A service that hangs does not keep the sender waiting until it gives up: it is told in time to deliver again.
func TestWebhookIsAnsweredInTime(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(o *Options) { o.CallTimeout, o.WebhookTimeout = time.Hour, 100*time.Millisecond })
	h.sync.hangs.Store(true)
	w := h.do(t, http.MethodPost, "/api/webhooks/ghl", map[string]string{"X-GHL-Signature": h.sign(event)}, strings.NewReader(event))
	requireStatus(t, w, http.StatusTooManyRequests, "")
	if w.Header().Get("Retry-After") != "600" {
		t.Errorf("Retry-After = %q", w.Header().Get("Retry-After"))
	}
	if !strings.Contains(w.Body.String(), "did not answer in time") {
		t.Errorf("the answer is %s", w.Body.String())
	}
}

func TestBodyCap(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	big := strings.Repeat("x", MaxBody+1)
	routes := map[string]map[string]string{
		"/api/webhooks/ghl":                  {"X-GHL-Signature": h.sign(big)},
		"/api/webhooks/ghl/sms":              {"X-Relance-Secret": "a-workspace-secret"},
		"/api/webhooks/email":                {"X-Relance-Secret": "a-workspace-secret"},
		"/api/webhooks/smartlead?token=abc":  {},
		"/api/webhooks/instantly":            {"Authorization": "Bearer a-workspace-secret"},
		calendlyPath:                         {"Calendly-Webhook-Signature": calendlySignature},
		"/api/admin/workspaces":              admin(),
		"/v1/" + leadName + ":sendMessage":   admin(),
		"/v1/workspaces?request_id=whatever": admin(),
	}
	for path, header := range routes {
		declared := httptest.NewRequest(http.MethodPost, path, untouchable{t})
		declared.ContentLength = MaxBody + 1
		streamed := httptest.NewRequest(http.MethodPost, path, io.MultiReader(strings.NewReader(big)))
		streamed.ContentLength = -1
		for _, r := range []*http.Request{declared, streamed} {
			for key, value := range header {
				r.Header.Set(key, value)
			}
			w := httptest.NewRecorder()
			h.edge.ServeHTTP(w, r)
			requireStatus(t, w, http.StatusRequestEntityTooLarge, ReasonBodyTooLarge)
		}
	}
	full := strings.Repeat("x", MaxBody)
	w := h.do(t, http.MethodPost, "/api/webhooks/ghl", map[string]string{"X-GHL-Signature": h.sign(full)}, strings.NewReader(full))
	requireStatus(t, w, http.StatusOK, "")
}

func TestWebhookHealth(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, path := range []string{
		"/api/webhooks/ghl", "/api/webhooks/ghl/sms", "/api/webhooks/email", "/api/webhooks/smartlead", "/api/webhooks/instantly", calendlyPath,
	} {
		w := h.do(t, http.MethodGet, path, nil, untouchable{t})
		requireStatus(t, w, http.StatusOK, "")
		if answer := object(t, w); answer["status"] != "ok" || answer["endpoints"] == nil {
			t.Errorf("answer %v", answer)
		}
	}
}
