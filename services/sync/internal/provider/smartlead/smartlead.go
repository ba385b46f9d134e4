// Package smartlead answers emails through Smartlead. Its API names no id of what it takes: a reply is known to have left
// when the thread shows it.
package smartlead

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/exchange"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/provider/rest"
)

// Client calls one Smartlead host. It is safe for concurrent use and holds no credentials.
type Client struct {
	rest.Client
	base string
}

var _ provider.Mail = (*Client)(nil)

// DefaultLimit is that of the smaller plan, per key; the headers are believed once they are seen.
func DefaultLimit() budget.Limit { return budget.Limit{Calls: 60, Interval: time.Minute} }

// Config is what a client needs.
type Config struct {
	// BaseURL is the host with the version's path. Required.
	BaseURL string
	// Timeout (R) bounds one call.
	Timeout time.Duration
	// Budget limits the calls per key; nil limits nothing.
	Budget provider.Budget
	// Guard holds reads back while the sender does not answer; nil holds none.
	Guard provider.Guard
}

// New makes a client. Its connections are its own; Close ends the idle ones.
func New(cfg Config) (*Client, error) {
	base, err := exchange.CheckBase(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("smartlead: %w", err)
	}
	return &Client{base: base, Client: rest.Client{
		Kind: provider.Smartlead, HTTP: exchange.New(cfg.Timeout), Budget: cfg.Budget, Guard: cfg.Guard, Limit: DefaultLimit(),
	}}, nil
}

// address makes a URL. The key is a part of it: it must never be logged.
func (c *Client) address(who provider.Account, path string, query url.Values) string {
	if query == nil {
		query = url.Values{}
	}
	query.Set("api_key", who.Token.Reveal())
	return c.base + path + "?" + query.Encode()
}

// Send answers one email once.
func (c *Client) Send(ctx context.Context, who provider.Account, m provider.Message) provider.Result {
	if !m.Target.Usable(string(provider.Smartlead)) {
		return c.Unsent()
	}
	return c.Post(ctx, rest.Call{
		Who: who, URL: c.address(who, "/campaigns/"+m.Target.Campaign+"/reply-email-thread", nil),
		Body: struct {
			Stats     string `json:"email_stats_id"`
			Body      string `json:"email_body"`
			Message   string `json:"reply_message_id,omitempty"`
			Signature bool   `json:"add_signature"`
		}{m.Target.Message, m.Content.HTML, m.Target.Reference, false},
	})
}

// listed is one email of a lead's history in a campaign.
type listed struct {
	Type     string          `json:"type"`
	ID       string          `json:"message_id"`
	Stats    string          `json:"stats_id"`
	Time     rest.Time       `json:"time"`
	Body     string          `json:"email_body"`
	Sequence json.RawMessage `json:"email_seq_number"`
}

// Sent lists the lead's history in the campaign, which comes whole.
func (c *Client) Sent(ctx context.Context, who provider.Account, q provider.SentQuery) ([]provider.SentMail, string, error) {
	path := "/campaigns/" + url.PathEscape(q.Target.Campaign) + "/leads/" + url.PathEscape(q.Target.Lead) + "/message-history"
	var answer struct {
		History *[]listed `json:"history"`
	}
	if err := c.Get(ctx, rest.Call{Who: who, URL: c.address(who, path, nil)}, &answer); err != nil {
		return nil, "", err
	}
	if answer.History == nil {
		return nil, "", provider.Garbled() // an answer without a list says nothing about what is there
	}
	var out []provider.SentMail
	for _, m := range *answer.History {
		id := m.ID
		if id == "" {
			id = m.Stats
		}
		if !strings.EqualFold(m.Type, "SENT") || id == "" {
			continue
		}
		out = append(out, provider.SentMail{ID: "smartlead:sent:" + id, HTML: m.Body, At: m.Time.Time, Campaign: m.inSequence()})
	}
	return out, "", nil
}

// inSequence: a step of the campaign has a number, a reply none or 0.
func (m listed) inSequence() bool {
	switch strings.Trim(string(m.Sequence), `"`) {
	case "", "null", "0":
		return false
	default:
		return true
	}
}

// Probe reads one mailbox.
func (c *Client) Probe(ctx context.Context, who provider.Account) error {
	query := url.Values{"offset": {"0"}, "limit": {"1"}}
	return c.Get(ctx, rest.Call{Who: who, URL: c.address(who, "/email-accounts/", query)}, new(json.RawMessage))
}
