package calendly

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/relance/relance/services/availability/internal/look"
	"github.com/relance/relance/services/availability/internal/provider/web"
)

// eventType is an event type of the official API.
type eventType struct {
	URI           string `json:"uri"`
	Duration      int    `json:"duration"`
	Active        bool   `json:"active"`
	SchedulingURL string `json:"scheduling_url"`
}

func (e eventType) resolved() (resolved, error) {
	if !e.Active {
		return resolved{}, inactive()
	}
	return resolved{ID: e.URI, Minutes: e.Duration}, nil
}

// official finds the event type by its UUID, or by its booking address among those of the token's user.
func (p *Provider) official(ctx context.Context, ask look.Ask) (resolved, error) {
	if uuid.Validate(ask.ID) == nil {
		var one struct {
			Resource eventType `json:"resource"`
		}
		if err := p.get(ctx, ask.Token, "/event_types/"+ask.ID, nil, &one); err != nil {
			return resolved{}, err
		}
		return one.Resource.resolved()
	}
	var me struct {
		Resource struct {
			URI string `json:"uri"`
		} `json:"resource"`
	}
	if err := p.get(ctx, ask.Token, "/users/me", nil, &me); err != nil {
		return resolved{}, err
	}
	query := url.Values{"user": {me.Resource.URI}, "count": {"100"}, "active": {"true"}}
	for range maxPages {
		var list struct {
			Collection []eventType `json:"collection"`
			Pagination struct {
				Next string `json:"next_page_token"`
			} `json:"pagination"`
		}
		if err := p.get(ctx, ask.Token, "/event_types", query, &list); err != nil {
			return resolved{}, err
		}
		for _, event := range list.Collection {
			u, err := url.Parse(event.SchedulingURL)
			if err == nil && sameLink(strings.Trim(u.Path, "/"), ask.ID) {
				return event.resolved()
			}
		}
		if list.Pagination.Next == "" {
			return resolved{}, inactive()
		}
		query.Set("page_token", list.Pagination.Next)
	}
	return resolved{}, look.BadAnswer(errors.New("the list of event types does not end"))
}

// maxPages bounds the walk over a user's event types.
const maxPages = 10

// publicEvent is an event type as the booking pages tell it.
type publicEvent struct {
	UUID     string `json:"uuid"`
	Duration int    `json:"duration"`
}

func (e publicEvent) resolved() (resolved, error) {
	if e.UUID == "" {
		return resolved{}, inactive()
	}
	return resolved{ID: e.UUID, Minutes: e.Duration}, nil
}

// public finds the event type as the booking page does: profile and event by the look-up; a link of one segment as a
// scheduling link, else as a profile, whose first event type it means.
func (p *Provider) public(ctx context.Context, ask look.Ask) (resolved, error) {
	if uuid.Validate(ask.ID) == nil {
		return resolved{ID: ask.ID}, nil
	}
	first, second, two := strings.Cut(ask.ID, "/")
	switch {
	case two && first == "d":
		return p.shared(ctx, second)
	case two:
		return p.lookup(ctx, url.Values{"event_type_slug": {second}, "profile_slug": {first}})
	}
	event, err := p.shared(ctx, first)
	if !absent(err) {
		return event, err
	}
	var events []publicEvent
	if err := p.get(ctx, "", "/api/booking/profiles/"+url.PathEscape(first)+"/event_types", nil, &events); err != nil {
		return resolved{}, err
	}
	if len(events) == 0 {
		return resolved{}, inactive()
	}
	return events[0].resolved()
}

func (p *Provider) shared(ctx context.Context, slug string) (resolved, error) {
	var link struct {
		OwnerUUID string `json:"owner_uuid"`
	}
	if err := p.get(ctx, "", "/api/booking/scheduling_links/"+url.PathEscape(slug), nil, &link); err != nil {
		return resolved{}, err
	}
	if link.OwnerUUID == "" {
		return resolved{}, inactive()
	}
	return p.lookup(ctx, url.Values{"share_uuid": {link.OwnerUUID}})
}

func (p *Provider) lookup(ctx context.Context, query url.Values) (resolved, error) {
	var event publicEvent
	if err := p.get(ctx, "", "/api/booking/event_types/lookup", query, &event); err != nil {
		return resolved{}, err
	}
	return event.resolved()
}

func absent(err error) bool { return web.Code(err) == 404 }
