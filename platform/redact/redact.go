// Package redact keeps secrets and personal data out of logs: typed values that print as "[redacted]" everywhere, and a
// scrubber for text that comes from providers.
package redact

import (
	"log/slog"
	"regexp"
)

const mask = "[redacted]"

// Secret is a value such as a token. It prints as "[redacted]" by every road but Reveal.
type Secret string

// Reveal is the value itself; call it only where it is used.
func (s Secret) Reveal() string { return string(s) }

// String hides the value.
func (s Secret) String() string { return mask }

// GoString hides the value.
func (s Secret) GoString() string { return mask }

// LogValue hides the value.
func (s Secret) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText hides the value, in JSON too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// PII is a name, address, phone number or message text. It prints as "[redacted]" by every road but Reveal.
type PII string

// Reveal is the value itself.
func (p PII) Reveal() string { return string(p) }

// String hides the value.
func (p PII) String() string { return mask }

// GoString hides the value.
func (p PII) GoString() string { return mask }

// LogValue hides the value.
func (p PII) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText hides the value, in JSON too.
func (p PII) MarshalText() ([]byte, error) { return []byte(mask), nil }

var (
	email = regexp.MustCompile(`[^\s@<>"']+@[^\s@<>"']+`)
	token = regexp.MustCompile(`(?i)\b(bearer\s+\S+|pit-[\w-]+|eyJ[\w-]+\.[\w-]+(\.[\w-]+)?)`)
	phone = regexp.MustCompile(`\+?\d(?:[\s().\-/\x{a0}\x{2010}-\x{2015}\x{202f}]*\d){6,}`)
)

// Text replaces e-mail addresses, phone-like numbers (7 digits or more) and bearer tokens in text that a provider
// wrote.
func Text(text string) string {
	for _, pattern := range []*regexp.Regexp{token, email, phone} {
		text = pattern.ReplaceAllString(text, mask)
	}
	return text
}
