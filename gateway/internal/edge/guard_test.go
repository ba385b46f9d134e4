package edge

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/relance/relance/gateway/internal/gen"
)

// TestEveryRouteIsGuarded walks the route table: whatever is under a guarded prefix refuses a stranger before it reads a
// byte of the body, and calls no service.
func TestEveryRouteIsGuarded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	strangers := []map[string]string{
		{},
		{"Authorization": "Bearer wrong-wrong-wrong-wrong"},
		{"Authorization": "Basic " + cronSecret},
		{"Authorization": "Bearer"},
		{"X-WH-Signature": strings.Repeat("A", 684)},
		{"X-GHL-Signature": "N/A"},
		{"X-Cron-Secret": cronSecret[:len(cronSecret)-1]},
		{"X-Admin-Secret": adminSecret + "x"},
		{"X-Admin-Secret": cronSecret, "X-Cron-Secret": adminSecret},
		{"Cookie": "secret=" + adminSecret},
	}
	checked := 0
	for _, row := range h.edge.routes() {
		if !strings.HasPrefix(row.path, "/api/") && !strings.HasPrefix(row.path, "/v1") {
			continue
		}
		if row.guard == nil {
			t.Errorf("%s has no guard", row.path)
		}
		methods := []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
		for _, method := range methods {
			_, listed := row.methods[method]
			open := len(row.open) > 0 && method == http.MethodGet
			if open || (row.methods != nil && !listed) {
				continue
			}
			for i, header := range strangers {
				if strings.HasPrefix(row.path, "/api/webhooks/") && strings.HasPrefix(header["Authorization"], "Bearer w") {
					continue // identified by sync, see the webhook tests
				}
				w := h.do(t, method, row.path, header, untouchable{t})
				if w.Code != http.StatusUnauthorized || w.Header().Get("Connection") != "close" {
					t.Errorf("%s %s stranger %d: %d, Connection %q", method, row.path, i, w.Code, w.Header().Get("Connection"))
				}
				checked++
			}
		}
	}
	if checked < 60 {
		t.Errorf("only %d combinations checked", checked)
	}
	for name, s := range map[string]*seen{"sync": &h.sync.seen, "followups": &h.followups.seen, "availability": &h.availability.seen} {
		if _, _, calls := s.get(); calls != 0 {
			t.Errorf("%s got %d calls from strangers", name, calls)
		}
	}
}

// TestEveryResourceIsGuarded walks the generated OpenAPI document, which lists every rule of routes.yaml.
func TestEveryResourceIsGuarded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var document struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(gen.OpenAPI, &document); err != nil {
		t.Fatal(err)
	}
	if len(document.Paths) < 25 {
		t.Fatalf("only %d paths", len(document.Paths))
	}
	for path, operations := range document.Paths {
		if !strings.HasPrefix(path, "/v1/") {
			t.Errorf("%s is outside /v1", path)
		}
		target := strings.NewReplacer("{", "", "}", "").Replace(path)
		for method := range operations {
			w := h.do(t, strings.ToUpper(method), target, nil, untouchable{t})
			requireStatus(t, w, http.StatusUnauthorized, ReasonCredentials)
		}
	}
}

func TestUnsetSecretClosesRoutes(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(o *Options) { o.Cron, o.Admin = Secrets{}, Secrets{} })
	for _, path := range []string{"/api/cron/followups", "/api/cron/availability", "/api/admin/workspaces", "/v1/workspaces"} {
		for _, header := range []map[string]string{nil, {"Authorization": "Bearer "}, {"X-Cron-Secret": "", "X-Admin-Secret": ""}, admin()} {
			w := h.do(t, http.MethodPost, path, header, untouchable{t})
			requireStatus(t, w, http.StatusServiceUnavailable, ReasonSecretUnset)
		}
	}
}

func TestTableRefusesUnguardedRoute(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, path := range []string{"/api/cron/new", "/v1/new", "/api/webhooks/new", "/api/admin/new"} {
		if _, err := h.edge.route([]route{{path: path, any: h.edge.healthz}}); err == nil {
			t.Errorf("%s was taken without a guard", path)
		}
	}
}

func TestRepeatedCredentialsAreRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := httptest.NewRequest(http.MethodPost, "/api/cron/followups", untouchable{t})
	r.Header.Add("X-Cron-Secret", cronSecret)
	r.Header.Add("X-Cron-Secret", cronSecret)
	w := httptest.NewRecorder()
	h.edge.ServeHTTP(w, r)
	requireStatus(t, w, http.StatusUnauthorized, ReasonCredentials)
}

func TestNewSecrets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		secrets []string
		fails   bool
	}{
		"none":      {nil, false},
		"empty":     {[]string{"", "  "}, false},
		"short":     {[]string{"short"}, true},
		"three":     {[]string{cronSecret, cronSecret2, adminSecret}, true},
		"two":       {[]string{cronSecret, cronSecret2}, false},
		"with line": {[]string{cronSecret + "\n"}, false},
	} {
		s, err := NewSecrets(c.secrets...)
		if (err != nil) != c.fails {
			t.Errorf("%s: %v", name, err)
		}
		if name == "with line" && !s.Match(cronSecret) {
			t.Error("the line end of a secret file became part of the secret")
		}
	}
	if (Secrets{}).Match("") {
		t.Error("no secrets match something")
	}
}

func TestPanicIsAnsweredNeutrally(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	handler, err := h.edge.route([]route{{path: "/boom", any: func(http.ResponseWriter, *http.Request) { panic("call +12025550123") }}})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/boom", nil))
	requireStatus(t, w, http.StatusInternalServerError, "")
	if strings.Contains(w.Body.String(), "call") || strings.Contains(h.logs.String(), "2025550123") {
		t.Errorf("answer %s, log %s", w.Body.String(), h.logs.String())
	}
}
