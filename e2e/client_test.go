package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// client calls one gateway.
type client struct {
	base, admin, cron string
	http              http.Client
}

func newClient(base, admin, cron string) *client {
	return &client{base: base, admin: admin, cron: cron, http: http.Client{Timeout: patience}}
}

// request is one HTTP request to the gateway.
type request struct {
	method, path string
	header       http.Header
	body         io.Reader
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// object is a decoded JSON object.
type object map[string]any

func (c *client) do(t *testing.T, r request) answer {
	t.Helper()
	a, err := c.try(t, r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	return a
}

func (c *client) try(t *testing.T, r request) (answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), r.method, c.base+r.path, r.body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range r.header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: body}, err
}

// get reads without credentials.
func (c *client) get(t *testing.T, path string) answer {
	t.Helper()
	return c.do(t, request{method: http.MethodGet, path: path})
}

// api calls a /v1 or admin route, which must succeed.
func (c *client) api(t *testing.T, method, path string, body any) object {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(raw)
	}
	a := c.do(t, request{method: method, path: path, header: bearer(c.admin), body: reader})
	if a.status/100 != 2 {
		t.Fatalf("%s %s: status %d: %s", method, path, a.status, a.body)
	}
	return a.json(t)
}

// post calls a /v1 route with a body, which may be refused.
func (c *client) post(t *testing.T, path string, body object) answer {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return c.do(t, request{method: http.MethodPost, path: path, header: bearer(c.admin), body: bytes.NewReader(raw)})
}

// count is the number of items of a list that fits one page.
func (c *client) count(t *testing.T, path, field string) int {
	t.Helper()
	return len(c.api(t, http.MethodGet, path+"?pageSize=500", nil).list(field))
}

// tick calls a cron route with the right secret.
func (c *client) tick(t *testing.T, job string) answer {
	t.Helper()
	return c.do(t, request{method: http.MethodPost, path: "/api/cron/" + job, header: bearer(c.cron)})
}

// provision makes a workspace connected to a location and gives its resource name.
func (c *client) provision(t *testing.T, title, location, token string) string {
	t.Helper()
	made := c.api(t, http.MethodPost, "/api/admin/workspaces", object{
		"name": title, "ghlLocationId": location, "ghlPrivateKey": token, "timezone": "America/New_York",
	})
	return made.object("workspace").text("resourceName")
}

// ready waits until all services are.
func (c *client) ready(t *testing.T, p *child) {
	t.Helper()
	p.eventually(t, "readiness", func() bool {
		a, err := c.try(t, request{method: http.MethodGet, path: "/readyz"})
		return err == nil && a.status == http.StatusOK
	})
}

func (a answer) json(t *testing.T) object {
	t.Helper()
	var out object
	if err := json.Unmarshal(a.body, &out); err != nil {
		t.Fatalf("the answer is no JSON object: %v: %.300s", err, a.body)
	}
	return out
}

// reason is the reason of the error's ErrorInfo.
func (a answer) reason(t *testing.T) string {
	t.Helper()
	return reasonOf(a.json(t))
}

func reasonOf(status object) string {
	for _, detail := range status.list("details") {
		if detail.text("@type") == "type.googleapis.com/google.rpc.ErrorInfo" {
			return detail.text("reason")
		}
	}
	return ""
}

// want compares status and reason.
func (a answer) want(t *testing.T, what string, status int, reason string) {
	t.Helper()
	if a.status != status {
		t.Errorf("%s: status %d, want %d: %.300s", what, a.status, status, a.body)
		return
	}
	if reason != "" && a.reason(t) != reason {
		t.Errorf("%s: reason %q, want %s", what, a.reason(t), reason)
	}
}

func (o object) text(key string) string { s, _ := o[key].(string); return s }

func (o object) number(key string) int { n, _ := o[key].(float64); return int(n) }

func (o object) object(key string) object { m, _ := o[key].(map[string]any); return m }

func (o object) list(key string) []object {
	items, _ := o[key].([]any)
	out := make([]object, 0, len(items))
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func bearer(secret string) http.Header {
	return http.Header{"Authorization": {"Bearer " + secret}, "Content-Type": {"application/json"}}
}

// ghlID makes an id of 20 letters and digits.
func ghlID(seed string) string { return (seed + strings.Repeat("0", 20))[:20] }

// addsUp checks a receipt's sum.
func addsUp(t *testing.T, receipt object) {
	t.Helper()
	results := receipt.object("results")
	if results == nil {
		t.Fatalf("no results in the receipt %v", receipt)
	}
	sum := 0
	for _, outcome := range []string{"succeeded", "failed", "skipped", "deferred", "unknown"} {
		if _, ok := results[outcome]; !ok {
			t.Errorf("the receipt has no %s", outcome)
		}
		sum += results.number(outcome)
	}
	if results.number("processed") != sum {
		t.Errorf("processed is %d, the outcomes add up to %d", results.number("processed"), sum)
	}
}

// stamp is a time as the provider writes it.
func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }
