package lead_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/relance/relance/services/sync/internal/lead"
)

// FuzzNormalizePhone: a number that was normalised stays as it is, whatever the country, and is nothing but +digits.
func FuzzNormalizePhone(f *testing.F) {
	for _, seed := range []string{"+12025550123", "(202) 555-0123", "2025550123", "+44 20 7946 0958", "", "+", "++1", "٢٠٢٥٥٥٠١٢٣", "1-800-FLOWERS", "+1;ext=5"} {
		f.Add(seed, "US")
	}
	f.Fuzz(func(t *testing.T, raw, country string) {
		number, ok := lead.Phone(raw, country)
		if !ok || number == "" { // no number at all is one way to have none
			return
		}
		digits, plus := strings.CutPrefix(number, "+")
		if !plus || len(digits) > 15 || strings.ContainsFunc(digits, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsDigit(r) }) {
			t.Fatalf("%q became %q", raw, number)
		}
		if again, ok := lead.Phone(number, country); !ok || again != number {
			t.Fatalf("%q became %q, and that %q", raw, number, again)
		}
	})
}

// FuzzEmail: an address that was normalised stays as it is and has one line.
func FuzzEmail(f *testing.F) {
	for _, seed := range []string{"a@example.com", "A.B+c@Example.COM", "Sam <a@example.com>", "a@b\r\nBcc: c@d", "", "@", "a@"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		address, ok := lead.Email(raw)
		if !ok || address == "" {
			return
		}
		if strings.ContainsAny(address, "\r\n \t<>") || !strings.Contains(address, "@") {
			t.Fatalf("%q became %q", raw, address)
		}
		if again, ok := lead.Email(address); !ok || again != address {
			t.Fatalf("%q became %q, and that %q", raw, address, again)
		}
	})
}
