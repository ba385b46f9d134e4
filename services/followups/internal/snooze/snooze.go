// Package snooze finds in a reply the date at which the lead asks to be written to again, as in "reach out after Jan 13th".
// It is strict: when in doubt there is no date, and a person reads the reply. It is pure.
package snooze

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// atHour is the hour of the day at which the lead is written to again.
	atHour = 9
	// leastAhead and mostAhead bound the dates that make sense; without a year, one that has just passed means no next year.
	leastAhead   = time.Hour
	mostAhead    = 330 * 24 * time.Hour
	mostWithYear = 732 * 24 * time.Hour
	// maxText is how much of a reply is read; more is no short answer.
	maxText = 4000
)

const month = `(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?`

var (
	// asked is a preposition right before a full date. A month without a day is no date.
	asked = regexp.MustCompile(`\b(after|until|till|til|not before|no earlier than|starting|beginning|from)\s+(?:the\s+)?` +
		`(?:` + month + `\s+(\d{1,2})(?:st|nd|rd|th)?|(\d{1,2})(?:st|nd|rd|th)?\s+(?:of\s+)?` + month + `)(?:,?\s+(\d{4}))?\b`)
	// contact is what makes "from" and its like a wish and not a story.
	contact = regexp.MustCompile(`\b(reach|contact|write|call|email|e-mail|text|ping|message|follow|talk|speak|chat|connect|touch base|` +
		`check (?:back|in)|get back|try|circle back|available|free|reachable)\b`)
	// past tells a story: what was until a date is no wish.
	past = regexp.MustCompile(`\b(was|were|had|did|moved|lived|worked|stayed|been|went|ran|started|signed|used)\b`)
	// clauses end sentences and parts of them.
	clauses = regexp.MustCompile(`[.!?;\n]+(?:\s|$)|\n`)
	quoted  = regexp.MustCompile(`(?m)^\s*(?:>.*|On .{1,200} wrote:\s*)$`)
)

// Date finds the date at 09:00 in zone, which is after now by more than an hour. It reports false for a text without one,
// or with several different ones.
func Date(text string, now time.Time, zone *time.Location) (time.Time, bool) {
	if len(text) > maxText {
		text = text[:maxText]
	}
	if at := quoted.FindStringIndex(text); at != nil {
		text = text[:at[0]] // what follows was written by us
	}
	var found time.Time
	for _, clause := range clauses.Split(strings.ToLower(text), -1) {
		for _, match := range asked.FindAllStringSubmatchIndex(clause, -1) {
			date, ok := read(clause, match, now, zone)
			switch {
			case !ok:
			case found.IsZero():
				found = date
			case !found.Equal(date):
				return time.Time{}, false
			}
		}
	}
	return found, !found.IsZero()
}

func read(clause string, match []int, now time.Time, zone *time.Location) (time.Time, bool) {
	group := func(n int) string {
		if match[2*n] < 0 {
			return ""
		}
		return clause[match[2*n]:match[2*n+1]]
	}
	before := clause[:match[0]]
	if past.MatchString(before) || (needsContact(group(1)) && !contact.MatchString(before)) {
		return time.Time{}, false
	}
	name, day := group(2)+group(5), group(3)+group(4)
	number, err := strconv.Atoi(day)
	if err != nil {
		return time.Time{}, false
	}
	local := now.In(zone)
	years, most := []int{local.Year(), local.Year() + 1}, mostAhead
	if text := group(6); text != "" {
		year, err := strconv.Atoi(text)
		if err != nil {
			return time.Time{}, false
		}
		years, most = []int{year}, mostWithYear
	}
	for _, year := range years {
		date := time.Date(year, months[name[:3]], number, atHour, 0, 0, 0, zone)
		if date.Day() != number {
			return time.Time{}, false // there is no such day
		}
		if ahead := date.Sub(now); ahead > leastAhead && ahead <= most {
			return date.UTC(), true
		}
	}
	return time.Time{}, false
}

func needsContact(preposition string) bool {
	return preposition == "from" || preposition == "starting" || preposition == "beginning"
}

var months = map[string]time.Month{
	"jan": time.January, "feb": time.February, "mar": time.March, "apr": time.April, "may": time.May, "jun": time.June,
	"jul": time.July, "aug": time.August, "sep": time.September, "oct": time.October, "nov": time.November, "dec": time.December,
}
