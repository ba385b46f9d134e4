package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"google.golang.org/grpc"

	"github.com/relance/relance/gateway"
	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/config"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

const secret = "cron-secret-of-the-tests"

// start runs a gateway in front of a real sync service; the other two services are away.
func start(t *testing.T) string {
	t.Helper()
	policy := principal.Policy{}
	for _, m := range syncv1.SyncService_ServiceDesc.Methods {
		policy["/"+syncv1.SyncService_ServiceDesc.ServiceName+"/"+m.MethodName] = []principal.Kind{principal.KindAdmin}
	}
	for _, m := range syncv1.SyncService_ServiceDesc.Streams {
		policy["/"+syncv1.SyncService_ServiceDesc.ServiceName+"/"+m.StreamName] = []principal.Kind{principal.KindAdmin}
	}
	sync := rpctest.New(t, rpctest.Config{Service: "sync", Policy: policy, Register: func(r grpc.ServiceRegistrar) {
		syncv1.RegisterSyncServiceServer(r, syncv1.UnimplementedSyncServiceServer{})
	}})
	file := filepath.Join(t.TempDir(), "cron")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var cron config.Secret
	if err := cron.UnmarshalText([]byte("@" + file)); err != nil {
		t.Fatal(err)
	}
	away := closedAddress(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(t.Context(), gateway.Config{
		SyncTarget: sync.Target(), FollowUpsTarget: away, AvailabilityTarget: away, CronSecrets: []config.Secret{cron},
		DrainTimeout: 5 * time.Second,
	}, gateway.Deps{
		Listener: listener, Identity: sync.Identity(t, "gateway"), Clock: clock.System(),
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return g.Addr().String()
}

func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// TestHugeBodyWithWrongSecret declares 1 GiB and asks for 100-continue: the answer is 401 at once, nothing of the body is
// asked for, and the connection ends.
func TestHugeBodyWithWrongSecret(t *testing.T) {
	t.Parallel()
	address := start(t)
	for _, path := range []string{"/api/cron/followups", "/api/cron/availability", "/api/webhooks/ghl", "/api/webhooks/ghl/sms"} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nX-Cron-Secret: %s\r\nContent-Length: 1073741824\r\nExpect: 100-continue\r\n\r\nfirst bytes", path, secret[:20])
		answer, err := io.ReadAll(bufio.NewReader(conn))
		if err != nil {
			t.Errorf("%s: the connection was not closed in order: %v", path, err)
		}
		if !strings.HasPrefix(string(answer), "HTTP/1.1 401 ") || strings.Contains(string(answer), "100 Continue") {
			t.Errorf("%s: answer %q", path, answer)
		}
		_ = conn.Close()
	}
}

func TestServicesAway(t *testing.T) {
	t.Parallel()
	base := "http://" + start(t)
	get := func(path string) (int, map[string]any) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+secret)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		var body map[string]any
		if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, body
	}
	if code, body := get("/api/cron/followups"); code != http.StatusServiceUnavailable || body["code"] != float64(14) ||
		strings.Contains(fmt.Sprint(body), "127.0.0.1") {
		t.Errorf("cron: %d %v", code, body)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		code, body := get("/readyz")
		if code == http.StatusServiceUnavailable && fmt.Sprint(body["notReady"]) == "[followups availability]" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("readyz: %d %v", code, body)
		}
	}
	if code, _ := get("/healthz"); code != http.StatusOK {
		t.Errorf("healthz: %d", code)
	}
	if code, _ := get("/v1/workspaces"); code != http.StatusServiceUnavailable {
		t.Errorf("/v1 without an admin secret configured: %d", code)
	}
}

func TestConfigurationProblemsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	sync := rpctest.New(t, rpctest.Config{Service: "sync", Policy: principal.Policy{}, Register: func(grpc.ServiceRegistrar) {}})
	_, err := gateway.New(t.Context(), gateway.Config{
		CronSecrets: []config.Secret{{Secret: "short"}}, AdminSecrets: []config.Secret{{Secret: "too short"}}, GHLPublicKeys: []string{"no key"},
		CronTimeBudget: time.Hour,
	}, gateway.Deps{Identity: sync.Identity(t, "gateway"), Clock: clock.System(), Logger: slog.New(slog.DiscardHandler)})
	for _, part := range []string{"sync target", "followups target", "availability target", "cron secret", "admin secret", "GHL public key", "cron time budget"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v lacks %q", err, part)
		}
	}
}

func TestConfigFromEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("admin-secret-from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("RELANCE_CRON_SECRET", "first-cron-secret-value,second-cron-secret-value")
	t.Setenv("RELANCE_ADMIN_SECRET", "@"+file)
	var cfg gateway.Config
	parser, err := kong.New(&cfg, config.Options("")...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"--listen", "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	if err := config.Check(cfg); err != nil {
		t.Error(err)
	}
	if len(cfg.CronSecrets) != 2 || len(cfg.AdminSecrets) != 1 || cfg.AdminSecrets[0].Reveal() != "admin-secret-from-a-file" {
		t.Errorf("%d cron secrets, %d admin secrets", len(cfg.CronSecrets), len(cfg.AdminSecrets))
	}
	if printed := fmt.Sprintf("%v %+v", cfg, cfg); strings.Contains(printed, "secret-from-a-file") {
		t.Error("a secret prints")
	}
}
