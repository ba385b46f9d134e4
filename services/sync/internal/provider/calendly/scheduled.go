package calendly

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/relance/relance/services/sync/internal/provider"
)

// pageSize is the most that Calendly puts on a page of a list.
const pageSize = "100"

// Scheduled is an event that was scheduled.
type Scheduled struct {
	URI     string    `json:"uri"`
	Status  string    `json:"status"`
	Type    string    `json:"event_type"`
	Start   time.Time `json:"start_time"`
	End     time.Time `json:"end_time"`
	Updated time.Time `json:"updated_at"`
	// Invitees counts who takes part; zero where it was not told.
	Invitees struct {
		Total  int `json:"total"`
		Active int `json:"active"`
	} `json:"invitees_counter"`
}

// Invitee is who takes part in an event.
type Invitee struct {
	URI         string          `json:"uri"`
	Email       string          `json:"email"`
	Name        string          `json:"name"`
	Status      string          `json:"status"`
	Rescheduled bool            `json:"rescheduled"`
	NewInvitee  string          `json:"new_invitee"`
	NoShow      json.RawMessage `json:"no_show"`
	Updated     time.Time       `json:"updated_at"`
}

// InviteePage is a part of an event's list of invitees. Next is the token of the part behind it, empty for the last.
type InviteePage struct {
	Invitees []Invitee
	Next     string
}

// Events lists, page by page, what is scheduled from one start to before another, earliest first, whatever became of it. How many
// pages are read is the caller's to say; an error ends the list. Errors: ReadError.
func (c *Client) Events(ctx context.Context, who provider.Account, from, to time.Time) iter.Seq2[[]Scheduled, error] {
	return func(yield func([]Scheduled, error) bool) {
		owner, err := c.me(ctx, who)
		if err != nil {
			yield(nil, err)
			return
		}
		query := url.Values{"count": {pageSize}, "sort": {"start_time:asc"}, "min_start_time": {stamp(from)}, "max_start_time": {stamp(to)}}
		c.scheduled(ctx, who, owner, query)(yield)
	}
}

// Invitees lists, page by page, who takes part in an event, by its URI, from the page of a token on; an empty one begins. Errors:
// ReadError, with status 400 for a token that is not taken any more.
func (c *Client) Invitees(ctx context.Context, who provider.Account, event, token string) iter.Seq2[InviteePage, error] {
	query := url.Values{"count": {pageSize}}
	if token != "" {
		query.Set("page_token", token)
	}
	address := "/scheduled_events/" + url.PathEscape(path.Base(event)) + "/invitees"
	return func(yield func(InviteePage, error) bool) {
		for page, err := range pages[Invitee](ctx, c, list{who: who, address: address, query: query}) {
			if !yield(InviteePage{Invitees: page.items, Next: page.next}, err) {
				return
			}
		}
	}
}

// invited gives the URI of a person's active part in an event, empty when none of its invitees is that person.
func (c *Client) invited(ctx context.Context, who provider.Account, event, email string) (string, error) {
	read := 0
	for page, err := range c.Invitees(ctx, who, event, "") {
		if err != nil {
			return "", err
		}
		if read++; read > maxPages {
			return "", provider.Garbled() // as in Find
		}
		for _, i := range page.Invitees {
			if i.Status == "active" && strings.EqualFold(i.Email, email) {
				return i.URI, nil
			}
		}
	}
	return "", nil
}

// scheduled lists the organization's events, or the token's owner's own where the token may not see more.
func (c *Client) scheduled(ctx context.Context, who provider.Account, owner me, query url.Values) iter.Seq2[[]Scheduled, error] {
	return func(yield func([]Scheduled, error) bool) {
		if owner.Organization != "" {
			query.Set("organization", owner.Organization)
			forbidden := false
			for page, err := range pages[Scheduled](ctx, c, list{who: who, address: "/scheduled_events", query: query}) {
				var failed *provider.ReadError
				if forbidden = errors.As(err, &failed) && failed.Status == http.StatusForbidden; forbidden {
					break
				}
				if !yield(page.items, err) {
					return
				}
			}
			if !forbidden {
				return
			}
			query.Del("organization")
			query.Del("page_token")
		}
		query.Set("user", owner.URI)
		for page, err := range pages[Scheduled](ctx, c, list{who: who, address: "/scheduled_events", query: query}) {
			if !yield(page.items, err) {
				return
			}
		}
	}
}

// list is what is read page by page. Its query is the first page's.
type list struct {
	who     provider.Account
	address string
	query   url.Values
}

type page[T any] struct {
	items []T
	next  string
}

// pages reads a list. A page that names itself as the next would never end: that is no answer.
func pages[T any](ctx context.Context, c *Client, l list) iter.Seq2[page[T], error] {
	return func(yield func(page[T], error) bool) {
		for {
			var answer struct {
				Collection *[]T   `json:"collection"`
				Pagination paging `json:"pagination"`
			}
			err := c.read(ctx, l.who, l.address, l.query, &answer)
			if err == nil && (answer.Collection == nil || answer.Pagination.Next != "" && answer.Pagination.Next == l.query.Get("page_token")) {
				err = provider.Garbled()
			}
			if err != nil {
				yield(page[T]{}, err)
				return
			}
			if !yield(page[T]{items: *answer.Collection, next: answer.Pagination.Next}, nil) || answer.Pagination.Next == "" {
				return
			}
			l.query.Set("page_token", answer.Pagination.Next)
		}
	}
}
