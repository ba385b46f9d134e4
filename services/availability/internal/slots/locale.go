package slots

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/language"
)

// DefaultLocale is the language of labels where a workspace sets none.
const DefaultLocale = "en-US"

// wording is how a language says a time. x/text finds the language; the words of dates it does not have.
type wording struct {
	tag language.Tag
	// clock is a layout of time; pattern holds {time}, {zone}, {day}, {month}, {date}.
	clock, pattern string
	// days from Sunday and months from January, in short; empty for Go's own.
	days, months string
	or           string
}

func wordings() []wording {
	return []wording{
		{language.AmericanEnglish, "3:04 PM", "{time} {zone} on {day}, {month} {date}", "", "", " or "},
		{language.BritishEnglish, "15:04", "{time} {zone} on {day}, {date} {month}", "", "", " or "},
		{
			language.French, "15:04", "{day} {date} {month} à {time} ({zone})", "dim. lun. mar. mer. jeu. ven. sam.",
			"janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.", " ou ",
		},
		{
			language.German, "15:04", "{day}, {date}. {month}, {time} Uhr ({zone})", "So. Mo. Di. Mi. Do. Fr. Sa.",
			"Jan. Feb. März Apr. Mai Juni Juli Aug. Sept. Okt. Nov. Dez.", " oder ",
		},
		{
			language.Spanish, "15:04", "{day}, {date} {month}, {time} ({zone})", "dom lun mar mié jue vie sáb",
			"ene feb mar abr may jun jul ago sept oct nov dic", " o ",
		},
		{
			language.Italian, "15:04", "{day} {date} {month}, {time} ({zone})", "dom lun mar mer gio ven sab",
			"gen feb mar apr mag giu lug ago set ott nov dic", " o ",
		},
		{
			language.Portuguese, "15:04", "{day}, {date} de {month}, {time} ({zone})", "dom. seg. ter. qua. qui. sex. sáb.",
			"jan. fev. mar. abr. mai. jun. jul. ago. set. out. nov. dez.", " ou ",
		},
		{
			language.Dutch, "15:04", "{day} {date} {month}, {time} ({zone})", "zo ma di wo do vr za",
			"jan. feb. mrt. apr. mei juni juli aug. sep. okt. nov. dec.", " of ",
		},
	}
}

// Locale is how a language says times. The zero value is American English.
type Locale struct{ wording }

var (
	known   = wordings()
	matcher = language.NewMatcher(tagsOf(known))
)

func tagsOf(all []wording) []language.Tag {
	tags := make([]language.Tag, len(all))
	for i, w := range all {
		tags[i] = w.tag
	}
	return tags
}

// FindLocale finds the nearest known language of a BCP 47 tag. It fails for what is no tag, and for languages that are not
// known. Empty is DefaultLocale.
func FindLocale(tag string) (Locale, error) {
	if tag == "" {
		tag = DefaultLocale
	}
	parsed, err := language.Parse(tag)
	if err != nil {
		return Locale{}, fmt.Errorf("%q is no language tag", tag)
	}
	_, i, confidence := matcher.Match(parsed)
	if confidence < language.High && !sameBase(parsed, known[i].tag) {
		return Locale{}, fmt.Errorf("the language %q is not known", tag)
	}
	return Locale{known[i]}, nil
}

func sameBase(a, b language.Tag) bool {
	x, _ := a.Base()
	y, _ := b.Base()
	return x == y
}

// Label is a start for people in the language, with the zone's name.
func (l Locale) Label(start time.Time, zone *time.Location) string {
	if l.pattern == "" || l.tag == language.AmericanEnglish {
		return Label(start, zone)
	}
	local := start.In(zone)
	day, month := local.Format("Mon"), local.Format("Jan")
	if l.days != "" {
		day, month = strings.Fields(l.days)[local.Weekday()], strings.Fields(l.months)[local.Month()-1]
	}
	return strings.NewReplacer(
		"{time}", local.Format(l.clock), "{zone}", zoneName(local), "{day}", day, "{month}", month, "{date}", local.Format("2"),
	).Replace(l.pattern)
}

// Join says labels as alternatives.
func (l Locale) Join(labels []string) string {
	or := l.or
	if or == "" {
		or = " or "
	}
	return strings.Join(labels, or)
}
