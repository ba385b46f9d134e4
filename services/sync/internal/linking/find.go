package linking

import (
	"slices"

	"github.com/relance/relance/services/sync/internal/lead"
)

// Keys by which a contact is searched, in the provider's order.
const (
	ByEmail = "email"
	ByPhone = "phone"
)

// Person is whom a contact is looked for: normal forms, empty for what is not known.
type Person struct{ Email, Phone string }

// Known reports whether there is anything to search by.
func (p Person) Known() bool { return p.Email != "" || p.Phone != "" }

// Contact is what the provider says of a contact when it is read by its id.
type Contact struct {
	ID, Location, Email, Phone string
	// Emails are its other addresses.
	Emails []string
}

// Is reports whether the contact is the person: of the location, and with the same email or phone. The provider's own words for
// a duplicate are no proof: they may name a contact of before, or of elsewhere.
func (p Person) Is(c Contact, location string) bool {
	if !lead.ValidID(c.ID) || c.Location != location {
		return false
	}
	_, key := p.Shared(c)
	return key != ""
}

// Shared gives the address or number that the contact has in common with the person, and which of the two it is; empty for none.
func (p Person) Shared(c Contact) (value, key string) {
	normal := lead.Facts{Email: c.Email, Phone: c.Phone}.Normal("")
	switch {
	case p.Email != "" && (normal.Email == p.Email || slices.Contains(lead.Alternates(c.Emails), p.Email)):
		return p.Email, ByEmail
	case p.Phone != "" && normal.Phone == p.Phone:
		return p.Phone, ByPhone
	default:
		return "", ""
	}
}

// Among gives the ids of the contacts that are the person, each once: none means that nobody is there, more than one that a person
// has to decide.
func (p Person) Among(found []Contact, location string) []string {
	var out []string
	for _, c := range found {
		if p.Is(c, location) && !slices.Contains(out, c.ID) {
			out = append(out, c.ID)
		}
	}
	return out
}
