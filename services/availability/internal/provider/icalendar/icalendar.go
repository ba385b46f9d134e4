// Package icalendar makes free times from any iCalendar feed (RFC 5545) and working hours, so that a calendar that
// Relance does not know can still be offered from.
package icalendar

import (
	"context"
	"net/http"

	"github.com/relance/relance/services/availability/internal/look"
	"github.com/relance/relance/services/availability/internal/provider/web"
	"github.com/relance/relance/services/availability/internal/slots"
)

// Provider reads feeds. Address and Hours of a look are required; the address of a feed is a secret.
type Provider struct {
	// Fetch reads addresses of strangers: it must be a guarded one.
	Fetch web.Fetcher
}

// FreeSlots reads the feed and gives the starts within the working hours at which nobody is busy.
func (p *Provider) FreeSlots(ctx context.Context, ask look.Ask) (look.Answer, error) {
	if !ask.Hours.Set() {
		return look.Answer{}, &look.Error{Kind: slots.ReasonUnsupportedCalendar, Reason: "WORKING_HOURS_MISSING"}
	}
	feed, err := web.Read(ctx, p.Fetch, web.Request{Address: ask.Address, Header: http.Header{"Accept": {"text/calendar"}}})
	if err != nil {
		return look.Answer{}, err
	}
	zone, err := slots.Zone(ask.Hours.Zone)
	if err != nil {
		return look.Answer{}, look.BadAnswer(err)
	}
	// Busy times that began before the window may reach into it.
	busy, err := Busy(ctx, feed.Body, Window{Zone: zone, From: ask.From.AddDate(0, 0, -31), To: ask.To.Add(ask.Meeting)})
	if err != nil {
		return look.Answer{}, look.BadAnswer(err)
	}
	starts, err := ask.Hours.Free(busy, ask.Meeting, ask.From, ask.To)
	if err != nil {
		return look.Answer{}, look.BadAnswer(err)
	}
	return look.Answer{Starts: starts, Source: "feed"}, nil
}

// Host is that of the feed. The host is no secret; the rest of the address is.
func (*Provider) Host(ask look.Ask) string { return look.HostOf(ask.Address) }
