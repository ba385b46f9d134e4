// Package ghl speaks to GoHighLevel: sends, and reads of contacts, history, slots. Reads wait for a permit of the location's
// budget; a send brings its own, taken before it was claimed. What every answer says about the limit is passed on.
package ghl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/exchange"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
)

const (
	versionConversations = "2021-04-15"
	versionContacts      = "2021-07-28"
)

// ErrID is returned before any call for an id that is not a provider id.
var ErrID = errors.New("ghl: not a provider id")

// DefaultLimit is what the provider publishes per app and location; its headers are believed once they are seen.
func DefaultLimit() budget.Limit { return budget.Limit{Calls: 100, Interval: 10 * time.Second} }

// Client calls one GoHighLevel host. It is safe for concurrent use and holds no credentials.
type Client struct {
	base   string
	http   *exchange.Client
	budget provider.Budget
	guard  provider.Guard
}

// Config is what a client needs.
type Config struct {
	// BaseURL is the host, without a trailing slash. Required.
	BaseURL string
	// Timeout (R) bounds one call.
	Timeout time.Duration
	// Budget limits the calls per location; nil limits nothing.
	Budget provider.Budget
	// Guard holds reads back while the provider does not answer; nil holds none.
	Guard provider.Guard
}

// New makes a client. Its connections are its own; Close ends the idle ones.
func New(cfg Config) (*Client, error) {
	base, err := exchange.CheckBase(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("ghl: %w", err)
	}
	return &Client{base: base, http: exchange.New(cfg.Timeout), budget: cfg.Budget, guard: cfg.Guard}, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.Close() }

// Account, Message and Result are those of every provider.
type (
	Account = provider.Account
	Message = provider.Message
	Result  = provider.Result
)

// sendBody is the request as real clients write it.
type sendBody struct {
	Type       string `json:"type"`
	ContactID  string `json:"contactId"`
	LocationID string `json:"locationId,omitempty"`
	Message    string `json:"message,omitempty"`
	Subject    string `json:"subject,omitempty"`
	HTML       string `json:"html,omitempty"`
}

// Send posts one message once. It never fails: whatever happens is evidence. The caller holds a permit of the budget.
func (c *Client) Send(ctx context.Context, who Account, m Message) Result {
	body := sendBody{Type: "SMS", ContactID: m.ContactID, LocationID: who.Location, Message: m.Content.Body}
	if m.Channel == sending.Email {
		body.Type, body.Subject, body.HTML = "Email", m.Content.Subject, m.Content.HTML
	}
	raw, err := json.Marshal(body)
	if err != nil || !lead.ValidID(m.ContactID) {
		return Result{Evidence: classify.Evidence{NotSent: true, Channel: m.Channel}}
	}
	out := c.do(ctx, call{method: http.MethodPost, path: "/conversations/messages", version: versionConversations, who: who, body: raw})
	out.Evidence.Channel = m.Channel
	return out
}

type call struct {
	method, path, version string
	query                 url.Values
	who                   Account
	body                  []byte
}

func (c *Client) do(ctx context.Context, in call) Result {
	target := c.base + in.path
	if len(in.query) > 0 {
		target += "?" + in.query.Encode()
	}
	r := exchange.Request{
		Method: in.method, URL: target, Body: in.body,
		Header: map[string]string{"Authorization": "Bearer " + in.who.Token.Reveal(), "Version": in.version},
	}
	exchanged := c.http.Read
	if in.method != http.MethodGet {
		exchanged = c.http.Write
	}
	a := exchanged(ctx, r)
	out := Result{
		Wrote: a.Wrote, Latency: a.Latency,
		Evidence: classify.Evidence{
			NotSent: a.NotSent, Failed: a.Failed, Status: a.Status, Body: a.Body, RetryAfter: a.Header.Get("Retry-After"),
			RateLimited:    a.Header.Get("X-RateLimit-Max") != "" || a.Header.Get("X-RateLimit-Remaining") != "",
			DailyRemaining: a.Header.Get("X-RateLimit-Daily-Remaining"),
		},
	}
	c.observe(ctx, in.who, out.Evidence, a.Header)
	return out
}

// observe passes on what the answer says about the limit. An overload of the provider's search says nothing about it.
func (c *Client) observe(ctx context.Context, who Account, e classify.Evidence, h http.Header) {
	if c.budget == nil || e.Status == 0 || (e.Status == http.StatusTooManyRequests && classify.SearchOverload(e)) {
		return
	}
	provider.Observe(ctx, c.budget, who.Budget(), budget.FromAnswer(e.Status, h, DefaultLimit()))
}
