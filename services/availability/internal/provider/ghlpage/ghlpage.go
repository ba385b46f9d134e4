// Package ghlpage reads free times of GoHighLevel calendars from their public booking pages, without a connection: the
// fallback for workspaces that have none. The calls are undocumented and can break any day.
package ghlpage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/relance/relance/services/availability/internal/look"
	"github.com/relance/relance/services/availability/internal/provider/web"
	"github.com/relance/relance/services/availability/internal/slots"
)

// known is how long it is remembered which calendar a page shows.
const known = 24 * time.Hour

// Config is where the pages are.
type Config struct {
	// Backend is the base URL of the public free-slots call. Default https://backend.leadconnectorhq.com.
	Backend string
	// Pages reads booking pages, by an address that a person gave: it must be guarded and bound
	// to calendar.GHLHosts.
	Pages web.Fetcher
	// Fetch reads Backend.
	Fetch web.Fetcher
}

// Provider reads booking pages. The ID of a look is the calendar's id, or empty when only the page at Address tells it.
type Provider struct{ cfg Config }

// New makes a Provider.
func New(cfg Config) *Provider {
	if cfg.Backend == "" {
		cfg.Backend = "https://backend.leadconnectorhq.com"
	}
	return &Provider{cfg: cfg}
}

type resolved struct {
	ID    string    `json:"page_calendar"`
	Until time.Time `json:"until"`
}

// FreeSlots finds the calendar, on its page if need be, and reads its free times once.
func (p *Provider) FreeSlots(ctx context.Context, ask look.Ask) (look.Answer, error) {
	answer, id := look.Answer{Source: "page"}, ask.ID
	if !slots.Fits(ask.Meeting, 0) {
		// The page does not tell how long its slots are.
		return look.Answer{}, look.UnsupportedDuration()
	}
	if id == "" {
		var memory resolved
		if json.Unmarshal([]byte(ask.Resolved), &memory) != nil || memory.ID == "" || !ask.From.Before(memory.Until) {
			page, err := web.Read(ctx, p.cfg.Pages, web.Request{Address: ask.Address, Header: http.Header{"Accept": {"text/html"}}})
			if err != nil {
				return look.Answer{}, err
			}
			found, ok := CalendarID(page.Body)
			if !ok {
				return look.Answer{}, look.BadAnswer(errors.New("the page names no calendar"))
			}
			memory = resolved{ID: found, Until: ask.From.Add(known)}
		}
		text, err := json.Marshal(memory)
		if err != nil {
			return look.Answer{}, err
		}
		id, answer.Resolved = memory.ID, string(text)
	}
	query := url.Values{
		"startDate": {strconv.FormatInt(ask.From.UnixMilli(), 10)}, "endDate": {strconv.FormatInt(ask.To.UnixMilli(), 10)},
		"timezone": {"UTC"},
	}
	read, err := web.Read(ctx, p.cfg.Fetch, web.Request{
		Address: p.cfg.Backend + "/calendars/" + url.PathEscape(id) + "/free-slots?" + query.Encode(),
		Header:  http.Header{"Accept": {"application/json"}},
	})
	if err != nil {
		return look.Answer{}, err
	}
	answer.Starts, err = Slots(read.Body)
	return answer, err
}

// Host is that of the free slots: the page before them is read once a day.
func (p *Provider) Host(look.Ask) string { return look.HostOf(p.cfg.Backend) }

// Slots decodes free slots: an object whose keys are dates with slots, beside others such as traceId. A slot is a string
// or an object with a startTime. Errors are *look.Error.
func Slots(body []byte) ([]time.Time, error) {
	var days map[string]json.RawMessage
	if json.Unmarshal(body, &days) != nil || days == nil {
		return nil, look.BadAnswer(errors.New("the body is not an object of days"))
	}
	var starts []time.Time
	for _, raw := range days {
		var day struct {
			Slots []json.RawMessage `json:"slots"`
		}
		if json.Unmarshal(raw, &day) != nil {
			continue
		}
		for _, slot := range day.Slots {
			start, ok := slotStart(slot)
			if !ok {
				return nil, look.BadAnswer(errors.New("a slot has no start"))
			}
			starts = append(starts, start)
		}
	}
	return starts, nil
}

func slotStart(raw json.RawMessage) (time.Time, bool) {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		var slot struct {
			StartTime string `json:"startTime"`
		}
		if json.Unmarshal(raw, &slot) != nil {
			return time.Time{}, false
		}
		text = slot.StartTime
	}
	start, err := time.Parse(time.RFC3339, text)
	return start.UTC(), err == nil
}

var (
	nuxt       = regexp.MustCompile(`(?s)<script[^>]*\bid="(?:__NUXT_DATA__|NUXT_DATA)"[^>]*>(.*?)</script>`)
	calendarID = regexp.MustCompile(`^[A-Za-z0-9]{20,64}$`)
)

// CalendarID finds the calendar's id in a booking page: the first object of its Nuxt data with exactly one key, which is
// the id.
func CalendarID(page []byte) (string, bool) {
	match := nuxt.FindSubmatch(page)
	if match == nil {
		return "", false
	}
	var data []json.RawMessage
	if json.Unmarshal(bytes.TrimSpace(match[1]), &data) != nil {
		return "", false
	}
	for _, raw := range data {
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil || len(object) != 1 {
			continue
		}
		for key := range object {
			if calendarID.MatchString(key) {
				return key, true
			}
		}
	}
	return "", false
}
