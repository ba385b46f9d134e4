package emailbison_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/services/sync/internal/exchange"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/provider/conformance"
	"github.com/relance/relance/services/sync/internal/provider/emailbison"
)

// TestHostGuard: an instance whose host leads to a private address is never connected to, and the call is known not to have
// left; without the guard the same server is called.
func TestHostGuard(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		_, _ = w.Write([]byte(`{}`))
	}))
	t.Cleanup(server.Close)
	probe := func(control exchange.Control) error {
		client := emailbison.New(emailbison.Config{Timeout: conformance.Timeout, Control: control})
		t.Cleanup(client.Close)
		return client.Probe(t.Context(), provider.Account{Kind: provider.EmailBison, BaseURL: server.URL, Token: redact.Secret("key-0123456789")})
	}
	if err := probe(exchange.Public()); err == nil || calls.Load() != 0 {
		t.Errorf("guarded: %v, %d calls", err, calls.Load())
	}
	if err := probe(nil); err != nil || calls.Load() != 1 {
		t.Errorf("control: %v, %d calls", err, calls.Load())
	}
}

// TestPublicAddresses: the guard judges what a host resolved to, on the port that is dialled.
func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	judge := exchange.Public()
	for address, admitted := range map[string]bool{
		"8.8.8.8:443": true, "8.8.8.8:80": false, "127.0.0.1:443": false, "10.0.0.1:443": false, "172.16.0.1:443": false,
		"192.168.1.1:443": false, "169.254.169.254:443": false, "100.64.0.1:443": false, "0.0.0.0:443": false,
	} {
		if err := judge("tcp4", address, nil); (err == nil) != admitted {
			t.Errorf("%s: %v", address, err)
		}
	}
	for address, admitted := range map[string]bool{
		"[2001:4860:4860::8888]:443": true, "[::1]:443": false, "[fc00::1]:443": false, "[fe80::1]:443": false, "[::ffff:10.0.0.1]:443": false,
	} {
		if err := judge("tcp6", address, nil); (err == nil) != admitted {
			t.Errorf("%s: %v", address, err)
		}
	}
}
