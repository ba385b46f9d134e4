package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// ErrSignature is returned for a signature that does not fit, whatever the cause.
var ErrSignature = errors.New("webhook signature does not fit")

// calendlyTolerance is how far the signed time may be from ours, as Calendly advises.
const calendlyTolerance = 3 * time.Minute

// ParseCalendlySignature reads "t=<unix seconds>,v1=<hex>": the signed time and the MAC of 32 bytes. Both are required once,
// in lower-case hex, and nothing else is taken.
func ParseCalendlySignature(header string) (string, []byte, error) {
	stamp, rest, ok := strings.Cut(header, ",")
	stamp, found := strings.CutPrefix(stamp, "t=")
	text, named := strings.CutPrefix(rest, "v1=")
	if !ok || !found || !named {
		return "", nil, ErrSignature
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || seconds <= 0 || strconv.FormatInt(seconds, 10) != stamp {
		return "", nil, ErrSignature
	}
	mac, err := lowerHex(text)
	return stamp, mac, err
}

// VerifyCalendly checks Calendly's signature of a raw body under any of the keys, at most three minutes from now.
func VerifyCalendly(header string, body []byte, keys []string, now time.Time) error {
	stamp, mac, err := ParseCalendlySignature(header)
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > calendlyTolerance {
		return ErrSignature
	}
	return fits(mac, keys, []byte(stamp+"."), body)
}

// ParseSmartleadSignature reads "sha256=<hex>".
func ParseSmartleadSignature(header string) ([]byte, error) {
	text, ok := strings.CutPrefix(header, "sha256=")
	if !ok {
		return nil, ErrSignature
	}
	return lowerHex(text)
}

// VerifySmartlead checks Smartlead's signature of a raw body under any of the keys. It covers no time: repeats are told by
// the delivery's id.
func VerifySmartlead(header string, body []byte, keys []string) error {
	mac, err := ParseSmartleadSignature(header)
	if err != nil {
		return err
	}
	return fits(mac, keys, body)
}

// fits compares with every key, without an early exit.
func fits(mac []byte, keys []string, parts ...[]byte) error {
	match := false
	for _, key := range keys {
		h := hmac.New(sha256.New, []byte(key))
		for _, p := range parts {
			_, _ = h.Write(p)
		}
		match = hmac.Equal(mac, h.Sum(nil)) || match
	}
	if !match {
		return ErrSignature
	}
	return nil
}

func lowerHex(text string) ([]byte, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != sha256.Size || hex.EncodeToString(raw) != text {
		return nil, ErrSignature
	}
	return raw, nil
}
