package edge

import (
	"net/http"
	"strings"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

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
	e.accept(w, r, marketplaceSender(), &syncv1.AcceptWebhookRequest{Source: marketplaceSender().source, Body: body})
}

// senderWebhook takes the events of a sender that its guard has identified. A signature with the workspace's own key is
// checked by sync, which has the key, before it reads anything of the body.
func (e *Edge) senderWebhook(from sender) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, ok := readBody(w, r)
		if !ok {
			return
		}
		e.accept(w, r, from, &syncv1.AcceptWebhookRequest{
			Source: from.source, Body: body, Signature: one(r, from.signature), DeliveryId: from.delivery(r),
		})
	}
}

// one is the value of a header that came once; repeated ones are as good as none.
func one(r *http.Request, header string) string {
	if values := r.Header.Values(header); header != "" && len(values) == 1 {
		return values[0]
	}
	return ""
}

// accept answers 200 only after the event is stored.
func (e *Edge) accept(w http.ResponseWriter, r *http.Request, from sender, request *syncv1.AcceptWebhookRequest) {
	ctx, cancel := e.call(r, e.opts.WebhookTimeout)
	defer cancel()
	answer, err := e.store(ctx, request)
	if err != nil {
		from.writeError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, webhookAnswer{
		Success: true, Event: answer.GetEvent(), Duplicate: answer.GetDuplicate(),
		State: strings.TrimPrefix(answer.GetState().String(), "WEBHOOK_STATE_"),
	})
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
			"emailbison":  "POST /api/webhooks/email?token=..., with the workspace's secret",
			"smartlead":   "POST /api/webhooks/smartlead?token=..., with the workspace's secret",
			"instantly":   "POST /api/webhooks/instantly, with X-Relance-Secret",
			"calendly":    "POST /api/webhooks/calendly/{workspace}, signed with Calendly-Webhook-Signature",
		},
	})
}
