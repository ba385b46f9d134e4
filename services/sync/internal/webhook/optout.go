package webhook

import (
	"slices"
	"strings"
	"unicode"
)

// IsOptOut reports whether a text asks to be left alone: its first word is one of the carriers' stop words, or it says
// so in a common phrase. It errs to the side of not writing: "Stop by at noon" is taken as a stop.
func IsOptOut(text string) bool {
	words := strings.FieldsFunc(strings.ToLower(strings.ReplaceAll(text, "’", "'")), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\'' && r != '-'
	})
	if len(words) == 0 {
		return false
	}
	first := strings.Trim(words[0], "'-")
	if slices.Contains([]string{"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "optout", "opt-out"}, first) {
		return true
	}
	flat := " " + strings.Join(words, " ") + " "
	for _, phrase := range []string{" opt out ", " opt-out ", " unsubscribe me ", " remove me ", " stop texting ", " stop messaging "} {
		if strings.Contains(flat, phrase) {
			return true
		}
	}
	return false
}
