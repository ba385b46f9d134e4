package edge

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// sender is what is particular to one sender of webhooks: how it proves itself, and what makes it deliver again.
type sender struct {
	source syncv1.WebhookSource
	// header carries the workspace's secret beside "Authorization: Bearer"; query does for senders that can set no header.
	header, query string
	// signature and deliveryID are headers that sync gets.
	signature, deliveryID string
	// wellFormed checks the signature's form before the body is read.
	wellFormed func(string) bool
	// busy is the status that makes the sender deliver again, after retry.
	busy  int
	retry time.Duration
}

// The senders. Busy is the answer when an event could not be stored: GoHighLevel is only known for certain to deliver
// again after a 429; all others do after a 5xx and take a 4xx as final.
func marketplaceSender() sender {
	return sender{source: syncv1.WebhookSource_WEBHOOK_SOURCE_GHL_MARKETPLACE, busy: http.StatusTooManyRequests, retry: 10 * time.Minute}
}

func workflowSender() sender {
	return sender{
		source: syncv1.WebhookSource_WEBHOOK_SOURCE_GHL_WORKFLOW, header: secretHeader,
		busy: http.StatusTooManyRequests, retry: 10 * time.Minute,
	}
}

func emailBisonSender() sender {
	return sender{
		source: syncv1.WebhookSource_WEBHOOK_SOURCE_EMAILBISON, header: secretHeader, query: "token",
		busy: http.StatusServiceUnavailable, retry: time.Minute,
	}
}

func smartleadSender() sender {
	return sender{
		source: syncv1.WebhookSource_WEBHOOK_SOURCE_SMARTLEAD, header: secretHeader, query: "token",
		signature: "X-Smartlead-Signature", deliveryID: "X-Request-Id",
		wellFormed: func(value string) bool {
			text, ok := strings.CutPrefix(value, "sha256=")
			return value == "" || (ok && isMAC(text)) // Older hooks do not sign; sync knows whether the workspace wants it.
		},
		busy: http.StatusServiceUnavailable, retry: time.Minute,
	}
}

func instantlySender() sender {
	return sender{
		source: syncv1.WebhookSource_WEBHOOK_SOURCE_INSTANTLY, header: secretHeader,
		busy: http.StatusServiceUnavailable, retry: time.Minute,
	}
}

func calendlySender() sender {
	return sender{
		source: syncv1.WebhookSource_WEBHOOK_SOURCE_CALENDLY, signature: "Calendly-Webhook-Signature",
		wellFormed: func(value string) bool {
			stamp, mac, ok := strings.Cut(value, ",v1=")
			seconds, timed := strings.CutPrefix(stamp, "t=")
			return ok && timed && len(seconds) <= 11 && strings.Trim(seconds, "0123456789") == "" && isMAC(mac)
		},
		busy: http.StatusServiceUnavailable, retry: time.Minute,
	}
}

const secretHeader = "X-Relance-Secret"

// isMAC tells the lower-case hex of 32 bytes.
func isMAC(text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == sha256.Size && hex.EncodeToString(raw) == text
}

// guard finds the workspace of a request before its body is read: by the secret it carries, whose digest alone leaves the
// gateway, or by its path, when that workspace has a key to sign with.
func (e *Edge) senderGuard(from sender) guard {
	return func(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
		request, ok := from.credentials(r)
		if !ok {
			refuse(w, r, unauthenticated())
			return nil, false
		}
		ctx, cancel := e.call(r, e.opts.WebhookTimeout)
		defer cancel()
		answer, err := e.sync.IdentifyWebhookSender(ctx, request)
		workspace, named := strings.CutPrefix(answer.GetWorkspace(), "workspaces/")
		if err == nil && (!named || workspace == "" || strings.Contains(workspace, "/")) {
			err = errors.New("identify webhook sender: malformed workspace name")
		}
		if err != nil {
			w.Header().Set("Connection", "close")
			from.writeError(w, r, err)
			return nil, false
		}
		return become(r, principal.Principal{Kind: principal.KindWebhook, Workspace: workspace}), true
	}
}

func (from sender) credentials(r *http.Request) (*syncv1.IdentifyWebhookSenderRequest, bool) {
	out := &syncv1.IdentifyWebhookSenderRequest{Source: from.source}
	if from.wellFormed != nil && (len(r.Header.Values(from.signature)) > 1 || !from.wellFormed(one(r, from.signature))) {
		return nil, false
	}
	if workspace := r.PathValue("workspace"); workspace != "" {
		out.Workspace = "workspaces/" + workspace
		return out, canonicalID(workspace)
	}
	secret, ok := from.secret(r)
	if !ok {
		return nil, false
	}
	sum := sha256.Sum256([]byte(secret))
	out.SecretSha256 = sum[:]
	return out, true
}

// secret takes the secret of a request from its one place: a header, or the query for senders that cannot set one. Two
// places are none.
func (from sender) secret(r *http.Request) (string, bool) {
	if from.query == "" || len(r.URL.Query()[from.query]) == 0 {
		return presented(r, from.header)
	}
	values := r.URL.Query()[from.query]
	if len(values) != 1 || values[0] == "" || len(r.Header.Values("Authorization")) > 0 || len(r.Header.Values(from.header)) > 0 {
		return "", false
	}
	return values[0], true
}

// delivery is the sender's id of a delivery. One that is no short plain word is as good as none: repeats are then known by
// what they say.
func (from sender) delivery(r *http.Request) string {
	if from.deliveryID == "" {
		return ""
	}
	return ownID(r.Header.Values(from.deliveryID))
}

// canonicalID tells a lower-case UUID.
func canonicalID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i, r := range []byte(text) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hexDigit := (r >= '0' && r <= '9') || (r >= 'a' && r <= 'f')
		if dash != (r == '-') || (!dash && !hexDigit) {
			return false
		}
	}
	return true
}

// writeError answers so that the sender delivers again exactly what is worth it: everything that is our own trouble
// becomes its busy status.
func (from sender) writeError(w http.ResponseWriter, r *http.Request, err error) {
	e := public(err)
	status := httpStatus(e)
	// A token or policy that does not fit is our misconfiguration, not the sender's fault.
	ours := e.Domain == apierr.PlatformDomain && e.Reason != apierr.ReasonWorkspaceForbidden
	switch {
	case ours, status >= http.StatusInternalServerError, e.Code == codes.ResourceExhausted, e.Code == codes.Canceled, e.Code == codes.Aborted:
		status = from.busy
		w.Header().Set("Retry-After", retryAfter(from.retry))
	}
	writeStatus(r.Context(), w, e, status)
}
