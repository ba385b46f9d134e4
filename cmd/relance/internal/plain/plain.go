// Package plain makes text that others chose, such as the names of workspaces, safe to print: it stays on its line and in its column,
// tells the terminal nothing, and shows its letters in their order.
package plain

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line is a text as it is printed: white space that would break a line or a table is a blank, and every other control, format or
// broken character is the replacement character. What joins the parts of an emoji or of a letter stays.
func Line(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r) && (unicode.IsControl(r) || r == '\u2028' || r == '\u2029'):
			return ' '
		case r == '\u200c', r == '\u200d':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return utf8.RuneError
		default:
			return r
		}
	}, text)
}

// Lines is a text of several lines, each as Line.
func Lines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = Line(line)
	}
	return strings.Join(lines, "\n")
}

// Args are the arguments of a format, with every text among them as Line.
func Args(args ...any) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		switch text := arg.(type) {
		case string:
			out[i] = Line(text)
		case error:
			out[i] = Line(text.Error())
		default:
			out[i] = arg
		}
	}
	return out
}
