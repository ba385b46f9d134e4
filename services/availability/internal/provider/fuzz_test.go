package provider_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/look"
	"github.com/relance/relance/services/availability/internal/provider/calendly"
	"github.com/relance/relance/services/availability/internal/provider/ghlpage"
	"github.com/relance/relance/services/availability/internal/provider/hubspot"
	"github.com/relance/relance/services/availability/internal/webfetch"
)

// parrot answers every read alike, and counts them.
type parrot struct {
	status int
	body   []byte
	calls  int
}

func (p *parrot) Get(context.Context, string, http.Header) (webfetch.Answer, error) {
	p.calls++
	return webfetch.Answer{Status: p.status, Header: http.Header{}, Body: p.body}, nil
}

// Whatever a provider says, a look ends after few calls with times or with a typed error.
func FuzzAnswers(f *testing.F) {
	for _, body := range []string{
		"", "null", "[]", "{}", `{"uuid":"6f6d1a3a-1111-4222-8333-444455556666","availability_timezone":"America/New_York","duration":30}`,
		`{"days":[{"spots":[{"status":"available","start_time":"2026-01-08T09:00:00-05:00"}]}]}`,
		`{"resource":{"uri":"https://api.calendly.com/event_types/x","duration":30,"active":true}}`,
		`{"collection":[{"status":"available","start_time":"2026-01-08T14:00:00Z"}],"pagination":{"next_page_token":"x"}}`,
		`{"linkAvailability":{"linkAvailabilityByDuration":{"1800000":{"availabilities":[{"startMillisUtc":1767880800000}]}},"hasMore":true}}`,
		`{"traceId":"t","2026-01-08":{"slots":["2026-01-08T14:00:00Z",{"startTime":"2026-01-08T15:00:00Z"}]}}`,
		`<script id="__NUXT_DATA__">[["Reactive",1],{"ocQHyuzHvysMo5N5VsXc":5}]</script>`,
	} {
		f.Add(200, []byte(body))
		f.Add(400, []byte(body))
	}
	from := time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		for _, ask := range []look.Ask{
			{Kind: calendar.Calendly, ID: "acme/intro"},
			{Kind: calendar.Calendly, ID: "6f6d1a3a-1111-4222-8333-444455556666", Token: "t"},
			{Kind: calendar.HubSpot, ID: "jane/intro"},
			{Kind: calendar.HubSpot, ID: "jane/intro", Token: "t"},
			{Kind: calendar.GHL, ID: "ocQHyuzHvysMo5N5VsXc"},
			{Kind: calendar.GHL, Address: "https://example.com/widget/bookings/team-intro"},
		} {
			ask.Meeting, ask.From, ask.To = half, from, from.AddDate(0, 0, 30)
			said := &parrot{status: status, body: body}
			var p look.Provider
			switch ask.Kind {
			case calendar.Calendly:
				p = calendly.New(calendly.Config{API: "https://api", Public: "https://pages", Fetch: said})
			case calendar.HubSpot:
				p = hubspot.New(hubspot.Config{API: "https://api", Public: func(string) string { return "https://pages" }, Fetch: said})
			default:
				p = ghlpage.New(ghlpage.Config{Backend: "https://backend", Pages: said, Fetch: said})
			}
			_, err := p.FreeSlots(t.Context(), ask)
			if typed, ok := errors.AsType[*look.Error](err); err != nil && (!ok || typed.Reason == "" || typed.Kind == "") {
				t.Errorf("%s %s: error without a reason: %v", ask.Kind, ask.ID, err)
			}
			if said.calls == 0 || said.calls > 64 {
				t.Errorf("%s %s: %d calls", ask.Kind, ask.ID, said.calls)
			}
		}
	})
}
