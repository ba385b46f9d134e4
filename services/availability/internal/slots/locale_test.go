package slots_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/relance/relance/services/availability/internal/slots"
)

func TestLabelsByLanguage(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 8, 20, 0, 0, 0, time.UTC)
	for _, c := range []struct{ tag, zone, want string }{
		// The default and American English are those of the reference, to the letter.
		{"", "America/New_York", "3:00 PM EST on Thu, Jan 8"},
		{"en-US", "America/New_York", "3:00 PM EST on Thu, Jan 8"},
		{"en", "Europe/Paris", "9:00 PM GMT+1 on Thu, Jan 8"},
		{"en-GB", "Europe/London", "20:00 GMT on Thu, 8 Jan"},
		{"en-AU", "Australia/Sydney", "07:00 GMT+11 on Fri, 9 Jan"},
		{"fr", "Europe/Paris", "jeu. 8 janv. à 21:00 (GMT+1)"},
		{"fr-CA", "America/Toronto", "jeu. 8 janv. à 15:00 (EST)"},
		{"de-AT", "Europe/Vienna", "Do., 8. Jan., 21:00 Uhr (GMT+1)"},
		{"es-MX", "America/Mexico_City", "jue, 8 ene, 14:00 (CST)"},
		{"it", "Europe/Rome", "gio 8 gen, 21:00 (GMT+1)"},
		{"pt-BR", "America/Sao_Paulo", "qui., 8 de jan., 17:00 (GMT-3)"},
		{"nl", "Europe/Amsterdam", "do 8 jan., 21:00 (GMT+1)"},
	} {
		locale, err := slots.FindLocale(c.tag)
		if err != nil {
			t.Fatal(err)
		}
		zone, err := slots.Zone(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := locale.Label(start, zone); got != c.want {
			t.Errorf("%s: %q, want %q", c.tag, got, c.want)
		}
	}
	for _, bad := range []string{"ja", "xx-not a tag", "tlh", "zh-Hans"} {
		if _, err := slots.FindLocale(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	german, err := slots.FindLocale("de")
	if err != nil || german.Join([]string{"a", "b"}) != "a oder b" || (slots.Locale{}).Join([]string{"a", "b"}) != "a or b" {
		t.Error(err)
	}
}

// A label of any language names every part, in any zone and at any time: nothing of the pattern is left in it.
func TestLabelsAreWhole(t *testing.T) {
	t.Parallel()
	zones := []string{"UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Chatham", "Africa/Casablanca"}
	tags := []string{"en-US", "en-GB", "fr", "de", "es", "it", "pt", "nl"}
	rapid.Check(t, func(t *rapid.T) {
		locale, err := slots.FindLocale(rapid.SampledFrom(tags).Draw(t, "tag"))
		if err != nil {
			t.Fatal(err)
		}
		zone, err := slots.Zone(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Unix(rapid.Int64Range(1577836800, 2208988800).Draw(t, "at"), 0)
		label := locale.Label(start, zone)
		if strings.ContainsAny(label, "{}\u202f\u00a0") || !strings.Contains(label, start.In(zone).Format("2")) || strings.Contains(label, "  ") {
			t.Fatalf("%q", label)
		}
	})
}
