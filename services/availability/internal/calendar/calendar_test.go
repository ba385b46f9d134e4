package calendar_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/relance/relance/services/availability/internal/calendar"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]calendar.Address{
		"https://calendly.com/acme/intro":               {Kind: calendar.Calendly, ID: "acme/intro"},
		" calendly.com/acme/intro?month=2026-11#x ":     {Kind: calendar.Calendly, ID: "acme/intro"},
		"http://www.calendly.com/acme":                  {Kind: calendar.Calendly, ID: "acme"},
		"https://calendly.com/d/abc-123-xyz/intro-call": {Kind: calendar.Calendly, ID: "d/abc-123-xyz"},
		"https://meetings.hubspot.com/jane":             {Kind: calendar.HubSpot, ID: "jane"},
		"https://meetings.hubspot.com/jane/intro":       {Kind: calendar.HubSpot, ID: "jane/intro"},
		"https://meetings-eu1.hubspot.com/jane/intro":   {Kind: calendar.HubSpot, ID: "jane/intro", Hublet: "eu1"},
		"https://app-eu1.hubspot.com/meetings/jane":     {Kind: calendar.HubSpot, ID: "jane", Hublet: "eu1"},
		"https://www.hubspot.com/meetings/jane/intro":   {Kind: calendar.HubSpot, ID: "jane/intro"},
		"https://api.leadconnectorhq.com/widget/booking/AbCdEfGhIjKlMnOpQrSt": {
			Kind: calendar.GHL, ID: "AbCdEfGhIjKlMnOpQrSt",
		},
		"https://api.leadconnectorhq.com/widget/bookings/team-intro": {Kind: calendar.GHL},
		"https://link.msgsndr.com/widget/booking/AbCdEfGhIjKlMnOpQrSt": {
			Kind: calendar.GHL, ID: "AbCdEfGhIjKlMnOpQrSt",
		},
		"webcal://calendar.example.com/free/busy":        {Kind: calendar.ICalendar},
		"https://calendar.example.com/x/basic.ics?key=1": {Kind: calendar.ICalendar},
		"https://CALENDAR.example.com./x/basic.ICS":      {Kind: calendar.ICalendar},
		"https://bücher.example/kalender.ics":            {Kind: calendar.ICalendar},
	} {
		got, err := calendar.Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got.Kind != want.Kind || got.ID != want.ID || got.Hublet != want.Hublet || !strings.HasPrefix(got.URL, "https://") {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
		again, err := calendar.Parse(got.URL)
		// A webcal address without ".ics" is known by its scheme alone; all others say the same when read again.
		if !strings.HasPrefix(text, "webcal") && (err != nil || again != got) {
			t.Errorf("%q normalised to %q reads as %+v, %v", text, got.URL, again, err)
		}
	}
}

// The kind comes from the host, never from a part of the text.
func TestForeignHostsAreUnsupported(t *testing.T) {
	t.Parallel()
	for text, host := range map[string]string{
		"https://evil.example/calendly.com/acme/intro":         "evil.example",
		"https://calendly.com.evil.example/acme/intro":         "calendly.com.evil.example",
		"https://notcalendly.com/acme":                         "notcalendly.com",
		"https://evil.example/meetings/jane":                   "evil.example",
		"https://evil.example/widget/booking/AbCdEfGhIjKlMnOp": "evil.example",
		"https://cal.com/jane":                                 "cal.com",
		"https://blog.hubspot.com/meetings/jane":               "blog.hubspot.com",
	} {
		_, err := calendar.Parse(text)
		var unsupported *calendar.UnsupportedError
		if !errors.As(err, &unsupported) || unsupported.Host != host {
			t.Errorf("%q: %v, want unsupported %s", text, err, host)
		}
	}
}

func TestRefusedAddresses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "https://", "ftp://calendly.com/a/b", "gopher://calendly.com/a", "file:///etc/passwd", "javascript:alert(1)",
		"https://user:pass@calendly.com/a/b", "https://calendly.com@evil.example/x.ics@", "https://calendly.com:8443/a/b",
		"https://calendly.com:/a/b", "https://localhost/x.ics", "https://127.0.0.1/x.ics", "https://127.1/x.ics", "https://2130706433/x.ics",
		"https://0x7f000001/x.ics", "https://0177.0.0.1/x.ics", "https://0x7f.1/x.ics", "https://[::1]/x.ics", "https://[::ffff:127.0.0.1]/x.ics",
		"https://[fe80::1%25eth0]/x.ics", "https://169.254.169.254/latest/meta-data.ics", "https://1.2.3.4./x.ics",
		"https://calendly.com/", "https://calendly.com/app/home", "https://calendly.com/../../etc", "https://calendly.com/a%2f..%2fb/c",
		"https://meetings.hubspot.com/", "https://meetings.hubspot.com/a/b/c", "https://calendly.com/d", "https://intranet/x.ics",
		"https://a b.example/x.ics", "https://exa\x00mple.com/x.ics", "https://" + strings.Repeat("a", 3000) + ".example/x.ics",
	} {
		if got, err := calendar.Parse(text); !errors.Is(err, calendar.ErrAddress) {
			t.Errorf("%q: %+v, %v; want ErrAddress", text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"https://calendly.com/acme/intro", "meetings-eu1.hubspot.com/jane/intro", "webcal://x.example/y", "https://[::1]/x.ics", "//", "%zz",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := calendar.Parse(text)
		if err != nil {
			return
		}
		if !strings.HasPrefix(got.URL, "https://") || strings.Contains(got.ID, "..") || strings.ContainsAny(got.ID, "?#%\\ ") {
			t.Errorf("%q: %+v", text, got)
		}
	})
}
