package simulator

import (
	"net/http"
	"slices"
	"strings"
)

// duplicateContact is GET /contacts/search/duplicate: the match by e-mail or number, or
// a null contact. Put into the query unescaped, a "+" is a space; the digits decide.
func (s *Simulator) duplicateContact(c *call) answer {
	if c.query.Get("locationId") == "" {
		return invalid("locationId can't be undefined", "locationId must be a string")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, _ := s.findAmong(s.searchableContacts(c.location), c.query.Get("email"), c.query.Get("number"))
	if found == nil {
		return reply(http.StatusOK, object{"contact": nil})
	}
	c.contact = found.ID
	return reply(http.StatusOK, object{"contact": s.contactObject(found, c.header.Get("Version"))})
}

// searchableContacts are the contacts that the search's index knows by now.
func (s *Simulator) searchableContacts(location string) []*storedContact {
	return slices.DeleteFunc(s.sortedContacts(location), func(c *storedContact) bool { return c.searchable.After(s.now()) })
}

// searchContacts is POST /contacts/search: filters (field, operator eq or contains,
// value), all of which must hold, and a free query. It shows no dndSettings.
func (s *Simulator) searchContacts(c *call) answer {
	body, bad := c.decode()
	if bad != nil {
		return *bad
	}
	location := text(body, "locationId")
	if location == "" {
		return invalid("locationId can't be undefined", "locationId must be a string")
	}
	if location != c.location {
		return refuseForeign()
	}
	limit, page := number(body, "pageLimit", 20), number(body, "page", 1)
	if limit < 1 || limit > 500 || page < 1 {
		return invalid("pageLimit must be between 1 and 500")
	}
	filters, _ := body["filters"].([]any)
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := []object{}
	total := 0
	for _, contact := range s.searchableContacts(location) {
		shown := s.contactObject(contact, c.header.Get("Version"))
		if !matchesQuery(shown, text(body, "query")) || !matchesFilters(shown, filters) {
			continue
		}
		total++
		if total > (page-1)*limit && total <= page*limit {
			delete(shown, "dndSettings")
			rows = append(rows, shown)
		}
	}
	return reply(http.StatusOK, object{"contacts": rows, "total": total})
}

func matchesQuery(contact object, query string) bool {
	if query == "" {
		return true
	}
	for _, key := range []string{"name", "email", "phone"} {
		if strings.Contains(strings.ToLower(text(contact, key)), strings.ToLower(query)) {
			return true
		}
	}
	return false
}

func matchesFilters(contact object, filters []any) bool {
	for _, raw := range filters {
		filter, ok := raw.(object)
		if !ok {
			continue
		}
		have := strings.ToLower(text(contact, text(filter, "field")))
		want := strings.ToLower(text(filter, "value"))
		if text(filter, "operator") == "contains" {
			if !strings.Contains(have, want) {
				return false
			}
			continue
		}
		if have != want {
			return false
		}
	}
	return true
}

// number reads a JSON number field.
func number(body object, key string, fallback int) int {
	if n, ok := body[key].(float64); ok {
		return int(n)
	}
	return fallback
}
