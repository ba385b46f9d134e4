// Package webhook is the pure part of what comes in from GoHighLevel: strict JSON, the two dialects, the time window,
// the keys by which repeats are known, and opt-out words.
package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// MaxBody is the largest body taken, in bytes.
const MaxBody = 256 << 10

// maxDepth bounds nesting.
const maxDepth = 32

// ErrBody is wrapped by every refusal of a body's form.
var ErrBody = errors.New("webhook body")

// Strict refuses what lax parsers read in different ways: invalid UTF-8, repeated keys, nesting deeper than 32, more than
// one value, anything that is not an object.
func Strict(raw []byte) error {
	switch {
	case len(raw) > MaxBody:
		return fmt.Errorf("%w: longer than %d bytes", ErrBody, MaxBody)
	case !utf8.Valid(raw):
		return fmt.Errorf("%w: not valid UTF-8", ErrBody)
	case !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")):
		return fmt.Errorf("%w: not a JSON object", ErrBody)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := value(dec, 0); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: more than one value", ErrBody)
	}
	return nil
}

func value(dec *json.Decoder, depth int) error {
	token, err := dec.Token()
	if err != nil {
		return fmt.Errorf("%w: not valid JSON", ErrBody)
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth >= maxDepth {
		return fmt.Errorf("%w: nested deeper than %d", ErrBody, maxDepth)
	}
	seen := map[string]bool{}
	for dec.More() {
		if delim == '{' {
			if err := key(dec, seen); err != nil {
				return err
			}
		}
		if err := value(dec, depth+1); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("%w: not valid JSON", ErrBody)
	}
	return nil
}

func key(dec *json.Decoder, seen map[string]bool) error {
	token, err := dec.Token()
	if err != nil {
		return fmt.Errorf("%w: not valid JSON", ErrBody)
	}
	name, ok := token.(string)
	if !ok {
		return fmt.Errorf("%w: not valid JSON", ErrBody)
	}
	if seen[name] {
		return fmt.Errorf("%w: a key is repeated", ErrBody)
	}
	seen[name] = true
	return nil
}
