package cli_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/relance/relance/cmd/relance/internal/cli"
	"github.com/relance/relance/platform/secretbox"
)

// TestStoppedCommandsFail: process.Main takes the end of a context for a good end. A command that was to answer something, and was
// stopped, has not: `relance migrate && deploy` must not go on, and an audit that was cut short has found nothing out.
func TestStoppedCommandsFail(t *testing.T) {
	t.Parallel()
	keys, err := secretbox.GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	keyset, file := filepath.Join(dir, "keyset"), filepath.Join(dir, "sequence.yaml")
	if err := errors.Join(os.WriteFile(keyset, keys, 0o600), os.WriteFile(file, []byte("sequence: a\nactive: false\nsteps: []\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	const lead = someWorkspace + "/leads/0190d2a4-7c1e-7a10-8a51-3f6f3a5c0002"
	for name, args := range map[string][]string{
		"migrate":       {"migrate", "--database-url", "postgres://relance@%s/relance?sslmode=disable"},
		"audit":         {"audit", "sends", "--keyset", "@" + keyset, "--database-url", "postgres://relance@%s/relance?sslmode=disable"},
		"history":       {"history", someWorkspace, "--gateway", "http://%s"},
		"status":        {"status", "--gateway", "http://%s"},
		"explain":       {"explain", lead, "--gateway", "http://%s"},
		"backfill":      {"backfill", someWorkspace, "--gateway", "http://%s"},
		"sequence diff": {"sequence", "diff", file, "--workspace", someWorkspace, "--gateway", "http://%s"},
		"doctor":        {"doctor", "--gateway", "http://%s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			// It is stopped when it has begun: the other side never answers.
			address := silent(t, stop)
			for i, arg := range args {
				args[i] = string(bytes.Replace([]byte(arg), []byte("%s"), []byte(address), 1))
			}
			if name != "migrate" && name != "audit" {
				args = append(args, "--admin-secret", "0123456789abcdef")
			}
			err := cli.Streams{Out: io.Discard, Err: io.Discard}.Run(ctx, args)
			if err == nil || errors.Is(err, context.Canceled) {
				t.Errorf("stopped: %v, which is exit code 0", err)
			}
		})
	}
}

// silent is a server that takes calls, tells of them and does not answer.
func silent(t *testing.T, called func()) string {
	t.Helper()
	// Not the request's context: with a body that nobody reads, a server does not see that its caller has left.
	ended := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-ended }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			called()
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(ended) }) // before the server is closed
	return server.Listener.Addr().String()
}
