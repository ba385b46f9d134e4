// Package emailbison answers emails through EmailBison, whose instances have a host each.
package emailbison

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/exchange"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/provider/rest"
)

// Client calls the instances of its accounts. It is safe for concurrent use and holds no credentials.
type Client struct{ rest.Client }

var _ provider.Mail = (*Client)(nil)

// DefaultLimit is what is reported of an instance: nothing of it is documented.
func DefaultLimit() budget.Limit { return budget.Limit{Calls: 3000, Interval: time.Minute} }

// Config is what a client needs.
type Config struct {
	// Timeout (R) bounds one call.
	Timeout time.Duration
	// Budget limits the calls per instance; nil limits nothing.
	Budget provider.Budget
	// Guard holds reads back while the sender does not answer; nil holds none.
	Guard provider.Guard
	// Control judges the addresses of instances, which callers name: exchange.Public, or nil for any.
	Control exchange.Control
}

// New makes a client. Its connections are its own; Close ends the idle ones.
func New(cfg Config) *Client {
	return &Client{rest.Client{
		Kind: provider.EmailBison, HTTP: exchange.NewGuarded(cfg.Timeout, cfg.Control), Budget: cfg.Budget, Guard: cfg.Guard, Limit: DefaultLimit(),
	}}
}

type address struct {
	Name  *string `json:"name"`
	Email string  `json:"email_address"`
}

// Send answers one email once.
func (c *Client) Send(ctx context.Context, who provider.Account, m provider.Message) provider.Result {
	mailbox, err := strconv.ParseInt(m.Target.Mailbox, 10, 64)
	base, bad := exchange.CheckBase(who.BaseURL)
	if err != nil || bad != nil || !m.Target.Usable(string(provider.EmailBison)) {
		return c.Unsent()
	}
	return c.Post(ctx, rest.Call{
		Who: who, URL: base + "/api/replies/" + m.Target.Message + "/reply", Header: rest.Bearer(who),
		Body: struct {
			Message  string    `json:"message"`
			Mailbox  int64     `json:"sender_email_id"`
			To       []address `json:"to_emails"`
			Kind     string    `json:"content_type"`
			Previous bool      `json:"inject_previous_email_body"`
			Subject  string    `json:"subject,omitempty"`
		}{m.Content.HTML, mailbox, []address{{Email: m.Target.To}}, "html", false, m.Content.Subject},
	})
}

// listed is an email of the folder of sent ones.
type listed struct {
	ID       json.Number `json:"id"`
	HTML     string      `json:"html_body"`
	Text     string      `json:"text_body"`
	Received rest.Time   `json:"date_received"`
	Created  rest.Time   `json:"created_at"`
}

// Sent lists the folder of sent emails: the lead's, or the mailbox's for an email that belongs to no lead. Emails of
// campaigns are in another list.
func (c *Client) Sent(ctx context.Context, who provider.Account, q provider.SentQuery) ([]provider.SentMail, string, error) {
	base, err := exchange.CheckBase(who.BaseURL)
	if err != nil {
		return nil, "", err
	}
	query := url.Values{"folder": {"sent"}, "per_page": {"100"}, "page": {"1"}}
	if q.Target.Lead != "" {
		query.Set("lead_id", q.Target.Lead)
	} else {
		query.Set("sender_email_id", q.Target.Mailbox)
	}
	if q.Cursor != "" {
		query.Set("page", q.Cursor)
	}
	var answer struct {
		Data *[]listed `json:"data"`
		Meta struct {
			Page int `json:"current_page"`
			Last int `json:"last_page"`
		} `json:"meta"`
	}
	if err := c.Get(ctx, rest.Call{Who: who, URL: base + "/api/replies?" + query.Encode(), Header: rest.Bearer(who)}, &answer); err != nil {
		return nil, "", err
	}
	if answer.Data == nil || strconv.Itoa(answer.Meta.Page) != query.Get("page") {
		return nil, "", provider.Garbled() // a page without its number may not be the last, and another page is not the one asked for
	}
	var out []provider.SentMail
	for _, m := range *answer.Data {
		if m.ID.String() == "" {
			return nil, "", provider.Garbled() // it may be the one that is looked for, and could not be told apart
		}
		mail := provider.SentMail{ID: "emailbison:reply:" + m.ID.String(), HTML: m.HTML, At: m.Received.Time}
		if mail.HTML == "" {
			mail.HTML = m.Text
		}
		if mail.At.IsZero() {
			mail.At = m.Created.Time
		}
		out = append(out, mail)
	}
	next := ""
	if answer.Meta.Page < answer.Meta.Last {
		next = strconv.Itoa(answer.Meta.Page + 1)
	}
	return out, next, nil
}

// Probe reads the account's users.
func (c *Client) Probe(ctx context.Context, who provider.Account) error {
	base, err := exchange.CheckBase(who.BaseURL)
	if err != nil {
		return err
	}
	return c.Get(ctx, rest.Call{Who: who, URL: base + "/api/users", Header: rest.Bearer(who)}, new(json.RawMessage))
}
