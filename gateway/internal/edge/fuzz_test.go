package edge

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/relance/relance/platform/principal"
)

// transport lists what gRPC itself and its tracing put into metadata.
func transport() []string {
	return []string{":authority", "content-type", "user-agent", "grpc-accept-encoding", "tracestate"}
}

// FuzzIncomingMetadata sends any header to a resource: nothing beyond the closed list reaches the service, and the
// principal stays the one the guard named.
func FuzzIncomingMetadata(f *testing.F) {
	for _, name := range []string{
		"Relance-Principal", "relance-principal", "Grpc-Metadata-Relance-Principal", "Grpc-Metadata-Authorization",
		"Grpcgateway-Authorization", "Authorization", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Grpc-Timeout",
		"X-HTTP-Method-Override", "Grpc-Metadata-X-Forwarded-For", "Grpc-Metadata-Relance-Principal-Bin", "Relance-Principal-Bin",
		"Te", "Trailer", "Grpc-Trace-Bin", "Traceparent", "X-Request-Id", "Cookie", "Host", "Connection", "Upgrade", ":authority",
		"Grpc-Status", "Grpc-Encoding", "X-Cron-Secret", "Content-Type", "Accept", "Permanent", "Baggage",
	} {
		f.Add(name, "system:admin")
		f.Add(name, "1n")
		f.Add(name, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	}
	h := newHarness(f)
	f.Fuzz(func(t *testing.T, name, value string) {
		r := httptest.NewRequest(http.MethodGet, "/v1/"+leadName, nil)
		r.Header[http.CanonicalHeaderKey(name)] = []string{value}
		r.Header[name] = []string{value}
		r.Header.Set("X-Admin-Secret", adminSecret)
		w := httptest.NewRecorder()
		_, _, before := h.sync.get()
		h.edge.ServeHTTP(w, r)
		who, meta, after := h.sync.get()
		if after == before {
			if w.Code != http.StatusUnauthorized {
				t.Fatalf("no call, status %d: %s", w.Code, w.Body.String())
			}
			return
		}
		if who != (principal.Principal{Kind: principal.KindAdmin}) {
			t.Fatalf("principal became %v", who)
		}
		for key, values := range meta {
			switch {
			case slices.Contains(transport(), key):
			case key == principal.MetadataKey && len(values) == 1 && values[0] != value:
			case slices.Contains(forwarded(), key) && len(values) == 1:
			default:
				t.Fatalf("metadata %s = %q reached the service", key, values)
			}
		}
		if w.Code != http.StatusOK {
			t.Fatalf("status %d: %s", w.Code, w.Body.String())
		}
	})
}

// FuzzSignatureHeader: parsing is total, takes only the one canonical spelling of 64 bytes, and what it takes verifies
// only for the bytes that were signed.
func FuzzSignatureHeader(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	keys := []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}
	signature := ed25519.Sign(key, []byte(event))
	good := base64.StdEncoding.EncodeToString(signature)
	for _, seed := range []string{
		good, "", "N/A", " " + good, good + " ", good + "\n", good[:44] + "\r\n" + good[44:], strings.TrimRight(good, "="),
		base64.URLEncoding.EncodeToString(signature), base64.StdEncoding.EncodeToString(make([]byte, 512)),
		good[:86] + "==", good[:85] + "B==", strings.Repeat("A", 88), good + "," + good,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got, err := parseSignature([]string{value, value}); err == nil {
			t.Fatalf("two headers gave %x", got)
		}
		got, err := parseSignature([]string{value})
		if err != nil {
			return
		}
		if len(got) != ed25519.SignatureSize || base64.StdEncoding.EncodeToString(got) != value {
			t.Fatalf("%q is not the canonical spelling of its bytes", value)
		}
		if verifySignature(keys, []byte(event), got) && value != good {
			t.Fatalf("%q verifies beside the one signature", value)
		}
		if verifySignature(keys, []byte(event+" "), got) {
			t.Fatalf("%q verifies other bytes", value)
		}
	})
}
