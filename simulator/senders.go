package simulator

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed fixtures/senders/*.json
var senderFixtures embed.FS

// SenderSample is a published sample of a webhook of another sender than HighLevel, such as "emailbison.LEAD_REPLIED"
// or "calendly.invitee.created". See fixtures/README.md for where each comes from.
func SenderSample(name string) (Payload, error) {
	raw, err := senderFixtures.ReadFile("fixtures/senders/" + name + ".json")
	if err != nil {
		return nil, fmt.Errorf("simulator: no sample %q: %w", name, fs.ErrNotExist)
	}
	var p Payload
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, fmt.Errorf("simulator: sample %q: %w", name, err)
	}
	return p, nil
}

// SenderSamples lists the names that SenderSample takes.
func SenderSamples() []string {
	files, err := fs.Glob(senderFixtures, "fixtures/senders/*.json")
	if err != nil { // the pattern is constant
		return nil
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(strings.TrimPrefix(file, "fixtures/senders/"), ".json")
	}
	return files
}

// With gives a copy with the value at a dotted path, such as "data.reply.id"; objects on the way are made.
func (p Payload) With(path string, value any) Payload {
	out := Payload{}
	for key, v := range p {
		out[key] = v
	}
	key, rest, deep := strings.Cut(path, ".")
	if !deep {
		out[key] = value
		return out
	}
	inner, _ := out[key].(map[string]any)
	out[key] = map[string]any(Payload(inner).With(rest, value))
	return out
}

// Sender is how a sender of webhooks delivers: what it adds to a body, and which answers it takes as a reason to try again.
type Sender struct {
	// Name is for reports.
	Name string
	// Header makes the headers of a raw body at a moment; nil adds none.
	Header func(raw []byte, now time.Time) http.Header
	// Again tells which statuses are tried again, at most Attempts times in all.
	Again    func(status int) bool
	Attempts int
}

func serverFault(status int) bool { return status >= http.StatusInternalServerError }

// EmailBisonSender signs nothing and can set no header: the secret is in the URL. Five attempts.
func EmailBisonSender() Sender { return Sender{Name: "emailbison", Again: serverFault, Attempts: 5} }

// SmartleadSender signs the body when it has a key and names each delivery. It takes a 4xx as final.
func SmartleadSender(key, deliveryID string) Sender {
	return Sender{Name: "smartlead", Again: serverFault, Attempts: 6, Header: func(raw []byte, _ time.Time) http.Header {
		header := http.Header{"X-Request-Id": {deliveryID}, "X-Webhook-Level": {"user"}}
		if key != "" {
			header.Set("X-Smartlead-Signature", SignSmartlead(key, raw))
		}
		return header
	}}
}

// InstantlySender sends the header that its owner has set.
func InstantlySender(header, secret string) Sender {
	return Sender{Name: "instantly", Again: serverFault, Attempts: 3, Header: func([]byte, time.Time) http.Header {
		return http.Header{http.CanonicalHeaderKey(header): {secret}}
	}}
}

// CalendlySender signs time and body with the subscription's key.
func CalendlySender(key string) Sender {
	return Sender{Name: "calendly", Again: serverFault, Attempts: 6, Header: func(raw []byte, now time.Time) http.Header {
		return http.Header{"Calendly-Webhook-Signature": {SignCalendly(key, now, raw)}}
	}}
}

// SignCalendly is the value of Calendly-Webhook-Signature.
func SignCalendly(key string, at time.Time, raw []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	return "t=" + seconds + ",v1=" + mac(key, []byte(seconds+"."), raw)
}

// SignSmartlead is the value of X-Smartlead-Signature.
func SignSmartlead(key string, raw []byte) string { return "sha256=" + mac(key, raw) }

func mac(key string, parts ...[]byte) string {
	h := hmac.New(sha256.New, []byte(key))
	for _, p := range parts {
		_, _ = h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// DeliverAs posts a payload as a sender does, with its retries; the waits between them are DeliveryLimits.MaxWait. The
// only error besides ctx's is a connection that fails.
func (s *Simulator) DeliverAs(ctx context.Context, from Sender, url string, p Payload) (Delivery, error) {
	raw := p.Raw()
	var d Delivery
	for {
		header := http.Header{}
		if from.Header != nil {
			header = from.Header(raw, s.now())
		}
		attempt, err := s.post(ctx, url, raw, header)
		if err != nil {
			return d, err
		}
		d.Attempts = append(d.Attempts, attempt)
		if !from.Again(attempt.Status) || len(d.Attempts) >= from.Attempts {
			return d, nil
		}
		if !s.wait(ctx, s.limits.MaxWait) {
			return d, fmt.Errorf("deliver webhook: %w", ErrClosed)
		}
	}
}
