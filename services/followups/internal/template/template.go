// Package template renders follow-up texts. It replaces tokens such as {firstName} and picks spintax options in one pass: a
// value is never looked at again, so a lead named "{email}" stays just that. A token without a value and without a
// fallback, an unknown token and broken spintax are errors, never text that reaches a lead. It knows nothing of where
// values come from.
package template

import (
	"errors"
	"fmt"
	"html"
	"slices"
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

// Data is what one message is rendered with.
type Data struct {
	// Values of the tokens.
	Values Values
	// Seed picks the spintax options: the same seed always picks the same.
	Seed string
}

// Kind tells what is wrong with a token.
type Kind string

// Kinds of problems.
const (
	// UnknownToken is a token that no alias names.
	UnknownToken Kind = "unknown_token"
	// MissingValue is a known token without a value and without a fallback.
	MissingValue Kind = "missing_value"
	// SpintaxError is a group that cannot be read.
	SpintaxError Kind = "spintax_error"
)

// Problem is one thing that keeps a text from being rendered.
type Problem struct {
	// Kind tells what is wrong.
	Kind Kind
	// Written is the token as it stands in the template, such as "{company}"; for spintax, what is wrong with it.
	Written string
	// Token is its canonical name; empty for an unknown one.
	Token Token
}

// String is the problem for people: "Missing value for {email}: the lead has no email address".
func (p Problem) String() string {
	switch p.Kind {
	case UnknownToken:
		return "Unknown template variable: " + p.Written
	case SpintaxError:
		return p.Written
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

// Text renders text as plain text of at most MaxText bytes. Errors: *Error with every problem, ErrTooLarge.
func Text(text string, data Data) (string, error) {
	return render(text, data, mode{limit: MaxText, escape: func(s string) string { return s }})
}

// Subject renders text as one line: line breaks of values and template become spaces, so that a value cannot add a
// header. It has at most MaxSubject characters. Errors: as Text.
func Subject(text string, data Data) (string, error) {
	subject, err := render(text, data, mode{limit: MaxText, escape: func(s string) string {
		return strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ").Replace(s)
	}})
	if err == nil && utf8.RuneCountInString(subject) > MaxSubject {
		return "", ErrTooLarge
	}
	return subject, err
}

// HTML renders text, which is plain text, as an HTML fragment of at most MaxHTML bytes: template and values are escaped
// alike and line breaks become <br>. Errors: as Text.
func HTML(text string, data Data) (string, error) {
	body, err := render(text, data, mode{limit: MaxHTML - len("<p></p>"), escape: func(s string) string {
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

func render(text string, data Data, m mode) (string, error) {
	if len(text) > MaxText {
		return "", ErrTooLarge
	}
	parsed := Parse(text)
	r := renderer{data: data, mode: m, problems: parsed.Problems()}
	r.nodes(parsed.nodes)
	if len(r.problems) > 0 {
		return "", &Error{Problems: r.problems}
	}
	if r.out.Len() > m.limit {
		return "", ErrTooLarge
	}
	return r.out.String(), nil
}

type renderer struct {
	data     Data
	mode     mode
	out      strings.Builder
	groups   int
	problems []Problem
}

func (r *renderer) write(s string) {
	if r.out.Len() <= r.mode.limit {
		r.out.WriteString(r.mode.escape(s))
	}
}

func (r *renderer) nodes(nodes []node) {
	for _, n := range nodes {
		switch {
		case n.use != nil:
			r.token(*n.use)
		case len(n.options) > 0:
			picked := choose(fmt.Sprintf("%s:%d", r.data.Seed, r.groups), len(n.options))
			r.groups++
			r.nodes(n.options[picked])
		default:
			r.write(n.literal)
		}
	}
}

func (r *renderer) token(use Use) {
	value := r.data.Values[use.Token]
	switch {
	case use.Token == "": // one of the parsed problems
	case strings.TrimSpace(value) != "":
		r.write(value)
	case use.HasFallback:
		r.write(use.Fallback)
	default:
		problem := Problem{Kind: MissingValue, Written: use.Written, Token: use.Token}
		if !slices.Contains(r.problems, problem) {
			r.problems = append(r.problems, problem)
		}
	}
}
