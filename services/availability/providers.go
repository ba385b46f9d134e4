package availability

import (
	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/look"
	"github.com/relance/relance/services/availability/internal/provider"
	"github.com/relance/relance/services/availability/internal/provider/calendly"
	"github.com/relance/relance/services/availability/internal/provider/ghlpage"
	"github.com/relance/relance/services/availability/internal/provider/hubspot"
	"github.com/relance/relance/services/availability/internal/provider/icalendar"
	"github.com/relance/relance/services/availability/internal/webfetch"
)

// providers joins every kind of calendar. Configured hosts are read as configured; what a person typed in is read through
// the strict client only.
func (s *Service) providers(connections look.Provider) look.Provider {
	configured := webfetch.New(webfetch.Config{Plain: true, Control: webfetch.Anywhere(), Timeout: s.cfg.CallTimeout})
	strangers := webfetch.Config{Timeout: s.cfg.CallTimeout, Control: s.deps.FeedControl, RootCAs: s.deps.FeedRoots, Dial: s.deps.FeedDial}
	pages := strangers
	pages.Hosts = calendar.GHLHosts()
	hubspotConfig := hubspot.Config{API: s.cfg.HubSpotAPI, Fetch: configured}
	if s.cfg.HubSpotPages != "" {
		hubspotConfig.Public = func(string) string { return s.cfg.HubSpotPages }
	}
	return provider.Router{
		calendar.GHL: provider.Fallback{First: connections, Second: ghlpage.New(ghlpage.Config{
			Backend: s.cfg.GHLPages, Pages: webfetch.New(pages), Fetch: configured,
		})},
		calendar.Calendly:  calendly.New(calendly.Config{API: s.cfg.CalendlyAPI, Public: s.cfg.CalendlyPages, Fetch: configured}),
		calendar.HubSpot:   hubspot.New(hubspotConfig),
		calendar.ICalendar: &icalendar.Provider{Fetch: webfetch.New(strangers)},
	}
}
