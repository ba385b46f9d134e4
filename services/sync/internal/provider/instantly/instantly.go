// Package instantly answers emails through Instantly's API, version 2.
package instantly

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/exchange"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/provider/rest"
)

// ListApp names the budget of the list of emails, which has a limit of its own.
const ListApp = "emails"

// page is how many emails one page has.
const page = 100

// Types of emails, as ue_type.
const (
	ofCampaign = 1
	sent       = 3
)

// Client calls one Instantly host. It is safe for concurrent use and holds no credentials.
type Client struct {
	rest.Client
	base string
}

var _ provider.Mail = (*Client)(nil)

// DefaultLimit is that of an Instantly workspace, ListLimit that of its list of emails.
func DefaultLimit() budget.Limit { return budget.Limit{Calls: 6000, Interval: time.Minute} }

// ListLimit is the limit of GET /emails.
func ListLimit() budget.Limit { return budget.Limit{Calls: 20, Interval: time.Minute} }

// Config is what a client needs.
type Config struct {
	// BaseURL is the host. Required.
	BaseURL string
	// Timeout (R) bounds one call.
	Timeout time.Duration
	// Budget limits the calls per account; nil limits nothing.
	Budget provider.Budget
	// Guard holds reads back while the sender does not answer; nil holds none.
	Guard provider.Guard
}

// New makes a client. Its connections are its own; Close ends the idle ones.
func New(cfg Config) (*Client, error) {
	base, err := exchange.CheckBase(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("instantly: %w", err)
	}
	return &Client{base: base, Client: rest.Client{
		Kind: provider.Instantly, HTTP: exchange.New(cfg.Timeout), Budget: cfg.Budget, Guard: cfg.Guard, Limit: DefaultLimit(),
	}}, nil
}

type text struct {
	HTML string `json:"html"`
	Text string `json:"text,omitempty"`
}

// Send answers one email once.
func (c *Client) Send(ctx context.Context, who provider.Account, m provider.Message) provider.Result {
	if !m.Target.Usable(string(provider.Instantly)) {
		return c.Unsent()
	}
	return c.Post(ctx, rest.Call{
		Who: who, URL: c.base + "/api/v2/emails/reply", Header: rest.Bearer(who),
		Body: struct {
			To      string `json:"reply_to_uuid"`
			Mailbox string `json:"eaccount"`
			Subject string `json:"subject"`
			Body    text   `json:"body"`
		}{m.Target.Message, m.Target.Mailbox, m.Content.Subject, text{m.Content.HTML, m.Content.Body}},
	})
}

// listed is an email of the list.
type listed struct {
	ID      string    `json:"id"`
	Type    int       `json:"ue_type"`
	Sent    rest.Time `json:"timestamp_email"`
	Created rest.Time `json:"timestamp_created"`
	Body    text      `json:"body"`
}

// Sent lists the emails between the mailbox and the lead, newest first. The list ends with a page that is empty: the last
// one with emails still has a cursor.
func (c *Client) Sent(ctx context.Context, who provider.Account, q provider.SentQuery) ([]provider.SentMail, string, error) {
	query := url.Values{
		"lead": {q.Target.Lead}, "eaccount": {q.Target.Mailbox}, "sort_order": {"desc"}, "limit": {fmt.Sprint(page)}, "mode": {"emode_all"},
	}
	if !q.From.IsZero() {
		query.Set("min_timestamp_created", q.From.UTC().Format(time.RFC3339Nano))
	}
	if q.Cursor != "" {
		query.Set("starting_after", q.Cursor)
	}
	key := who.Budget()
	key.App = ListApp
	var answer struct {
		Items *[]listed `json:"items"`
		Next  string    `json:"next_starting_after"`
	}
	in := rest.Call{Who: who, URL: c.base + "/api/v2/emails?" + query.Encode(), Header: rest.Bearer(who), Budget: key, Class: budget.Interactive}
	if err := c.Get(ctx, in, &answer); err != nil {
		return nil, "", err
	}
	if answer.Items == nil {
		return nil, "", provider.Garbled()
	}
	var out []provider.SentMail
	for _, m := range *answer.Items {
		if m.ID == "" || (m.Type != ofCampaign && m.Type != sent) {
			continue
		}
		mail := provider.SentMail{ID: "instantly:sent:" + m.ID, HTML: m.Body.HTML, At: m.Created.Time, Campaign: m.Type == ofCampaign}
		if mail.HTML == "" {
			mail.HTML = m.Body.Text
		}
		if mail.At.IsZero() {
			mail.At = m.Sent.Time
		}
		out = append(out, mail)
	}
	if len(*answer.Items) == 0 {
		answer.Next = ""
	}
	if answer.Next != "" && answer.Next == q.Cursor {
		return nil, "", provider.Garbled() // what follows cannot be read
	}
	return out, answer.Next, nil
}

// Probe reads one email: a key that may not read could never be settled by reading back.
func (c *Client) Probe(ctx context.Context, who provider.Account) error {
	key := who.Budget()
	key.App = ListApp
	in := rest.Call{Who: who, URL: c.base + "/api/v2/emails?limit=1&preview_only=true", Header: rest.Bearer(who), Budget: key, Class: budget.Interactive}
	return c.Get(ctx, in, new(json.RawMessage))
}
