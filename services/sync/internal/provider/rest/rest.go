// Package rest is what the clients of email senders share: one JSON call under the rules of the send protocol and the
// account's budget. A send brings its own permit, taken before it was claimed; a read waits for one. What an answer says
// about the limit is passed on.
package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/exchange"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
)

// Client makes the calls of one provider's client. It is safe for concurrent use and holds no credentials.
type Client struct {
	// Kind is the provider.
	Kind provider.Kind
	// HTTP makes the exchanges.
	HTTP *exchange.Client
	// Budget limits the calls; nil limits nothing.
	Budget provider.Budget
	// Guard holds reads back while the provider does not answer; nil holds none.
	Guard provider.Guard
	// Limit is what the provider publishes.
	Limit budget.Limit
}

// Close ends idle connections.
func (c *Client) Close() { c.HTTP.Close() }

// Call is one request.
type Call struct {
	// Who makes it.
	Who provider.Account
	// URL is the whole address, Header what authorizes it.
	URL    string
	Header map[string]string
	// Body is sent as JSON, for a send.
	Body any
	// Budget and Class are whose permit a read takes; the zero Budget is the account's, with the share of reads.
	Budget budget.Key
	Class  budget.Class
}

// Unsent is the result of a send that could not be made into a request.
func (c *Client) Unsent() provider.Result {
	return provider.Result{Evidence: classify.Evidence{NotSent: true, Channel: sending.Email, Provider: string(c.Kind)}}
}

// Post sends once. It never fails: whatever happens is evidence.
func (c *Client) Post(ctx context.Context, in Call) provider.Result {
	raw, err := json.Marshal(in.Body)
	if err != nil {
		return c.Unsent()
	}
	return c.taken(ctx, in, c.HTTP.Write(ctx, exchange.Request{Method: http.MethodPost, URL: in.URL, Header: in.Header, Body: raw}))
}

// Get reads once a permit is there. Errors: ReadError, the context's, the database's.
func (c *Client) Get(ctx context.Context, in Call, into any) error {
	if in.Budget == (budget.Key{}) {
		in.Budget, in.Class = in.Who.Budget(), budget.ReadClass(ctx)
	}
	leave, err := provider.Enter(ctx, c.Guard, in.Who)
	if err != nil {
		return err
	}
	if err := c.permit(ctx, in); err != nil {
		leave(ctx, provider.NotMade)
		return err
	}
	r := c.taken(ctx, in, c.HTTP.Read(ctx, exchange.Request{Method: http.MethodGet, URL: in.URL, Header: in.Header}))
	leave(ctx, provider.OutcomeOf(ctx, r.Evidence))
	if r.Evidence.Status != http.StatusOK || r.Evidence.Failed {
		return provider.ReadFailed(r.Evidence)
	}
	if err := json.Unmarshal(r.Evidence.Body, into); err != nil {
		return provider.Garbled()
	}
	return nil
}

func (c *Client) taken(ctx context.Context, in Call, a exchange.Answer) provider.Result {
	out := provider.Result{
		Wrote: a.Wrote, Latency: a.Latency,
		Evidence: classify.Evidence{
			NotSent: a.NotSent, Failed: a.Failed, Status: a.Status, Body: a.Body, RetryAfter: a.Header.Get("Retry-After"),
			RateLimited: a.Header.Get("X-RateLimit-Limit") != "", Channel: sending.Email, Provider: string(c.Kind),
		},
	}
	if c.Budget != nil && a.Status != 0 {
		key, known := in.Budget, c.Limit
		if key == (budget.Key{}) {
			key = in.Who.Budget()
		}
		learn := budget.Learn{}
		if n, err := strconv.Atoi(a.Header.Get("X-RateLimit-Limit")); err == nil && n > 0 {
			known.Calls = n // of the same interval: they publish their limits by the minute
			learn.Limit = known
		}
		found := budget.FromAnswer(a.Status, a.Header, known)
		found.Limit = learn.Limit
		provider.Observe(ctx, c.Budget, key, found)
	}
	return out
}

func (c *Client) permit(ctx context.Context, in Call) error {
	if c.Budget == nil {
		return nil
	}
	for {
		p, err := c.Budget.Take(ctx, in.Budget, in.Class)
		var exceeded *budget.ExceededError
		if errors.As(err, &exceeded) {
			return &provider.ReadError{Verdict: classify.Limited(string(exceeded.Window), exceeded.Retry)}
		}
		if err != nil {
			return fmt.Errorf("take permit: %w", err)
		}
		if p.Use() {
			return nil
		}
	}
}

// Bearer is the header of a bearer token.
func Bearer(who provider.Account) map[string]string {
	return map[string]string{"Authorization": "Bearer " + who.Token.Reveal()}
}
