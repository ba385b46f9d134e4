// Package calendly reads free times of Calendly event types: by the official API where there is a token, else by the
// public booking page's own, undocumented calls.
package calendly

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/relance/relance/services/availability/internal/look"
	"github.com/relance/relance/services/availability/internal/provider/web"
	"github.com/relance/relance/services/availability/internal/slots"
)

const (
	// maxWindow is the longest range of one official call since July 2026; minWindow is where halving ends.
	maxWindow, minWindow = 31 * 24 * time.Hour, 24 * time.Hour
	// ahead keeps the start of the range in the future of a provider whose clock is a little ahead.
	ahead = time.Minute
	// known is how long it is remembered which event type an address means.
	known = time.Hour
	// resetHeader of Calendly carries seconds until the reset.
	resetHeader = "X-RateLimit-Reset"
)

// Config is where Calendly is.
type Config struct {
	// API is the base URL of the official API. Default https://api.calendly.com.
	API string
	// Public is the base URL of the booking pages. Default https://calendly.com.
	Public string
	// Fetch reads.
	Fetch web.Fetcher
}

// Provider reads Calendly. The ID of a look is the UUID of an event type, "profile/event", "profile", or "d/slug".
type Provider struct {
	cfg Config
	// window is the longest range that the official API was found to take.
	window atomic.Int64
}

// New makes a Provider.
func New(cfg Config) *Provider {
	if cfg.API == "" {
		cfg.API = "https://api.calendly.com"
	}
	if cfg.Public == "" {
		cfg.Public = "https://calendly.com"
	}
	p := &Provider{cfg: cfg}
	p.window.Store(int64(maxWindow))
	return p
}

// resolved is what is remembered of an event type between looks.
type resolved struct {
	// ID identifies the event type at the door Source; Source is "api" or "page".
	ID     string `json:"id"`
	Source string `json:"source"`
	// Minutes is the length of its meetings; 0 when the door does not tell.
	Minutes int `json:"minutes"`
	// Until is when to ask again.
	Until time.Time `json:"until"`
}

// FreeSlots reads the official API when there is a token that it takes, and the public page otherwise.
func (p *Provider) FreeSlots(ctx context.Context, ask look.Ask) (look.Answer, error) {
	if ask.Token != "" {
		answer, err := p.through(ctx, ask, "api")
		if !refusesToken(err) {
			return answer, err
		}
		// Free plans are refused here; their page still tells.
		page, pageErr := p.through(ctx, ask, "page")
		if pageErr != nil {
			return look.Answer{}, err
		}
		return page, nil
	}
	return p.through(ctx, ask, "page")
}

// Host is the API's where there is a token, else that of the pages.
func (p *Provider) Host(ask look.Ask) string {
	if ask.Token != "" {
		return look.HostOf(p.cfg.API)
	}
	return look.HostOf(p.cfg.Public)
}

func refusesToken(err error) bool {
	code := web.Code(err)
	return code == http.StatusForbidden || code == http.StatusUnauthorized
}

func (p *Provider) through(ctx context.Context, ask look.Ask, source string) (look.Answer, error) {
	var event resolved
	if json.Unmarshal([]byte(ask.Resolved), &event) != nil || event.Source != source || !ask.From.Before(event.Until) {
		var err error
		if source == "api" {
			event, err = p.official(ctx, ask)
		} else {
			event, err = p.public(ctx, ask)
		}
		if err != nil {
			return look.Answer{}, err
		}
		event.Source, event.Until = source, ask.From.Add(known)
	}
	if length := time.Duration(event.Minutes) * time.Minute; length != 0 && length != ask.Meeting {
		return look.Answer{}, look.UnsupportedDuration(length)
	}
	var starts []time.Time
	var err error
	if source == "api" {
		starts, err = p.available(ctx, ask, event)
	} else {
		starts, err = p.ranged(ctx, ask, event)
	}
	if err != nil {
		return look.Answer{}, err
	}
	memory, err := json.Marshal(event)
	return look.Answer{Starts: starts, Source: source, Resolved: string(memory)}, err
}

func (p *Provider) get(ctx context.Context, token, path string, query url.Values, out any) error {
	base, header := p.cfg.Public, http.Header{"Accept": {"application/json"}}
	if token != "" {
		base, header = p.cfg.API, web.Bearer(token)
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return web.JSON(ctx, p.cfg.Fetch, web.Request{Address: base + path, Header: header, ResetHeader: resetHeader}, out)
}

// available walks the official availability by the longest ranges that it takes.
func (p *Provider) available(ctx context.Context, ask look.Ask, event resolved) ([]time.Time, error) {
	var starts []time.Time
	for from := ask.From.Add(ahead); from.Before(ask.To); {
		window := time.Duration(p.window.Load())
		to := from.Add(window)
		if to.After(ask.To) {
			to = ask.To
		}
		var list struct {
			Collection []struct {
				Status    string     `json:"status"`
				Remaining *int       `json:"invitees_remaining"`
				StartTime *time.Time `json:"start_time"`
			} `json:"collection"`
		}
		err := p.get(ctx, ask.Token, "/event_type_available_times", url.Values{
			"event_type": {event.ID}, "start_time": {stamp(from)}, "end_time": {stamp(to)},
		}, &list)
		if tooLong(err) && window > minWindow {
			p.window.CompareAndSwap(int64(window), int64(max(window/2, minWindow)))
			continue
		}
		if err != nil {
			return nil, err
		}
		if list.Collection == nil {
			return nil, look.BadAnswer(errors.New("the answer has no collection"))
		}
		for _, free := range list.Collection {
			if free.StartTime == nil {
				return nil, look.BadAnswer(errors.New("a free time has no start"))
			}
			if free.Status == "available" && (free.Remaining == nil || *free.Remaining > 0) {
				starts = append(starts, free.StartTime.UTC())
			}
		}
		from = to
	}
	return starts, nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// tooLong reports whether the API refuses the range as longer than it takes.
func tooLong(err error) bool {
	status, ok := errors.AsType[*web.StatusError](err)
	return ok && status.Code == http.StatusBadRequest && bytes.Contains(bytes.ToLower(status.Body), []byte("range"))
}

// ranged reads the public page's calendar, by local dates of UTC.
func (p *Provider) ranged(ctx context.Context, ask look.Ask, event resolved) ([]time.Time, error) {
	var calendar struct {
		Days []struct {
			Spots []struct {
				Status    string     `json:"status"`
				StartTime *time.Time `json:"start_time"`
			} `json:"spots"`
		} `json:"days"`
	}
	err := p.get(ctx, "", "/api/booking/event_types/"+url.PathEscape(event.ID)+"/calendar/range", url.Values{
		"range_start": {ask.From.UTC().Format(time.DateOnly)}, "range_end": {ask.To.UTC().Format(time.DateOnly)}, "timezone": {"UTC"},
	}, &calendar)
	if err != nil {
		return nil, err
	}
	if calendar.Days == nil {
		return nil, look.BadAnswer(errors.New("the calendar has no days"))
	}
	var starts []time.Time
	for _, day := range calendar.Days {
		for _, spot := range day.Spots {
			if spot.StartTime == nil {
				return nil, look.BadAnswer(errors.New("a free time has no start"))
			}
			if spot.Status == "" || spot.Status == "available" {
				starts = append(starts, spot.StartTime.UTC())
			}
		}
	}
	return starts, nil
}

// inactive says that no event type answers to the address.
func inactive() *look.Error {
	return &look.Error{Kind: slots.ReasonInactive, Reason: string(slots.ReasonInactive)}
}

func sameLink(a, b string) bool {
	clean := func(s string) string {
		return strings.TrimSuffix(strings.ToLower(strings.TrimPrefix(s, "https://")), "/")
	}
	return clean(a) == clean(b)
}
