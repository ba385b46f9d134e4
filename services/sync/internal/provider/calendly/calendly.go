// Package calendly books Calendly's event types through its Scheduling API, and reads what was scheduled.
package calendly

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/exchange"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/provider/rest"
)

// Client calls Calendly. It is safe for concurrent use and holds no credentials.
type Client struct {
	rest.Client
	base string
}

var _ provider.Calendar = (*Client)(nil)

// BookApp is the budget of bookings, which Calendly counts apart from all other calls.
const BookApp = "invitees"

// DefaultLimit is that of a paid plan, without which nothing can be booked; what the answers say is believed once it is seen.
func DefaultLimit() budget.Limit { return budget.Limit{Calls: 500, Interval: time.Minute} }

// BookLimit spreads bookings. Calendly allows 10 a minute in any order, 50 an hour and 100 a day, which an even pace would turn
// into one each 7 seconds; a booking beyond that is answered 429, and nothing is booked by it.
func BookLimit() budget.Limit { return budget.Limit{Calls: 200, Interval: time.Minute} }

// Config is what a client needs.
type Config struct {
	// BaseURL is the API's host.
	BaseURL string
	// Timeout (R) bounds one call.
	Timeout time.Duration
	// Budget limits the calls per token; nil limits nothing.
	Budget provider.Budget
}

// New makes a client. Its connections are its own; Close ends the idle ones.
func New(cfg Config) (*Client, error) {
	base, err := exchange.CheckBase(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("calendly: %w", err)
	}
	return &Client{base: base, Client: rest.Client{
		Kind: provider.Calendly, HTTP: exchange.New(cfg.Timeout), Budget: cfg.Budget, Limit: DefaultLimit(),
	}}, nil
}

// Budget is the one of bookings.
func (c *Client) Budget(who provider.Account) budget.Key {
	key := who.Budget()
	key.App = BookApp
	return key
}

func (c *Client) read(ctx context.Context, who provider.Account, address string, query url.Values, into any) error {
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	return c.Get(ctx, rest.Call{Who: who, URL: c.base + address, Header: rest.Bearer(who)}, into)
}

// me is whose token it is.
type me struct {
	URI          string `json:"uri"`
	Organization string `json:"current_organization"`
}

func (c *Client) me(ctx context.Context, who provider.Account) (me, error) {
	var answer struct {
		Resource me `json:"resource"`
	}
	if err := c.read(ctx, who, "/users/me", nil, &answer); err != nil {
		return me{}, err
	}
	if answer.Resource.URI == "" {
		return me{}, provider.Garbled()
	}
	return answer.Resource, nil
}

// Probe reads whose token it is.
func (c *Client) Probe(ctx context.Context, who provider.Account) error {
	_, err := c.me(ctx, who)
	return err
}

// eventType is what is booked.
type eventType struct {
	URI       string `json:"uri"`
	Active    bool   `json:"active"`
	Page      string `json:"scheduling_url"`
	Locations []struct {
		Kind     string `json:"kind"`
		Location string `json:"location"`
	} `json:"locations"`
	Questions []struct {
		Enabled  bool `json:"enabled"`
		Required bool `json:"required"`
	} `json:"custom_questions"`
}

// Prepare finds the event type and what its booking has to name. Errors: ReadError, provider.ErrQuestions.
func (c *Client) Prepare(ctx context.Context, who provider.Account, a provider.Appointment) (provider.Appointment, error) {
	event, err := c.eventType(ctx, who, a.Calendar)
	if err != nil {
		return a, err
	}
	for _, q := range event.Questions {
		if q.Enabled && q.Required {
			return a, provider.ErrQuestions
		}
	}
	a.Known = []string{event.URI, a.Calendar}
	if len(event.Locations) == 0 {
		return a, nil
	}
	place := map[string]string{"kind": event.Locations[0].Kind}
	switch place["kind"] {
	case "ask_invitee":
		return a, provider.ErrQuestions
	case "outbound_call":
		if a.Phone == "" {
			return a, provider.ErrQuestions
		}
		place["location"] = a.Phone
	default:
		if at := event.Locations[0].Location; at != "" {
			place["location"] = at
		}
	}
	a.Place = place
	return a, nil
}

// maxPages bounds the walk over a list.
const maxPages = 10

// eventType reads an event type by its UUID or URI, or finds it by its page, "profile/event".
func (c *Client) eventType(ctx context.Context, who provider.Account, name string) (eventType, error) {
	if profile, _, page := strings.Cut(strings.Trim(name, "/"), "/"); page && !strings.Contains(name, "://") && profile != "d" {
		return c.byPage(ctx, who, name)
	}
	var answer struct {
		Resource eventType `json:"resource"`
	}
	if err := c.read(ctx, who, "/event_types/"+url.PathEscape(path.Base(name)), nil, &answer); err != nil {
		return eventType{}, err
	}
	if answer.Resource.URI == "" {
		return eventType{}, provider.Garbled()
	}
	return answer.Resource, nil
}

func (c *Client) byPage(ctx context.Context, who provider.Account, page string) (eventType, error) {
	owner, err := c.me(ctx, who)
	if err != nil {
		return eventType{}, err
	}
	query := url.Values{"user": {owner.URI}, "active": {"true"}, "count": {"100"}}
	for range maxPages {
		var answer struct {
			Collection *[]eventType `json:"collection"`
			Pagination paging       `json:"pagination"`
		}
		if err := c.read(ctx, who, "/event_types", query, &answer); err != nil {
			return eventType{}, err
		}
		if answer.Collection == nil {
			return eventType{}, provider.Garbled()
		}
		for _, event := range *answer.Collection {
			if u, err := url.Parse(event.Page); err == nil && strings.EqualFold(strings.Trim(u.Path, "/"), strings.Trim(page, "/")) {
				return event, nil
			}
		}
		if answer.Pagination.Next == "" {
			break
		}
		query.Set("page_token", answer.Pagination.Next)
	}
	// As the provider says it of an event type that does not exist.
	return eventType{}, &provider.ReadError{Status: http.StatusNotFound}
}

type paging struct {
	Next string `json:"next_page_token"`
}

// Book makes one call that books.
func (c *Client) Book(ctx context.Context, who provider.Account, a provider.Appointment) provider.Result {
	if len(a.Known) == 0 || a.Email == "" {
		return c.Unsent()
	}
	zone := a.TimeZone
	if zone == "" {
		zone = "UTC"
	}
	name := a.Name
	if name == "" {
		name, _, _ = strings.Cut(a.Email, "@")
	}
	body := map[string]any{
		"event_type": a.Known[0], "start_time": stamp(a.Start), "invitee": map[string]string{"name": name, "email": a.Email, "timezone": zone},
	}
	if a.Place != nil {
		body["location"] = a.Place
	}
	return c.Post(ctx, rest.Call{
		Who: who, URL: c.base + "/invitees", Header: rest.Bearer(who), Body: body, Budget: c.Budget(who), Class: budget.Interactive,
	})
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// Find looks for the person's active event at a time. Errors: ReadError.
func (c *Client) Find(ctx context.Context, who provider.Account, a provider.Appointment) (string, error) {
	if len(a.Known) == 0 {
		event, err := c.eventType(ctx, who, a.Calendar)
		if err != nil {
			return "", err
		}
		a.Known = []string{event.URI}
	}
	owner, err := c.me(ctx, who)
	if err != nil {
		return "", err
	}
	query := url.Values{
		"invitee_email": {a.Email}, "status": {"active"}, "count": {"100"}, "min_start_time": {stamp(a.Start)},
		"max_start_time": {stamp(a.Start.Add(time.Minute))},
	}
	pages := 0
	for page, err := range c.scheduled(ctx, who, owner, query) {
		if err != nil {
			return "", err
		}
		if pages++; pages > maxPages {
			return "", provider.Garbled() // What is beyond was not read: absence there would be a guess.
		}
		for _, e := range page {
			if e.Type != a.Known[0] || !e.Start.Equal(a.Start) {
				continue
			}
			if found, err := c.invited(ctx, who, e.URI, a.Email); found != "" || err != nil {
				return found, err
			}
		}
	}
	return "", nil
}
