package edge

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// batch is a call with webhooks.
type batch struct {
	who    principal.Principal
	bodies []string
}

// BatchAcceptWebhooks does for each what AcceptWebhook does. A body that begins with "bad" is refused.
func (f *fakeSync) BatchAcceptWebhooks(ctx context.Context, r *syncv1.BatchAcceptWebhooksRequest) (*syncv1.BatchAcceptWebhooksResponse, error) {
	if f.old {
		return f.UnimplementedSyncServiceServer.BatchAcceptWebhooks(ctx, r)
	}
	if f.whole {
		return nil, f.note(ctx, r)
	}
	b, out := batch{}, &syncv1.BatchAcceptWebhooksResponse{}
	b.who, _ = principal.FromContext(ctx)
	for _, one := range r.GetRequests() {
		answer, err := f.AcceptWebhook(ctx, one)
		if err == nil && strings.HasPrefix(string(one.GetBody()), "bad") {
			err = apierr.Invalid(apierr.FieldViolation{Field: "body", Description: "is bad"})
		}
		result := &syncv1.AcceptWebhookResult{Outcome: &syncv1.AcceptWebhookResult_Response{Response: answer}}
		if err != nil {
			result.Outcome = &syncv1.AcceptWebhookResult_Error{Error: apierr.Item(ctx, slog.New(slog.DiscardHandler), "test", err)}
		}
		b.bodies, out.Results = append(b.bodies, string(one.GetBody())), append(out.Results, result)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.batches = append(f.batches, b)
	return out, nil
}

// together posts webhooks of two principals at once, among them large and bad ones, and checks each answer.
func (h *harness) together(t *testing.T) {
	t.Helper()
	var group sync.WaitGroup
	post := func(path, body string, header map[string]string) {
		group.Go(func() {
			want := http.StatusOK
			if strings.HasPrefix(body, "bad") {
				want = http.StatusBadRequest
			}
			if w := h.do(t, http.MethodPost, path, header, strings.NewReader(body)); w.Code != want {
				t.Errorf("%s %.20q: %d, want %d: %s", path, body, w.Code, want, w.Body.String())
			}
		})
	}
	for n := range 16 {
		body := fmt.Sprintf("market %d ", n)
		switch n % 4 {
		case 1:
			body = "bad " + body
		case 2:
			body += strings.Repeat("x", MaxBody-len(body))
		}
		post("/api/webhooks/ghl", body, map[string]string{"X-GHL-Signature": h.sign(body)})
		post("/api/webhooks/ghl/sms", fmt.Sprintf("workflow %d", n), map[string]string{"X-Relance-Secret": "a-workspace-secret"})
	}
	group.Wait()
}

// TestWebhooksThatComeTogether: they go in one call, but never with another principal's, and never in one that sync would
// refuse for its size. Each gets the answer to its own.
func TestWebhooksThatComeTogether(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(o *Options) { o.WebhookTimeout = time.Minute })
	shared := map[principal.Principal]bool{}
	for began := time.Now(); len(shared) < 2 && time.Since(began) < time.Minute; {
		h.sync.batches = nil
		h.together(t)
		seen := 0
		for _, b := range h.sync.batches {
			bytes := 0
			for _, body := range b.bodies {
				if bytes += len(body); strings.Contains(body, "market") == (b.who.Workspace != "") {
					t.Errorf("%v handed in %.20q", b.who, body)
				}
			}
			if bytes > intakeBytes {
				t.Errorf("a call with %d bytes", bytes)
			}
			if seen += len(b.bodies); len(b.bodies) > 1 {
				shared[b.who] = true
			}
		}
		if seen != 32 {
			t.Fatalf("%d webhooks were handed in, want 32", seen)
		}
	}
	for _, who := range []principal.Principal{{Kind: principal.KindWebhook}, {Kind: principal.KindWebhook, Workspace: workspaceID}} {
		if !shared[who] {
			t.Errorf("no call of %v had more than one webhook", who)
		}
	}
}

// TestOnlyTheClosedListGoesWithABatch: whatever headers the first of a batch has, none speaks for the others.
func TestOnlyTheClosedListGoesWithABatch(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	w := h.do(t, http.MethodPost, "/api/webhooks/ghl", map[string]string{
		"X-GHL-Signature": h.sign(event), "Relance-Principal": "system:admin", "Grpc-Metadata-Relance-Principal": "system:admin",
		"Cookie": "a=b", "X-Forwarded-For": "10.0.0.1", "Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}, strings.NewReader(event))
	requireStatus(t, w, http.StatusOK, "")
	who, meta, _ := h.sync.get()
	if who != (principal.Principal{Kind: principal.KindWebhook}) {
		t.Errorf("principal became %v", who)
	}
	for key := range meta {
		if !slices.Contains(slices.Concat(transport(), forwarded(), []string{principal.MetadataKey}), key) {
			t.Errorf("metadata %s reached the service", key)
		}
	}
	if !strings.Contains(h.logs.String(), "BatchAcceptWebhooks") {
		t.Errorf("the log does not name the call: %s", h.logs.String())
	}
}

// A sync from before batches takes them one by one.
func TestASyncFromBeforeBatches(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.sync.old = true
	w := h.do(t, http.MethodPost, "/api/webhooks/ghl", map[string]string{"X-GHL-Signature": h.sign(event)}, strings.NewReader(event))
	requireStatus(t, w, http.StatusOK, "")
	if _, _, calls := h.sync.get(); calls != 1 || string(h.sync.body) != event {
		t.Errorf("%d calls, body %q", calls, h.sync.body)
	}
}
