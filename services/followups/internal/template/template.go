// Package template renders follow-up texts. It replaces tokens such as {firstName} in one pass: a value is never looked
// at again, so a lead named "{email}" stays just that. A token without a value and an unknown token are errors, never
// text that reaches a lead. It knows nothing of where values come from.
package template

import (
	"errors"
	"html"
	"strings"
	"unicode/utf8"
)

// Limits of a rendered text.
const (
	// MaxText is the largest template and the largest rendered plain text, in bytes.
	MaxText = 64 << 10
	// MaxHTML is the largest rendered HTML, in bytes; escaping makes a text longer.
	MaxHTML = 256 << 10
	// MaxSubject is the longest rendered subject, in characters.
	MaxSubject = 1000
)

// ErrTooLarge is returned when a template or the text made of it is longer than allowed.
var ErrTooLarge = errors.New("text is longer than allowed")

// Values are the values of one message. A token that is absent or has only white space counts as missing.
type Values map[Token]string

// Kind tells what is wrong with a token.
type Kind string

// Kinds of problems.
const (
	// UnknownToken is a token that no alias names.
	UnknownToken Kind = "unknown_token"
	// MissingValue is a known token without a value.
	MissingValue Kind = "missing_value"
)

// Problem is one token that cannot be rendered.
type Problem struct {
	// Kind tells what is wrong.
	Kind Kind
	// Written is the token as it stands in the template, such as "{company}".
	Written string
	// Token is its canonical name; empty for an unknown one.
	Token Token
}

// String is the problem for people: "Missing value for {email}: the lead has no email address".
func (p Problem) String() string {
	if p.Kind == UnknownToken {
		return "Unknown template variable: " + p.Written
	}
	return "Missing value for " + p.Written + ": " + p.Token.hint()
}

// Error lists every problem of a text, each token once, in order of appearance.
type Error struct {
	// Problems is never empty.
	Problems []Problem
}

// Error joins the problems.
func (e *Error) Error() string {
	texts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		texts[i] = p.String()
	}
	return strings.Join(texts, "; ")
}

// Unknown lists the unknown tokens of text as written, each once, in order.
func Unknown(text string) []string {
	var unknown []string
	seen := map[string]bool{}
	scan(text, func(string) {}, func(written string, token Token) {
		if token == "" && !seen[written] {
			seen[written] = true
			unknown = append(unknown, written)
		}
	})
	return unknown
}

// Tokens lists the known tokens of text, each once, in order.
func Tokens(text string) []Token {
	var tokens []Token
	seen := map[Token]bool{}
	scan(text, func(string) {}, func(_ string, token Token) {
		if token != "" && !seen[token] {
			seen[token] = true
			tokens = append(tokens, token)
		}
	})
	return tokens
}

// Text renders text as plain text of at most MaxText bytes. Errors: *Error with every problem, ErrTooLarge.
func Text(text string, values Values) (string, error) {
	return render(text, values, mode{limit: MaxText, escape: func(s string) string { return s }})
}

// Subject renders text as one line: line breaks of values and template become spaces, so that a value cannot add a
// header. It has at most MaxSubject characters. Errors: as Text.
func Subject(text string, values Values) (string, error) {
	subject, err := render(text, values, mode{limit: MaxText, escape: func(s string) string {
		return strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ").Replace(s)
	}})
	if err == nil && utf8.RuneCountInString(subject) > MaxSubject {
		return "", ErrTooLarge
	}
	return subject, err
}

// HTML renders text, which is plain text, as an HTML fragment of at most MaxHTML bytes: template and values are escaped
// alike and line breaks become <br>. Errors: as Text.
func HTML(text string, values Values) (string, error) {
	body, err := render(text, values, mode{limit: MaxHTML - len("<p></p>"), escape: func(s string) string {
		return strings.NewReplacer("\r\n", "<br>\n", "\n", "<br>\n").Replace(html.EscapeString(s))
	}})
	if err != nil || strings.TrimSpace(body) == "" {
		return "", err
	}
	return "<p>" + body + "</p>", nil
}

type mode struct {
	limit  int
	escape func(string) string
}

func render(text string, values Values, m mode) (string, error) {
	if len(text) > MaxText {
		return "", ErrTooLarge
	}
	var out strings.Builder
	var problems []Problem
	seen := map[string]bool{}
	write := func(s string) {
		if out.Len() <= m.limit {
			out.WriteString(m.escape(s))
		}
	}
	scan(text, write, func(written string, token Token) {
		value := values[token]
		if token != "" && strings.TrimSpace(value) != "" {
			write(value)
			return
		}
		if seen[written] {
			return
		}
		seen[written] = true
		kind := MissingValue
		if token == "" {
			kind = UnknownToken
		}
		problems = append(problems, Problem{Kind: kind, Written: written, Token: token})
	})
	if len(problems) > 0 {
		return "", &Error{Problems: problems}
	}
	if out.Len() > m.limit {
		return "", ErrTooLarge
	}
	return out.String(), nil
}

// scan walks text once. It calls literal for text between tokens and token for each "{...}" or "{{...}}", with an empty
// Token when no alias names it. "{}" and braces that never close are literal text.
func scan(text string, literal func(string), token func(string, Token)) {
	known := aliases()
	start := 0
	for i := 0; i < len(text); {
		if text[i] != '{' {
			i++
			continue
		}
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			break
		}
		end += i + 1
		if end == i+2 { // "{}"
			i = end
			continue
		}
		if text[i+1] == '{' && end-i > 3 && end < len(text) && text[end] == '}' {
			end++
		}
		if start < i {
			literal(text[start:i])
		}
		written := text[i:end]
		token(written, known[strings.ReplaceAll(written, `\_`, "_")])
		start, i = end, end
	}
	if start < len(text) {
		literal(text[start:])
	}
}
