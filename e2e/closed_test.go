package e2e

import (
	"net/http"
	"testing"
)

// TestRoutesWithoutSecretsAreClosed: what is not configured is not open.
func TestRoutesWithoutSecretsAreClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.serve(t, keyset(t), "RELANCE_DATA_DIR="+clusterDir(t))
	c := newClient(p.gateway(t), adminSecret, cronSecret)
	c.ready(t, p)
	for _, path := range []string{"/api/cron/followups", "/api/cron/availability", "/v1/workspaces"} {
		for _, header := range []http.Header{nil, bearer(cronSecret), bearer(""), {"Authorization": {"Bearer"}}} {
			c.do(t, request{method: http.MethodGet, path: path, header: header}).
				want(t, path, http.StatusServiceUnavailable, "SECRET_NOT_CONFIGURED")
		}
	}
	c.do(t, request{method: http.MethodPost, path: "/api/admin/workspaces", header: bearer(adminSecret)}).
		want(t, "provisioning", http.StatusServiceUnavailable, "SECRET_NOT_CONFIGURED")
	// The control: what needs no secret answers.
	c.get(t, "/healthz").want(t, "healthz", http.StatusOK, "")
}
