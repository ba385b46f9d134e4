package lead

import "slices"

// Conflict says that what was said of one lead is held by another: the same words may mean both.
type Conflict struct {
	// Holder is the Key of the other lead.
	Holder string
	// Key is email or phone, Value what both are said to have.
	Key, Value string
}

// Conflicts finds what other candidates hold of what is said about own. A contact id is never in conflict: it decides.
func Conflicts(said Facts, alternates []string, own string, candidates []Stored) []Conflict {
	var out []Conflict
	for _, c := range candidates {
		if c.Key == own {
			continue
		}
		for _, email := range Addresses(said, alternates) {
			if c.knownBy(email) {
				out = append(out, Conflict{c.Key, "email", email})
			}
		}
		if said.Phone != "" && c.Phone == said.Phone {
			out = append(out, Conflict{c.Key, "phone", said.Phone})
		}
	}
	return out
}

// Addresses are all email addresses that were said, each once, the lead's own first.
func Addresses(said Facts, alternates []string) []string {
	out := make([]string, 0, 1+len(alternates))
	for _, email := range append([]string{said.Email}, alternates...) {
		if email != "" && !slices.Contains(out, email) {
			out = append(out, email)
		}
	}
	return out
}

// Alternates are normal forms of a lead's other addresses; what is none is left out, and so is everything beyond the
// fiftieth.
func Alternates(raw []string) []string {
	const most = 50
	var out []string
	for _, text := range raw {
		if email, ok := Email(text); ok && email != "" && !slices.Contains(out, email) && len(out) < most {
			out = append(out, email)
		}
	}
	return out
}

// Unknown are the said addresses that neither the lead nor any candidate is known by.
func Unknown(said Facts, alternates []string, candidates []Stored) []string {
	return slices.DeleteFunc(Addresses(said, alternates), func(email string) bool {
		return email == said.Email || slices.ContainsFunc(candidates, func(c Stored) bool { return c.knownBy(email) })
	})
}

// knownBy reports whether an address is the lead's own or one of its others.
func (s Stored) knownBy(email string) bool {
	return email != "" && (s.Email == email || slices.Contains(s.Emails, email))
}
