// Package lead is the pure part of who a lead is: normal forms of its identity, which stored lead a set of facts means,
// and filling what is missing without overwriting what is known.
package lead

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"

	"github.com/relance/relance/services/sync/internal/zone"
)

// DefaultCountry is the country of phone numbers written without one.
const DefaultCountry = "US"

// maxName bounds stored names, in runes; longer ones are cut.
const maxName = 200

// Facts are what somebody says about a lead. Empty means not said.
type Facts struct {
	ContactID   string
	FirstName   string
	LastName    string
	Email       string
	Phone       string
	TimeZone    string
	CompanyName string
	// TimeZoneSource is the evidence behind TimeZone.
	TimeZoneSource zone.Source
	// State and Country are of the address.
	State, Country string
}

// Normal gives the facts in the form they are stored and compared in. Values that cannot be used become empty; country
// is the ISO country of phone numbers without a prefix, DefaultCountry when empty.
func (f Facts) Normal(country string) Facts {
	phone, _ := Phone(f.Phone, country)
	email, _ := Email(f.Email)
	contact := f.ContactID
	if !ValidID(contact) {
		contact = ""
	}
	out := Facts{
		ContactID: contact, FirstName: name(f.FirstName), LastName: name(f.LastName), Email: email, Phone: phone,
		CompanyName: name(f.CompanyName), State: name(f.State), Country: strings.ToUpper(name(f.Country)),
	}
	if zone.Valid(f.TimeZone) {
		// Who tells a zone without saying how it was found is the provider.
		out.TimeZone, out.TimeZoneSource = f.TimeZone, f.TimeZoneSource
		if out.TimeZoneSource == zone.None {
			out.TimeZoneSource = zone.Provider
		}
	}
	return out
}

// Clues are what the facts tell about where the lead is.
func (f Facts) Clues() zone.Clues {
	return zone.Clues{Zone: f.TimeZone, Source: f.TimeZoneSource, State: f.State, Country: f.Country, Phone: f.Phone}
}

// Located gives the facts with the zone that the address and the number leave, unless the lead's own is known.
func (f Facts) Located() Facts {
	if !f.TimeZoneSource.Known() {
		f.TimeZone, f.TimeZoneSource = zone.Infer(f.Clues())
	}
	return f
}

// takeZone takes the said zone where its source is at least as good as the known one's.
func (f *Facts) takeZone(said Facts, same bool) {
	if said.TimeZone != "" && (said.TimeZoneSource.Beats(f.TimeZoneSource) || (same && said.TimeZoneSource == f.TimeZoneSource)) {
		f.TimeZone, f.TimeZoneSource = said.TimeZone, said.TimeZoneSource
	}
}

// Identified reports whether the facts can be matched to a lead at all.
func (f Facts) Identified() bool { return f.ContactID != "" || f.Email != "" || f.Phone != "" }

// Stored is a lead as known.
type Stored struct {
	Facts
	// Key is the caller's id of the row.
	Key string
	// Emails are all addresses that the lead is known by, its own among them.
	Emails []string
}

// Match picks the lead the facts mean: by contact id, then email, then the other addresses on either side, then phone. It
// reports false when none matches. A lead already bound to another contact id is no match by email or phone: those are two
// contacts at the provider.
func Match(f Facts, candidates []Stored, alternates ...string) (Stored, bool) {
	for _, same := range []func(Stored) bool{
		func(s Stored) bool { return f.ContactID != "" && s.ContactID == f.ContactID },
		func(s Stored) bool { return f.Email != "" && s.Email == f.Email },
		func(s Stored) bool { return slices.ContainsFunc(Addresses(f, alternates), s.knownBy) },
		func(s Stored) bool { return f.Phone != "" && s.Phone == f.Phone },
	} {
		for _, c := range candidates {
			if same(c) && (f.ContactID == "" || c.ContactID == "" || c.ContactID == f.ContactID) {
				return c, true
			}
		}
	}
	return Stored{}, false
}

// Fill completes what is missing in known from said and never overwrites. An identity that another candidate holds
// stays with that one. It reports whether anything changed.
func Fill(known Stored, said Facts, candidates []Stored) (Facts, bool) {
	said = Unclaimed(said, known.Key, candidates)
	out := known.Facts
	for _, field := range []struct {
		to   *string
		from string
	}{
		{&out.ContactID, said.ContactID},
		{&out.FirstName, said.FirstName},
		{&out.LastName, said.LastName},
		{&out.Email, said.Email},
		{&out.Phone, said.Phone},
		{&out.CompanyName, said.CompanyName},
		{&out.State, said.State},
		{&out.Country, said.Country},
	} {
		if *field.to == "" {
			*field.to = field.from
		}
	}
	out.takeZone(said, false)
	out = out.Located()
	return out, out != known.Facts
}

// Unclaimed drops identities that a candidate other than own holds: an identity belongs to one lead.
func Unclaimed(said Facts, own string, candidates []Stored) Facts {
	for _, c := range candidates {
		if c.Key == own {
			continue
		}
		if c.ContactID == said.ContactID {
			said.ContactID = ""
		}
		if c.knownBy(said.Email) {
			said.Email = ""
		}
		if c.Phone == said.Phone {
			said.Phone = ""
		}
	}
	return said
}

// Phone gives the E.164 form. It reports false for what is not a possible number; the empty string is fine.
func Phone(s, country string) (string, bool) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", true
	}
	if country == "" {
		country = DefaultCountry
	}
	number, err := phonenumbers.Parse(s, country)
	if err != nil || !phonenumbers.IsPossibleNumber(number) {
		return "", false
	}
	return phonenumbers.Format(number, phonenumbers.E164), true
}

// Email gives the lower-case address. It reports false for what cannot be an address; the empty string is fine.
func Email(s string) (string, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == "" {
		return "", true
	}
	at := strings.LastIndexByte(s, '@')
	if at < 1 || len(s) > 254 || !utf8.ValidString(s) || !strings.Contains(s[at+1:], ".") || strings.ContainsFunc(s, notInAddress) {
		return "", false
	}
	return s, true
}

func notInAddress(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("<>,;\"()", r)
}

// idPattern keeps a provider's id from reaching another endpoint when it is put into a path.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9]{15,64}$`)

// ValidID reports whether s is a provider id that may be used in a request.
func ValidID(s string) bool { return idPattern.MatchString(s) }

func name(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > maxName {
		s = string([]rune(s)[:maxName])
	}
	return s
}
