// Package webhook is the pure part of what comes in from GoHighLevel: strict JSON, the two dialects, the time window,
// the keys by which repeats are known, and opt-out words.
package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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
	if !json.Valid(raw) {
		return fmt.Errorf("%w: not valid JSON, or more than one value", ErrBody)
	}
	return keys(raw)
}

// keys looks for repeated keys and deep nesting in valid JSON. It walks the bytes itself: this is most of what a webhook costs
// before it is stored, and a decoder of tokens takes four times as long.
func keys(raw []byte) error {
	var open []frame
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '{', '[':
			if len(open) >= maxDepth {
				return fmt.Errorf("%w: nested deeper than %d", ErrBody, maxDepth)
			}
			open = append(open, frame{object: raw[i] == '{', key: raw[i] == '{'})
		case '}', ']':
			open = open[:len(open)-1]
		case ',':
			top := &open[len(open)-1]
			top.key = top.object
		case '"':
			end := i + stringEnd(raw[i:])
			if top := &open[len(open)-1]; top.key {
				if !top.take(raw[i:end]) {
					return fmt.Errorf("%w: a key is repeated", ErrBody)
				}
			}
			i = end - 1
		}
	}
	return nil
}

// frame is an object or array that is open.
type frame struct {
	object bool
	// key says that the next string is a key.
	key  bool
	seen map[string]struct{}
}

// take notes a key, with its quotes, and reports false for one that was there.
func (f *frame) take(quoted []byte) bool {
	name := string(quoted[1 : len(quoted)-1])
	if bytes.IndexByte(quoted, '\\') >= 0 {
		_ = json.Unmarshal(quoted, &name) // it is valid
	}
	if _, repeated := f.seen[name]; repeated {
		return false
	}
	if f.seen == nil {
		f.seen = map[string]struct{}{}
	}
	f.seen[name], f.key = struct{}{}, false
	return true
}

// stringEnd is the length of the string, with its quotes, that valid JSON begins with.
func stringEnd(raw []byte) int {
	for i := 1; ; i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}
