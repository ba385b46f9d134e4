// Package ghl speaks to GoHighLevel by the rules of the send protocol (docs/send-protocol.md, §3.6): one call is one
// exchange, nothing is retried, no redirect is followed, no idempotency header is sent, and a send that has begun is not
// cut off by its caller.
package ghl

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
)

const (
	maxAnswer            = 1 << 20
	versionConversations = "2021-04-15"
	versionContacts      = "2021-07-28"
)

// ErrID is returned before any call for an id that is not a provider id.
var ErrID = errors.New("ghl: not a provider id")

// Client calls one GoHighLevel host. It is safe for concurrent use and holds no credentials.
type Client struct {
	base    string
	http    *http.Client
	timeout time.Duration
	clock   clock.Clock
}

// Config is what a client needs.
type Config struct {
	// BaseURL is the host, without a trailing slash. Required.
	BaseURL string
	// Timeout (R) bounds one call.
	Timeout time.Duration
}

// New makes a client. Its connections are its own; Close ends the idle ones.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.BaseURL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return nil, fmt.Errorf("ghl: base URL must be http(s)://host")
	}
	transport := &http.Transport{
		Proxy:                  nil,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    5 * time.Second,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        20 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}
	return &Client{
		base: strings.TrimSuffix(cfg.BaseURL, "/"), timeout: cfg.Timeout, clock: clock.System(),
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Account is whose credentials a call uses.
type Account struct {
	// Location is the GHL location.
	Location string
	// Token is a private integration token.
	Token redact.Secret
}

// Message is what is sent.
type Message struct {
	Channel   sending.Channel
	ContactID string
	Content   sending.Content
}

// Result is what is known after a send.
type Result struct {
	// Evidence is what the classifier judges.
	Evidence classify.Evidence
	// Wrote is true when the request's headers were written.
	Wrote bool
	// Latency is how long the exchange took.
	Latency time.Duration
}

// sendBody is the request as real clients write it.
type sendBody struct {
	Type       string `json:"type"`
	ContactID  string `json:"contactId"`
	LocationID string `json:"locationId,omitempty"`
	Message    string `json:"message,omitempty"`
	Subject    string `json:"subject,omitempty"`
	HTML       string `json:"html,omitempty"`
}

// Send posts one message once. It never fails: whatever happens is evidence. The caller's cancellation does not reach a
// call in flight; only the timeout ends it.
func (c *Client) Send(ctx context.Context, who Account, m Message) Result {
	body := sendBody{Type: "SMS", ContactID: m.ContactID, LocationID: who.Location, Message: m.Content.Body}
	if m.Channel == sending.Email {
		body.Type, body.Subject, body.HTML = "Email", m.Content.Subject, m.Content.HTML
	}
	raw, err := json.Marshal(body)
	if err != nil || !lead.ValidID(m.ContactID) {
		return Result{Evidence: classify.Evidence{NotSent: true, Channel: m.Channel}}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	defer cancel()
	// http.Transport repeats a POST by itself only when not one byte of it went out on a kept connection that had died, so
	// one Do is at most one POST.
	out := c.do(ctx, call{
		method: http.MethodPost, path: "/conversations/messages", version: versionConversations, token: who.Token,
		body: bytes.NewReader(raw),
	})
	out.Evidence.Channel = m.Channel
	return out
}

type call struct {
	method, path, version string
	query                 url.Values
	token                 redact.Secret
	body                  io.Reader
}

func (c *Client) do(ctx context.Context, in call) Result {
	var wrote atomic.Bool
	start := c.clock.Now()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaderField: func(string, []string) { wrote.Store(true) },
		WroteHeaders:     func() { wrote.Store(true) },
	})
	target := c.base + in.path
	if len(in.query) > 0 {
		target += "?" + in.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, in.method, target, in.body)
	if err != nil {
		return Result{Evidence: classify.Evidence{NotSent: true}}
	}
	req.Header.Set("Authorization", "Bearer "+in.token.Reveal())
	req.Header.Set("Version", in.version)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "relance")
	if in.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return Result{
			Evidence: classify.Evidence{NotSent: !wrote.Load(), Failed: true}, Wrote: wrote.Load(), Latency: c.clock.Now().Sub(start),
		}
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return Result{
		Wrote: true, Latency: c.clock.Now().Sub(start),
		Evidence: classify.Evidence{
			Failed: err != nil, Status: resp.StatusCode, Body: raw, RetryAfter: resp.Header.Get("Retry-After"),
			RateLimited:    resp.Header.Get("X-RateLimit-Max") != "" || resp.Header.Get("X-RateLimit-Remaining") != "",
			DailyRemaining: resp.Header.Get("X-RateLimit-Daily-Remaining"),
		},
	}
}
