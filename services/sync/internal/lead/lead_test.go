package lead_test

import (
	"strings"
	"testing"

	"github.com/relance/relance/services/sync/internal/lead"
)

func TestPhone(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"(202) 555-0123": "+12025550123", "+1 202-555-0123": "+12025550123", "+33 1 99 00 12 34": "+33199001234", "": "",
	} {
		if got, ok := lead.Phone(in, ""); !ok || got != want {
			t.Errorf("Phone(%q) = %q, %v", in, got, ok)
		}
	}
	for _, in := range []string{"abc", "123", "+999999"} {
		if got, ok := lead.Phone(in, ""); ok {
			t.Errorf("Phone(%q) = %q was taken", in, got)
		}
	}
}

func TestMatchOrder(t *testing.T) {
	t.Parallel()
	stored := []lead.Stored{
		{Key: "phone", Facts: lead.Facts{Phone: "+12025550123"}},
		{Key: "email", Facts: lead.Facts{Email: "a@example.com"}},
		{Key: "contact", Facts: lead.Facts{ContactID: "c1"}},
	}
	all := lead.Facts{ContactID: "c1", Email: "a@example.com", Phone: "+12025550123"}
	for i, want := range []string{"contact", "email", "phone"} {
		got, ok := lead.Match(all, stored[:len(stored)-i])
		if !ok || got.Key != want {
			t.Errorf("match = %q, %v; want %q", got.Key, ok, want)
		}
	}
	bound := []lead.Stored{{Key: "x", Facts: lead.Facts{ContactID: "c2", Email: "a@example.com"}}}
	if got, ok := lead.Match(all, bound); ok {
		t.Errorf("matched %q, which is another contact", got.Key)
	}
}

func TestFillNeverOverwritesNorSteals(t *testing.T) {
	t.Parallel()
	known := lead.Stored{Key: "a", Facts: lead.Facts{ContactID: "c1", FirstName: "Ann"}}
	other := lead.Stored{Key: "b", Facts: lead.Facts{Phone: "+12025550123"}}
	got, changed := lead.Fill(known, lead.Facts{
		ContactID: "c9", FirstName: "Bob", Email: "a@example.com", Phone: "+12025550123",
	}, []lead.Stored{known, other})
	want := lead.Facts{ContactID: "c1", FirstName: "Ann", Email: "a@example.com"}
	if !changed || got != want {
		t.Errorf("fill = %+v, %v", got, changed)
	}
}

func TestNamesAreCutAndCleaned(t *testing.T) {
	t.Parallel()
	got := lead.Facts{FirstName: strings.Repeat("😀", 3000), LastName: "{email}\x00\n"}.Normal("")
	if len([]rune(got.FirstName)) != 200 || got.LastName != "{email}" {
		t.Errorf("names = %d runes, %q", len([]rune(got.FirstName)), got.LastName)
	}
}
