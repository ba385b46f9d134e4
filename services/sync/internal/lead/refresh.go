package lead

// Refresh takes what the provider of a lead's contact says now over what is known: it overwrites, but never with nothing,
// never with an identity that another candidate holds, and never a zone that a person set. It reports whether anything changed.
func Refresh(known Stored, said Facts, candidates []Stored) (Facts, bool) {
	said = Unclaimed(said, known.Key, candidates)
	out := known.Facts
	for _, field := range []struct {
		to   *string
		from string
	}{
		{&out.FirstName, said.FirstName},
		{&out.LastName, said.LastName},
		{&out.Email, said.Email},
		{&out.Phone, said.Phone},
		{&out.CompanyName, said.CompanyName},
		{&out.State, said.State},
		{&out.Country, said.Country},
	} {
		if field.from != "" {
			*field.to = field.from
		}
	}
	out.takeZone(said, true)
	out = out.Located()
	return out, out != known.Facts
}
