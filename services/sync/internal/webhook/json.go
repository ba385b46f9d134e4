// Package webhook is the pure part of what comes in from GoHighLevel: strict JSON, the two dialects, the time window,
// the keys by which repeats are known, and opt-out words.
package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

// MaxBody is the largest body taken, in bytes.
const MaxBody = 256 << 10

// maxDepth bounds nesting.
const maxDepth = 32

// ErrBody is wrapped by every refusal of a body's form.
var ErrBody = errors.New("webhook body")

var (
	errJSON   = fmt.Errorf("%w: not valid JSON, or more than one value", ErrBody)
	errDepth  = fmt.Errorf("%w: nested deeper than %d", ErrBody, maxDepth)
	errRepeat = fmt.Errorf("%w: a key is repeated", ErrBody)
	errCase   = fmt.Errorf("%w: two keys differ by case only", ErrBody)
)

// Strict refuses what lax parsers read in different ways: invalid UTF-8, repeated keys, keys that differ by case only, nesting deeper
// than 32, more than one value, anything that is not an object.
func Strict(raw []byte) error {
	_, err := members(raw, !cased)
	return err
}

// cased lets keys differ by case only, where people choose some of them; see ours.
const cased = true

// member is a key of an object, without quotes and escapes, and its value.
type member struct{ name, value []byte }

// members is Strict, but for cased, and gives what the object has at its top, in its order. The slices are parts of raw.
func members(raw []byte, cased bool) ([]member, error) {
	switch {
	case len(raw) > MaxBody:
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrBody, MaxBody)
	case !utf8.Valid(raw):
		return nil, fmt.Errorf("%w: not valid UTF-8", ErrBody)
	}
	// Most bodies have fewer keys than this.
	w := walk{raw: raw, cased: cased, names: make([][]byte, 0, usualKeys), top: make([]member, 0, usualKeys)}
	w.space()
	if w.next() != '{' {
		return nil, fmt.Errorf("%w: not a JSON object", ErrBody)
	}
	if err := w.object(1); err != nil {
		return nil, err
	}
	if w.space(); w.at != len(raw) {
		return nil, errJSON
	}
	return w.top, nil
}

// walk reads JSON byte by byte, once: form, depth and repeated keys. It is most of what a webhook costs before it is stored; a
// decoder of tokens takes ten times as long, and a look at the form and another at the keys three times.
type walk struct {
	raw []byte
	at  int
	// names are the keys of the objects that are open, the outermost first.
	names [][]byte
	top   []member
	// cased lets keys of an object differ by case only.
	cased bool
}

// next is the byte at hand; at the end it is zero, which no value may begin with and no string may hold.
func (w *walk) next() byte {
	if w.at < len(w.raw) {
		return w.raw[w.at]
	}
	return 0
}

func (w *walk) space() {
	for w.at < len(w.raw) {
		switch w.raw[w.at] {
		case ' ', '\t', '\r', '\n':
			w.at++
		default:
			return
		}
	}
}

// take steps over a byte, and reports whether it was there.
func (w *walk) take(c byte) bool {
	if w.next() != c {
		return false
	}
	w.at++
	return true
}

// value steps over a value that lies in so many others.
func (w *walk) value(depth int) error {
	var ok bool
	switch c := w.next(); c {
	case '{':
		return w.object(depth + 1)
	case '[':
		return w.array(depth + 1)
	case '"':
		ok = w.text()
	case 't':
		ok = w.word("true")
	case 'f':
		ok = w.word("false")
	case 'n':
		ok = w.word("null")
	default:
		ok = w.number()
	}
	if !ok {
		return errJSON
	}
	return nil
}

func (w *walk) array(depth int) error {
	if depth > maxDepth {
		return errDepth
	}
	w.at++
	if w.space(); w.take(']') {
		return nil
	}
	for {
		w.space()
		if err := w.value(depth); err != nil {
			return err
		}
		if w.space(); w.take(']') {
			return nil
		}
		if !w.take(',') {
			return errJSON
		}
	}
}

func (w *walk) object(depth int) error {
	if depth > maxDepth {
		return errDepth
	}
	w.at++
	if w.space(); w.take('}') {
		return nil
	}
	own := keys{first: len(w.names), cased: w.cased}
	for {
		if err := w.member(depth, &own); err != nil {
			return err
		}
		if w.space(); w.take('}') {
			w.names = w.names[:own.first]
			return nil
		}
		if !w.take(',') {
			return errJSON
		}
	}
}

// member steps over a key and its value.
func (w *walk) member(depth int, own *keys) error {
	w.space()
	begin := w.at
	if w.next() != '"' || !w.text() {
		return errJSON
	}
	name := unquoted(w.raw[begin:w.at])
	if err := own.take(w.names, name); err != nil {
		return err
	}
	w.names = append(w.names, name)
	if w.space(); !w.take(':') {
		return errJSON
	}
	w.space()
	begin = w.at
	err := w.value(depth)
	if depth == 1 {
		w.top = append(w.top, member{name: name, value: w.raw[begin:w.at]})
	}
	return err
}

// unquoted is the text of a valid string; a part of it where nothing is escaped.
func unquoted(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var text string
	_ = json.Unmarshal(quoted, &text) // it is valid
	return []byte(text)
}

// usualKeys is how many keys there is room for from the beginning.
const usualKeys = 24

// fewKeys is up to how many keys of an object are compared with each other; more are looked up.
const fewKeys = 32

// keys are those of an object: the names from first on.
type keys struct {
	first int
	cased bool
	// many are the names, or what they are when case does not count.
	many map[string]struct{}
}

// take refuses a key that was there. encoding/json takes one for the other when they differ by case only, so that both count as one.
func (k *keys) take(names [][]byte, name []byte) error {
	own := names[k.first:]
	if len(own) < fewKeys {
		for _, n := range own {
			if bytes.Equal(n, name) {
				return errRepeat
			}
			if !k.cased && bytes.EqualFold(n, name) {
				return errCase
			}
		}
		return nil
	}
	if k.many == nil {
		k.many = make(map[string]struct{}, 2*len(own))
		for _, n := range own {
			k.many[k.form(n)] = struct{}{}
		}
	}
	form := k.form(name)
	if _, repeated := k.many[form]; repeated {
		if slices.ContainsFunc(own, func(n []byte) bool { return bytes.Equal(n, name) }) {
			return errRepeat
		}
		return errCase
	}
	k.many[form] = struct{}{}
	return nil
}

// form is the same for names that count as one.
func (k *keys) form(name []byte) string {
	if k.cased {
		return string(name)
	}
	return string(bytes.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, name))
}
