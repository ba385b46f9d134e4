package cli_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/relance/relance/cmd/relance/internal/cli"
	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/secretbox"
)

// sharedBuffer is written and read at once.
type sharedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *sharedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *sharedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

var adminAddress = regexp.MustCompile(`admin listening.*?address"?[=:]"?([0-9.]+:[0-9]+)`)

// TestServeAllServesMetrics: `relance serve all` shows the metrics of the services that run in it.
func TestServeAllServesMetrics(t *testing.T) {
	t.Setenv("RELANCE_SYNC_ALLOW_VOLATILE_DATABASE", "true") // as that of tests is
	db := pgtest.New(t)
	keyset, err := secretbox.GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var log sharedBuffer
	ended := make(chan error, 1)
	go func() {
		args := []string{"serve", "all", "--database-url", db.AdminDSN, "--keyset", string(keyset), "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}
		ended <- cli.Streams{Out: io.Discard, Err: &log}.Run(ctx, args)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve all: %v", err)
		}
	})
	// Sync counts its sends when it starts.
	const want = "sends_conservation_gap"
	var page string
	for deadline := time.Now().Add(time.Minute); !strings.Contains(page, want); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s in the metrics; the page:\n%s\nthe log:\n%s", want, page, log.String())
		}
		if found := adminAddress.FindStringSubmatch(log.String()); found != nil {
			page = metricsOf(t, found[1])
		}
	}
}

// metricsOf reads the page; it is empty while nobody listens.
func metricsOf(t *testing.T, address string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	return string(raw)
}
