package edge

import (
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// webhookRetry is when GHL should deliver again what could not be stored.
const webhookRetry = 10 * time.Minute

type webhookAnswer struct {
	Success   bool   `json:"success"`
	Event     string `json:"event"`
	State     string `json:"state"`
	Duplicate bool   `json:"duplicate"`
}

// marketplaceWebhook takes events that HighLevel signed. The signature is over the raw bytes, so it is checked before
// anything looks into them.
func (e *Edge) marketplaceWebhook(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	signature, _ := r.Context().Value(signatureKey{}).([]byte)
	if !verifySignature(e.opts.WebhookKeys, body, signature) {
		refuse(w, r, unauthenticated())
		return
	}
	e.accept(w, r, syncv1.WebhookSource_WEBHOOK_SOURCE_GHL_MARKETPLACE, body)
}

// workflowWebhook takes the unsigned webhook action of a GHL workflow, whose sender senderGuard has identified.
func (e *Edge) workflowWebhook(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	e.accept(w, r, syncv1.WebhookSource_WEBHOOK_SOURCE_GHL_WORKFLOW, body)
}

// accept answers 200 only after the event is stored.
func (e *Edge) accept(w http.ResponseWriter, r *http.Request, source syncv1.WebhookSource, body []byte) {
	ctx, cancel := e.call(r)
	defer cancel()
	answer, err := e.sync.AcceptWebhook(ctx, &syncv1.AcceptWebhookRequest{Source: source, Body: body})
	if err != nil {
		writeWebhookError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, webhookAnswer{
		Success: true, Event: answer.GetEvent(), Duplicate: answer.GetDuplicate(),
		State: strings.TrimPrefix(answer.GetState().String(), "WEBHOOK_STATE_"),
	})
}

// writeWebhookError answers so that GHL delivers again exactly what is worth it: 429 is the only status it is known to
// retry, so everything that is our own trouble becomes one.
func writeWebhookError(w http.ResponseWriter, r *http.Request, err error) {
	e := public(err)
	status := httpStatus(e)
	// A token or policy that does not fit is our misconfiguration, not the sender's fault.
	ours := e.Domain == apierr.PlatformDomain && e.Reason != apierr.ReasonWorkspaceForbidden
	switch {
	case ours, status >= http.StatusInternalServerError, e.Code == codes.ResourceExhausted, e.Code == codes.Canceled:
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", retryAfter(webhookRetry))
	}
	writeStatus(r.Context(), w, e, status)
}

type webhookHealthAnswer struct {
	Status    string            `json:"status"`
	Message   string            `json:"message"`
	Timestamp string            `json:"timestamp"`
	Endpoints map[string]string `json:"endpoints"`
}

// webhookHealth answers GET on the webhook paths, which people open in a browser to see whether the URL is right.
func (e *Edge) webhookHealth(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, webhookHealthAnswer{
		Status: "ok", Message: "the webhook endpoint is up; send events with POST", Timestamp: e.timestamp(),
		Endpoints: map[string]string{
			"marketplace": "POST /api/webhooks/ghl, signed with X-GHL-Signature",
			"workflow":    "POST /api/webhooks/ghl/sms, with X-Relance-Secret",
		},
	})
}
