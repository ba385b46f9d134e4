// Package match tells whether a text found at the provider is the text of a send, although the provider may have put its
// links behind its own, changed white space, or appended an opt-out line. It is pure.
package match

import (
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Kind is how near two texts are.
type Kind int

// Kinds of a comparison, from far to near.
const (
	// Different: not the same message, as far as the words tell.
	Different Kind = iota
	// Extended: the intent's text, with something appended or a little of its end changed.
	Extended
	// Equal: the same after normalising.
	Equal
)

// Matches reports whether the found text counts as the intent's.
func (k Kind) Matches() bool { return k != Different }

const (
	// share of the intent's text that must stand at the beginning of the found one, in percent.
	share = 90
	// maxAppended bounds what a provider appends, in runes.
	maxAppended = 320
	// minFree is how long an intent's text must be for something to be appended that does not speak of opting out: after a
	// short one, such as "Hi", a longer text is as likely somebody else's message.
	minFree = 20
)

// Compare compares the text of a send with one found at the provider. A blank text matches nothing.
func Compare(intent, found string) Kind {
	a, b := []rune(Normalise(intent)), []rune(Normalise(found))
	switch {
	case len(a) == 0 || len(b) == 0:
		return Different
	case string(a) == string(b):
		return Equal
	}
	common := 0
	for common < len(a) && common < len(b) && a[common] == b[common] {
		common++
	}
	if common*100 < len(a)*share || len(b)-common > maxAppended {
		return Different
	}
	if common < len(a) {
		// Something of the end is changed: only where there is enough text for ten percent to be a change and not a word.
		return either(len(a) >= minFree && len(b)-common <= maxAppended/4)
	}
	rest := string(b[common:])
	return either(optOut.MatchString(rest) || len(a) >= minFree && startsApart(rest))
}

func either(ok bool) Kind {
	if ok {
		return Extended
	}
	return Different
}

// startsApart: what is appended begins after a space or a mark, not in the middle of a word.
func startsApart(rest string) bool {
	for _, r := range rest {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}
	return true
}

var (
	links  = regexp.MustCompile(`(?i)\b(?:https?://|www\.)\S+`)
	optOut = regexp.MustCompile(`(?i)\b(?:stop|opt[ -]?out|unsubscribe|quit|cancel|baja|arr[eê]t|desuscribir)\b`)
)

// link stands for any address: the provider may put its own in front.
const link = "\uFFFC"

// Normalise brings a text to the form in which it is compared: invisible characters left out, Unicode NFC, each address
// replaced by a mark, and each run of white space one space.
func Normalise(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == '\u200B' || r == '\uFEFF' || r == '\u2060' || r == '\u00AD' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	text = links.ReplaceAllString(norm.NFC.String(text), link)
	return strings.Join(strings.Fields(text), " ")
}
