package optout

import (
	"html"
	"regexp"
	"strings"
)

// Mail is an email of a person, as it came.
type Mail struct {
	// Subject is its subject, Body its text or markup with whatever it quotes.
	Subject, Body string
}

// ReadMail is Read for an email. Only what the person wrote counts: the mail that is quoted below speaks of unsubscribing too.
// What is said first is taken at its word. Words further down may be a signature's, and are put before a person; until then they
// count. A subject counts that is a key word and no answer to ours.
func ReadMail(m Mail) Verdict {
	paragraphs := written(m.Body)
	if len(paragraphs) == 0 {
		return ofSubject(m.Subject)
	}
	first := Read(strings.Join(paragraphs[0], " "))
	if line := Read(paragraphs[0][0]); line.Kind == Out || first.Kind == None {
		first = line
	}
	if first.Stops() {
		return first
	}
	for _, p := range paragraphs {
		for _, text := range append(p, strings.Join(p, " ")) {
			if v := Read(text); v.Stops() {
				return Verdict{Unclear, "further-down:" + v.Rule}
			}
		}
	}
	if v := ofSubject(m.Subject); v.Stops() {
		return v
	}
	return first
}

func ofSubject(subject string) Verdict {
	if v, ok := keyword(split(subject)); ok && v.Stops() {
		return Verdict{v.Kind, "subject:" + v.Rule}
	}
	return Verdict{Kind: None, Rule: "empty"}
}

var (
	// quotedMarkup is where the markup of mail programs begins to quote.
	quotedMarkup = regexp.MustCompile(`(?i)<blockquote|<[a-z]+ [^<>]*(?:gmail_quote|yahoo_quoted|moz-cite-prefix|divRplyFwdMsg|appendonsend|OutlookMessageHeader)`)
	// silent is markup whose content is not shown.
	silent = regexp.MustCompile(`(?is)<!--.*?-->|<(?:style|script|head|title)[ >].*?</(?:style|script|head|title)>`)
	// breaks are tags that begin a line, paragraphs those that leave one empty; all others stand inside of one.
	paragraphTags = regexp.MustCompile(`(?i)</?(?:p|table|ul|ol|h[1-6])(?:\s[^<>]*)?>`)
	breakTags     = regexp.MustCompile(`(?i)</?(?:br|div|tr|li)(?:\s[^<>]*)?/?>`)
	anyTag        = regexp.MustCompile(`</?[a-zA-Z][a-zA-Z0-9:]*(?:\s[^<>]*)?/?>`)

	// attribution is the line above a quoted mail, header that of a forwarded or copied one.
	attribution = regexp.MustCompile(`(?i)^(?:on|le|am|el) .{4,250}(?:wrote|a écrit|schrieb|escribió) ?:$`)
	header      = regexp.MustCompile(`(?i)^(?:-{2,} ?(?:original|forwarded) message.*|begin forwarded message:?|_{8,}|\*?from:\*? .+@.*)$`)
	signature   = regexp.MustCompile(`(?i)^(?:--|sent from my .*|get outlook for .*)$`)
	greeting    = regexp.MustCompile(`(?i)^(?:hi|hello|hey|dear|good (?:morning|afternoon|evening))\b[^.!?]{0,40}$`)
)

// written gives the paragraphs, and their lines, that the person wrote: without greeting, signature and quotes.
func written(body string) [][]string {
	lines := plain(body)
	var out [][]string
	var paragraph []string
	for i, line := range lines {
		if line == "" {
			if len(paragraph) > 0 {
				out, paragraph = append(out, paragraph), nil
			}
			continue
		}
		if header.MatchString(line) || signature.MatchString(line) {
			break
		}
		if long := attributed(lines[i:]); long > 0 {
			if !quotesFollow(lines[i+long:]) {
				break
			}
			continue
		}
		greets := len(out)+len(paragraph) == 0 && greeting.MatchString(line) && !Read(line).Stops()
		if greets || strings.HasPrefix(line, ">") {
			continue
		}
		paragraph = append(paragraph, line)
	}
	if len(paragraph) > 0 {
		out = append(out, paragraph)
	}
	return out
}

// attributed tells over how many lines the attribution of a quote goes that begins the lines, 0 for none.
func attributed(lines []string) int {
	text := ""
	for n := range min(len(lines), 3) {
		text = strings.TrimSpace(text + " " + lines[n])
		if attribution.MatchString(text) {
			return n + 1
		}
	}
	return 0
}

// quotesFollow tells whether quoted lines follow, and the answer perhaps below them.
func quotesFollow(lines []string) bool {
	for _, line := range lines {
		if line != "" {
			return strings.HasPrefix(line, ">")
		}
	}
	return false
}

// plain gives the lines of a text or of markup, without space around them.
func plain(body string) []string {
	if anyTag.MatchString(body) {
		if at := quotedMarkup.FindStringIndex(body); at != nil {
			body = body[:at[0]]
		}
		body = silent.ReplaceAllString(body, "")
		body = paragraphTags.ReplaceAllString(body, "\n\n")
		body = breakTags.ReplaceAllString(body, "\n")
		body = html.UnescapeString(anyTag.ReplaceAllString(body, ""))
	}
	lines := strings.Split(strings.ReplaceAll(body, "\r\n", "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return lines
}
