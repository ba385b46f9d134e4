package redact_test

import (
	"testing"

	"github.com/relance/relance/platform/redact"
)

func TestTextScrubsAndLeavesTheRest(t *testing.T) {
	t.Parallel()
	const m = "[redacted]"
	for in, want := range map[string]string{
		"":                                      "",
		"Cannot send message as DND is active.": "Cannot send message as DND is active.",
		"status 429 after 3 tries in 1500 ms":   "status 429 after 3 tries in 1500 ms",
		"to jane.roe+x@mail.example.com failed": "to " + m + " failed",
		`{"email":"jane@example.com"}`:          `{"email":"` + m + `"}`,
		"+12025550123 is not a mobile":          m + " is not a mobile",
		"call 202-555-0123 or 202.555.0123":     "call " + m + " or " + m,
		"call 5550123 now":                      "call " + m + " now",
		"call 202/555/0123 now":                 "call " + m + " now",
		"call 202\u00a0555\u20110123 now":       "call " + m + " now",
		"Authorization: Bearer abc.def-ghi":     "Authorization: " + m,
		"token pit-0a1b2c3d-4e5f is revoked":    "token " + m + " is revoked",
	} {
		if got := redact.Text(in); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
	}
}
