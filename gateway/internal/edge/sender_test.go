package edge

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

const (
	calendlyPath      = "/api/webhooks/calendly/" + workspaceID
	mac               = "81a9bfd092b45e5532457d73f595f87d45462d421449a6bae3fa0fa5ec207239"
	calendlySignature = "t=1700000000,v1=" + mac
)

// proof is a request of a sender that has proven itself.
type proof struct {
	path   string
	source syncv1.WebhookSource
	header map[string]string
	// busy is what the sender gets when its event could not be stored.
	busy  int
	retry string
}

func (h *harness) proofs() map[string]proof {
	return map[string]proof{
		"marketplace": {
			"/api/webhooks/ghl", syncv1.WebhookSource_WEBHOOK_SOURCE_GHL_MARKETPLACE,
			map[string]string{"X-GHL-Signature": h.sign(event)},
			http.StatusTooManyRequests, "600",
		},
		"workflow": {
			"/api/webhooks/ghl/sms", syncv1.WebhookSource_WEBHOOK_SOURCE_GHL_WORKFLOW,
			map[string]string{"X-Relance-Secret": "a-workspace-secret"},
			http.StatusTooManyRequests, "600",
		},
		"emailbison": {
			"/api/webhooks/email?token=a-workspace-secret", syncv1.WebhookSource_WEBHOOK_SOURCE_EMAILBISON,
			nil, http.StatusServiceUnavailable, "60",
		},
		"smartlead": {
			"/api/webhooks/smartlead?token=a-workspace-secret", syncv1.WebhookSource_WEBHOOK_SOURCE_SMARTLEAD,
			map[string]string{"X-Smartlead-Signature": "sha256=" + mac, "X-Request-Id": "delivery-1"},
			http.StatusServiceUnavailable, "60",
		},
		"instantly": {
			"/api/webhooks/instantly", syncv1.WebhookSource_WEBHOOK_SOURCE_INSTANTLY,
			map[string]string{"Authorization": "Bearer a-workspace-secret"},
			http.StatusServiceUnavailable, "60",
		},
		"calendly": {
			calendlyPath, syncv1.WebhookSource_WEBHOOK_SOURCE_CALENDLY,
			map[string]string{"Calendly-Webhook-Signature": calendlySignature},
			http.StatusServiceUnavailable, "60",
		},
	}
}

func TestEverySenderIsHandedOn(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for name, p := range h.proofs() {
		w := h.do(t, http.MethodPost, p.path, p.header, strings.NewReader(event))
		requireStatus(t, w, http.StatusOK, "")
		who, _, _ := h.sync.get()
		bound := workspaceID
		if name == "marketplace" {
			bound = ""
		}
		if who != (principal.Principal{Kind: principal.KindWebhook, Workspace: bound}) {
			t.Errorf("%s: principal %v", name, who)
		}
		got, ok := h.sync.req.(*syncv1.AcceptWebhookRequest)
		if !ok || got.GetSource() != p.source || string(got.GetBody()) != event {
			t.Errorf("%s: request %v", name, h.sync.req)
		}
		if want := p.header["Calendly-Webhook-Signature"] + p.header["X-Smartlead-Signature"]; got.GetSignature() != want {
			t.Errorf("%s: signature %q, want %q", name, got.GetSignature(), want)
		}
		if (name == "smartlead") != (got.GetDeliveryId() == "delivery-1") {
			t.Errorf("%s: delivery id %q", name, got.GetDeliveryId())
		}
	}
}

// TestADeliveryWithoutAnIDHasNone: an id of ours would be another one for each repeat, which would then be new.
func TestADeliveryWithoutAnIDHasNone(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	p := h.proofs()["smartlead"]
	for id, want := range map[string]string{"delivery-2": "delivery-2", "": "", "two words": "", strings.Repeat("x", 65): ""} {
		delete(p.header, "X-Request-Id")
		if id != "" {
			p.header["X-Request-Id"] = id
		}
		w := h.do(t, http.MethodPost, p.path, p.header, strings.NewReader(event))
		requireStatus(t, w, http.StatusOK, "")
		if got, _ := h.sync.req.(*syncv1.AcceptWebhookRequest); got.GetDeliveryId() != want {
			t.Errorf("id %q is handed on as %q", id, got.GetDeliveryId())
		}
	}
}

// TestUnprovenSendersAreNotRead: whoever does not prove itself in the way of its sender is refused before a byte is read.
func TestUnprovenSendersAreNotRead(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for name, c := range map[string]struct {
		path   string
		header http.Header
	}{
		"email without a token":            {"/api/webhooks/email", nil},
		"email with an empty token":        {"/api/webhooks/email?token=", nil},
		"email with two tokens":            {"/api/webhooks/email?token=a&token=b", nil},
		"email with token and header":      {"/api/webhooks/email?token=a", http.Header{"X-Relance-Secret": {"b"}}},
		"smartlead, signature alone":       {"/api/webhooks/smartlead", http.Header{"X-Smartlead-Signature": {"sha256=" + mac}}},
		"smartlead, signature malformed":   {"/api/webhooks/smartlead?token=a", http.Header{"X-Smartlead-Signature": {mac}}},
		"smartlead, upper-case signature":  {"/api/webhooks/smartlead?token=a", http.Header{"X-Smartlead-Signature": {"sha256=" + strings.ToUpper(mac)}}},
		"smartlead, two signatures":        {"/api/webhooks/smartlead?token=a", http.Header{"X-Smartlead-Signature": {"sha256=" + mac, "sha256=" + mac}}},
		"instantly, secret in the query":   {"/api/webhooks/instantly?token=a", nil},
		"instantly, two headers":           {"/api/webhooks/instantly", http.Header{"X-Relance-Secret": {"a", "b"}}},
		"calendly without a signature":     {calendlyPath, nil},
		"calendly, body-only signature":    {calendlyPath, http.Header{"Calendly-Webhook-Signature": {mac}}},
		"calendly, no time":                {calendlyPath, http.Header{"Calendly-Webhook-Signature": {"v1=" + mac}}},
		"calendly, short signature":        {calendlyPath, http.Header{"Calendly-Webhook-Signature": {"t=1,v1=" + mac[:62]}}},
		"calendly, two signatures":         {calendlyPath, http.Header{"Calendly-Webhook-Signature": {calendlySignature, calendlySignature}}},
		"calendly, workspace is no id":     {"/api/webhooks/calendly/acme", http.Header{"Calendly-Webhook-Signature": {calendlySignature}}},
		"calendly, workspace in capitals":  {strings.ToUpper(workspaceID), http.Header{"Calendly-Webhook-Signature": {calendlySignature}}},
		"calendly, secret for a signature": {calendlyPath, http.Header{"X-Relance-Secret": {"a-workspace-secret"}}},
	} {
		path := c.path
		if !strings.HasPrefix(path, "/") {
			path = "/api/webhooks/calendly/" + path
		}
		r := httptest.NewRequest(http.MethodPost, path, untouchable{t})
		for key, values := range c.header {
			r.Header[http.CanonicalHeaderKey(key)] = values
		}
		w := httptest.NewRecorder()
		h.edge.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized || w.Header().Get("Connection") != "close" {
			t.Errorf("%s: %d, Connection %q", name, w.Code, w.Header().Get("Connection"))
		}
	}
	if _, _, calls := h.sync.get(); calls != 0 {
		t.Errorf("%d calls for senders that did not prove themselves", calls)
	}
}

// TestCannotStoreAnswersBySender is the table of what makes each sender deliver again, and what must not.
func TestCannotStoreAnswersBySender(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const domain = "sync.relance.dev"
	const busy = 0
	for _, c := range []struct {
		err  error
		want int
	}{
		{apierr.Invalid(apierr.FieldViolation{Field: "body", Description: "is not JSON"}), http.StatusBadRequest},
		{apierr.New(codes.PermissionDenied, domain, "WEBHOOK_LOCATION_MISMATCH", "another workspace's location"), http.StatusForbidden},
		{apierr.New(codes.PermissionDenied, apierr.PlatformDomain, apierr.ReasonWorkspaceForbidden, "bound"), http.StatusForbidden},
		{apierr.New(codes.Unauthenticated, domain, "WEBHOOK_SIGNATURE_INVALID", "no fit"), http.StatusUnauthorized},
		{apierr.New(codes.PermissionDenied, apierr.PlatformDomain, apierr.ReasonPrincipalNotAllowed, "policy"), busy},
		{apierr.New(codes.Unauthenticated, apierr.PlatformDomain, apierr.ReasonTokenInvalid, "token"), busy},
		{apierr.Unavailable("away", nil), busy},
		{apierr.Internal(nil), busy},
		{apierr.New(codes.DeadlineExceeded, domain, "", "late"), busy},
		{apierr.Aborted("lost a race"), busy},
		{apierr.New(codes.ResourceExhausted, domain, "FULL", "full"), busy},
		{apierr.New(codes.Unimplemented, domain, "", "old"), busy},
	} {
		for name, p := range h.proofs() {
			h.sync.fail, h.sync.whole = c.err, !h.sync.whole // the call's failure is each webhook's
			want, retry := c.want, ""
			if want == busy {
				want, retry = p.busy, p.retry
			}
			w := h.do(t, http.MethodPost, p.path, p.header, strings.NewReader(event))
			requireStatus(t, w, want, "")
			if got := w.Header().Get("Retry-After"); got != retry {
				t.Errorf("%s, %v: Retry-After %q, want %q", name, c.err, got, retry)
			}
		}
	}
	h.sync.fail, h.sync.whole, h.sync.identify = nil, false, apierr.Unavailable("the database is away", nil)
	for name, p := range h.proofs() {
		if name == "marketplace" {
			continue // known by its signature, not by its workspace
		}
		w := h.do(t, http.MethodPost, p.path, p.header, untouchable{t})
		requireStatus(t, w, p.busy, "")
		if got := w.Header().Get("Retry-After"); got != p.retry {
			t.Errorf("%s unidentified: Retry-After %q, want %q", name, got, p.retry)
		}
	}
}

// FuzzSenderSignature: the form check is total, and takes one spelling of each signature only.
func FuzzSenderSignature(f *testing.F) {
	for _, seed := range []string{calendlySignature, "sha256=" + mac, "", mac, "t=,v1=", "t=1,v1=" + mac + ",v1=" + mac, "v1=" + mac + ",t=1", "t=-1,v1=" + mac} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for name, from := range map[string]sender{"calendly": calendlySender(), "smartlead": smartleadSender()} {
			if from.wellFormed(value) && (len(value) > 100 || strings.ToLower(value) != value || strings.ContainsAny(value, " \r\n")) {
				t.Errorf("%s takes %q", name, value)
			}
		}
	})
}
