// Package hubspot reads free times of HubSpot meeting links: by the official scheduler API where there is a token, else
// by the public booking page's own, undocumented call. Both answer one calendar month a call, in the same shape.
package hubspot

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/relance/relance/services/availability/internal/look"
	"github.com/relance/relance/services/availability/internal/provider/web"
)

// maxMonths bounds the calls of one look: a window of 31 days touches at most three calendar months, wherever it starts.
const maxMonths = 3

// Config is where HubSpot is.
type Config struct {
	// API is the base URL of the official API. Default https://api.hubapi.com.
	API string
	// Public gives the base URL of the public call for a hublet ("" or "eu1"). Default https://api[-<hublet>].hubspot.com.
	Public func(hublet string) string
	// Fetch reads.
	Fetch web.Fetcher
}

// Provider reads HubSpot meeting links. The ID of a look is the slug, or "<hublet>:<slug>".
type Provider struct{ cfg Config }

// New makes a Provider.
func New(cfg Config) *Provider {
	if cfg.API == "" {
		cfg.API = "https://api.hubapi.com"
	}
	if cfg.Public == nil {
		cfg.Public = func(hublet string) string {
			if hublet != "" {
				hublet = "-" + hublet
			}
			return "https://api" + hublet + ".hubspot.com"
		}
	}
	return &Provider{cfg: cfg}
}

// page is one calendar month (ExternalLinkAvailabilityAndBusyTimes of the vendor's specification): only the busy times are
// always there.
type page struct {
	BusyTimes        json.RawMessage `json:"allUsersBusyTimes"`
	LinkAvailability *struct {
		HasMore    bool                `json:"hasMore"`
		ByDuration map[string]duration `json:"linkAvailabilityByDuration"`
	} `json:"linkAvailability"`
}

type duration struct {
	Availabilities []struct {
		StartMillisUTC *int64 `json:"startMillisUtc"`
	} `json:"availabilities"`
}

// FreeSlots reads every month that the window touches.
func (p *Provider) FreeSlots(ctx context.Context, ask look.Ask) (look.Answer, error) {
	door := p.door(ask)
	answer := look.Answer{Source: door.source}
	served := map[time.Duration]bool{}
	from, to := ask.From.UTC(), ask.To.UTC()
	months := (to.Year()-from.Year())*12 + int(to.Month()-from.Month())
	for month := 0; month <= months && month < maxMonths; month++ {
		var read page
		err := web.JSON(ctx, p.cfg.Fetch, web.Request{
			Address: door.address(month), Header: door.header,
		}, &read)
		if err != nil {
			return look.Answer{}, err
		}
		if read.BusyTimes == nil {
			return look.Answer{}, look.BadAnswer(errors.New("the page has no busy times"))
		}
		if read.LinkAvailability == nil {
			break
		}
		starts, err := read.starts(ask.Meeting, served)
		if err != nil {
			return look.Answer{}, err
		}
		answer.Starts = append(answer.Starts, starts...)
		if !read.LinkAvailability.HasMore {
			break
		}
	}
	if len(served) > 0 && !served[ask.Meeting] {
		lengths := make([]time.Duration, 0, len(served))
		for length := range served {
			lengths = append(lengths, length)
		}
		return look.Answer{}, look.UnsupportedDuration(lengths...)
	}
	return answer, nil
}

// Host is the API's where there is a token, else that of the hublet's pages.
func (p *Provider) Host(ask look.Ask) string { return look.HostOf(p.door(ask).base) }

// starts gives the month's starts for a meeting length, and notes which lengths the link serves.
func (p page) starts(meeting time.Duration, served map[time.Duration]bool) ([]time.Time, error) {
	var starts []time.Time
	for key, d := range p.LinkAvailability.ByDuration {
		millis, err := strconv.ParseInt(key, 10, 64)
		if err != nil || millis <= 0 || millis > int64(24*time.Hour/time.Millisecond) {
			return nil, look.BadAnswer(errors.New("a duration is not in milliseconds"))
		}
		length := time.Duration(millis) * time.Millisecond
		served[length] = true
		if length != meeting {
			continue
		}
		for _, free := range d.Availabilities {
			if free.StartMillisUTC == nil {
				return nil, look.BadAnswer(errors.New("a free time has no start"))
			}
			starts = append(starts, time.UnixMilli(*free.StartMillisUTC).UTC())
		}
	}
	return starts, nil
}

// door is the way in for one look.
type door struct {
	source string
	header http.Header
	base   string
	query  url.Values
}

func (d door) address(month int) string {
	query := url.Values{"timezone": {"UTC"}, "monthOffset": {strconv.Itoa(month)}}
	for name, values := range d.query {
		query[name] = values
	}
	return d.base + "?" + query.Encode()
}

func (p *Provider) door(ask look.Ask) door {
	hublet, slug, ok := strings.Cut(ask.ID, ":")
	if !ok {
		hublet, slug = "", ask.ID
	}
	if ask.Token != "" {
		// As a path parameter a slug's slash is escaped: unescaped, the API answers 404.
		return door{
			source: "api", header: web.Bearer(ask.Token),
			base: p.cfg.API + "/scheduler/v3/meetings/meeting-links/book/availability-page/" + url.PathEscape(slug),
		}
	}
	return door{
		source: "page", header: http.Header{"Accept": {"application/json"}},
		base: p.cfg.Public(hublet) + "/meetings-public/v3/book/availability-page", query: url.Values{"slug": {slug}},
	}
}
