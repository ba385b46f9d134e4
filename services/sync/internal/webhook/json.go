// Package webhook is the pure part of what comes in from GoHighLevel: strict JSON, the two dialects, the time window,
// the keys by which repeats are known, and opt-out words.
package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	var names [][]byte
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '{', '[':
			if len(open) >= maxDepth {
				return fmt.Errorf("%w: nested deeper than %d", ErrBody, maxDepth)
			}
			open = append(open, frame{object: raw[i] == '{', key: raw[i] == '{', first: len(names)})
		case '}', ']':
			names = names[:open[len(open)-1].first]
			open = open[:len(open)-1]
		case ',':
			top := &open[len(open)-1]
			top.key = top.object
		case '"':
			end := i + stringEnd(raw[i:])
			if top := &open[len(open)-1]; top.key {
				name, ok := top.take(names, raw[i:end])
				if !ok {
					return fmt.Errorf("%w: a key is repeated", ErrBody)
				}
				names = append(names, name)
			}
			i = end - 1
		}
	}
	return nil
}

// fewKeys is up to how many keys of an object are compared with each other; more are looked up.
const fewKeys = 32

// frame is an object or array that is open. The names from first on are its keys.
type frame struct {
	object bool
	// key says that the next string is a key.
	key   bool
	first int
	many  map[string]struct{}
}

// take reads a key, with its quotes, and reports false for one that was there.
func (f *frame) take(names [][]byte, quoted []byte) ([]byte, bool) {
	f.key = false
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(quoted, '\\') >= 0 {
		var text string
		_ = json.Unmarshal(quoted, &text) // it is valid
		name = []byte(text)
	}
	own := names[f.first:]
	if len(own) < fewKeys {
		return name, !slices.ContainsFunc(own, func(n []byte) bool { return bytes.Equal(n, name) })
	}
	if f.many == nil {
		f.many = make(map[string]struct{}, 2*len(own))
		for _, n := range own {
			f.many[string(n)] = struct{}{}
		}
	}
	_, repeated := f.many[string(name)]
	f.many[string(name)] = struct{}{}
	return name, !repeated
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
