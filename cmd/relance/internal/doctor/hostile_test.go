package doctor_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/relance/relance/cmd/relance/internal/doctor"
)

// TestNamesTellTheTerminalNothing: whoever names a workspace can make neither a line of the report nor a command of the terminal.
func TestNamesTellTheTerminalNothing(t *testing.T) {
	t.Parallel()
	const name = "Acme\nok\tschema sync\tall is well\x1b[2J\u009b1A\u202e"
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v1/workspaces":
			_ = json.NewEncoder(w).Encode(map[string]any{"workspaces": []any{map[string]any{"name": "workspaces/1", "displayName": name}}})
		case strings.HasSuffix(r.URL.Path, "/slots"):
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"message": name})
		default:
			_, _ = w.Write([]byte(`{}`))
		}
	}))
	t.Cleanup(gateway.Close)
	var out bytes.Buffer
	_ = doctor.Print(&out, doctor.Examine(t.Context(), doctor.Options{Gateway: gateway.URL, AdminSecret: "secret", Now: time.Now}))
	if !strings.Contains(out.String(), "Acme ok schema sync all is well") {
		t.Errorf("control: the name is not shown:\n%s", out.String())
	}
	for _, line := range strings.Split(out.String(), "\n") {
		if strings.ContainsFunc(line, unicode.IsControl) || strings.Contains(line, "\u202e") || strings.HasPrefix(line, "ok  schema sync") {
			t.Errorf("%q", line)
		}
	}
}
