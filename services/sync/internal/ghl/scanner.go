package ghl

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// scanner reads JSON in one pass. It is lost at the first byte that it does not know for sure, and stays so: then what it read
// counts for nothing.
type scanner struct {
	in    []byte
	at    int
	depth int
	lost  bool
}

// mostDeep is deeper than lists of messages are.
const mostDeep = 32

// peek is the next byte that is no space; 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.in) {
		switch c := s.in[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.peek() != c || c == 0 {
		return false
	}
	s.at++
	return true
}

func (s *scanner) want(c byte) {
	if !s.take(c) {
		s.lost = true
	}
}

// end reports whether nothing follows.
func (s *scanner) end() bool {
	if s.peek() != 0 || s.at < len(s.in) {
		s.lost = true
	}
	return !s.lost
}

func (s *scanner) word(text string) bool {
	if s.peek(); !bytes.HasPrefix(s.in[s.at:], []byte(text)) {
		return false
	}
	s.at += len(text)
	return true
}

func (s *scanner) null() bool { return s.word("null") }

func (s *scanner) truth() bool {
	if s.word("true") {
		return true
	}
	if !s.word("false") {
		s.lost = true
	}
	return false
}

// object reads an object: known is called at the value of each of the keys, with its index; it must read it. Other values are
// passed over. A key that is there twice, or is one of the keys but for its case, has a meaning of its own to encoding/json.
func (s *scanner) object(keys []string, known func(key int)) {
	seen := 0
	s.nested('{', '}', func() {
		name, plain := s.quoted()
		s.want(':')
		if s.lost || !plain {
			s.lost = true
			return
		}
		for i, key := range keys {
			if len(key) != len(name) || !strings.EqualFold(key, string(name)) {
				continue
			}
			if key != string(name) || seen&(1<<i) != 0 {
				s.lost = true
				return
			}
			seen |= 1 << i
			known(i)
			return
		}
		s.skip()
	})
}

func (s *scanner) array(element func()) { s.nested('[', ']', element) }

// nested reads what is between two brackets and parted by commas.
func (s *scanner) nested(open, shut byte, element func()) {
	s.want(open)
	if s.depth++; s.depth > mostDeep {
		s.lost = true
	}
	if s.lost || s.take(shut) {
		s.depth--
		return
	}
	for {
		element()
		if s.lost || !s.take(',') {
			break
		}
	}
	s.want(shut)
	s.depth--
}

// quoted reads a string and gives what is between its quotes, and whether that is plain ASCII without escapes.
func (s *scanner) quoted() (inside []byte, plain bool) {
	s.want('"')
	if s.lost {
		return nil, false
	}
	plain = true
	for i := s.at; i < len(s.in); i++ {
		switch c := s.in[i]; {
		case c == '"':
			inside = s.in[s.at:i]
			s.at = i + 1
			return inside, plain
		case c == '\\':
			plain = false
			i++
		case c < ' ':
			s.lost = true
			return nil, false
		case c >= utf8.RuneSelf:
			plain = false
		}
	}
	s.lost = true
	return nil, false
}

// text reads a string; known is given back where it is the same.
func (s *scanner) text(known string) string {
	s.peek()
	begin := s.at
	inside, plain := s.quoted()
	switch {
	case s.lost:
		return ""
	case plain && string(inside) == known:
		return known
	case plain:
		return string(inside)
	case utf8.Valid(inside):
		if out, ok := unescaped(inside); ok {
			return out
		}
	}
	var out string
	if json.Unmarshal(s.in[begin:s.at], &out) != nil {
		s.lost = true
	}
	return out
}

// unescaped is the text of a string whose escapes are of one letter.
func unescaped(inside []byte) (string, bool) {
	at := bytes.IndexByte(inside, '\\')
	if at < 0 {
		return string(inside), true
	}
	out := append(make([]byte, 0, len(inside)), inside[:at]...)
	for ; at < len(inside); at++ {
		c := inside[at]
		if c == '\\' {
			at++
			letter := bytes.IndexByte([]byte(`"\/bfnrt`), inside[at]) // There is one: the last quote was none of the text's.
			if letter < 0 {
				return "", false
			}
			c = "\"\\/\b\f\n\r\t"[letter]
		}
		out = append(out, c)
	}
	return string(out), true
}

// optional reads a string, or null, which leaves it empty.
func (s *scanner) optional(known string) string {
	if s.null() {
		return ""
	}
	return s.text(known)
}

// raw passes over a value and gives its bytes.
func (s *scanner) raw() []byte {
	s.peek()
	begin := s.at
	s.skip()
	return s.in[begin:s.at]
}

// skip passes over a value. Strings with escapes and numbers are rare in what is passed over, and left to the judge of both.
func (s *scanner) skip() {
	switch c := s.peek(); {
	case c == '"':
		begin := s.at
		if _, plain := s.quoted(); !plain && !s.lost && !json.Valid(s.in[begin:s.at]) {
			s.lost = true
		}
	case c == '{':
		s.object(nil, nil)
	case c == '[':
		s.array(s.skip)
	case c == '-' || (c >= '0' && c <= '9'):
		begin := s.at
		for s.at < len(s.in) && strings.IndexByte("+-.0123456789Ee", s.in[s.at]) >= 0 {
			s.at++
		}
		if !json.Valid(s.in[begin:s.at]) {
			s.lost = true
		}
	case s.word("true"), s.word("false"), s.null():
	default:
		s.lost = true
	}
}
