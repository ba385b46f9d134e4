package sync

import (
	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/exchange"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/provider/calendly"
	"github.com/relance/relance/services/sync/internal/provider/emailbison"
	"github.com/relance/relance/services/sync/internal/provider/instantly"
	"github.com/relance/relance/services/sync/internal/provider/smartlead"
)

// wireMail makes the clients of Calendly and of the senders of email campaigns.
func (s *Service) wireMail() error {
	control := exchange.Public()
	if s.cfg.AllowLocalProviders {
		control = nil
	}
	bison := emailbison.New(emailbison.Config{Timeout: s.cfg.SendCall, Budget: s.budget, Guard: s.guard, Control: control})
	smart, err := smartlead.New(smartlead.Config{BaseURL: s.cfg.SmartleadBaseURL, Timeout: s.cfg.SendCall, Budget: s.budget, Guard: s.guard})
	if err != nil {
		return err
	}
	instant, err := instantly.New(instantly.Config{BaseURL: s.cfg.InstantlyBaseURL, Timeout: s.cfg.SendCall, Budget: s.budget, Guard: s.guard})
	if err != nil {
		return err
	}
	if s.calendly, err = calendly.New(calendly.Config{BaseURL: s.cfg.CalendlyBaseURL, Timeout: s.cfg.SendCall, Budget: s.budget}); err != nil {
		return err
	}
	s.mail = map[provider.Kind]provider.Mail{provider.EmailBison: bison, provider.Smartlead: smart, provider.Instantly: instant}
	s.closers = append(s.closers, bison.Close, smart.Close, instant.Close, s.calendly.Close)
	return nil
}

// senders are all providers by which messages leave.
func (s *Service) senders() provider.Router {
	router := provider.Router{provider.GHL: s.client}
	for kind, mail := range s.mail {
		router[kind] = mail
	}
	return router
}

// initialLimit is the limit of a budget about which its provider has said nothing yet.
func initialLimit(of budget.Key) budget.Limit {
	switch provider.Kind(of.Provider) {
	case provider.EmailBison:
		return emailbison.DefaultLimit()
	case provider.Smartlead:
		return smartlead.DefaultLimit()
	case provider.Calendly:
		if of.App == calendly.BookApp {
			return calendly.BookLimit()
		}
		return calendly.DefaultLimit()
	case provider.Instantly:
		if of.App == instantly.ListApp {
			return instantly.ListLimit()
		}
		return instantly.DefaultLimit()
	default:
		return ghl.DefaultLimit()
	}
}
