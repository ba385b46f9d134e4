package zone

import (
	"strings"
	"sync"

	"github.com/nyaruka/phonenumbers"
)

// phone is what a number tells. It is shared: nothing of it is changed.
type phone struct {
	country string
	state   state
	zones   []string
}

// local reports whether the number tells more than its country.
func (p phone) local() bool { return p.state.code != "" || (len(p.zones) == 1 && p.country == "CA") }

// readPhone tells what a number tells. Reading one takes as long as a statement of the database, and a lead is written to more
// than once.
func readPhone(e164 string) phone {
	if known, ok := phones.get(e164); ok {
		return known
	}
	out := parsePhone(e164)
	phones.put(e164, out)
	return out
}

// kept is how many numbers are remembered: some 2 MB.
const kept = 8192

// phones remembers numbers. What they tell depends on nothing else, so nothing has to be invalidated.
var phones memory

type memory struct {
	mu    sync.Mutex
	known map[string]phone
}

func (m *memory) get(e164 string) (phone, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.known[e164]
	return p, ok
}

// put begins anew when it is full: cheaper than to know which are old, and no worse for numbers that are asked in turn.
func (m *memory) put(e164 string, p phone) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.known) >= kept || m.known == nil {
		m.known = make(map[string]phone, 64)
	}
	m.known[e164] = p
}

func parsePhone(e164 string) phone {
	number, err := phonenumbers.Parse(e164, "")
	if err != nil {
		return phone{}
	}
	out := phone{country: phonenumbers.GetRegionCodeForNumber(number)}
	zones, err := phonenumbers.GetTimezonesForNumber(number)
	if err == nil {
		for _, z := range zones {
			if Valid(z) && z != "Etc/Unknown" {
				out.zones = append(out.zones, z)
			}
		}
	}
	if number.GetCountryCode() != 1 {
		return out
	}
	if out.country == "" {
		out.country = "US" // An area code that is not given out yet: the strict reading.
	}
	if words, err := phonenumbers.GetGeocodingForNumber(number, "en"); err == nil {
		// "Florida", "San Francisco, CA", "Washington D.C."
		if at := strings.LastIndex(words, ", "); at >= 0 {
			words = words[at+2:]
		}
		if s, ok := stateOf(words); ok {
			out.state, out.country = s, "US" // Territories have a region code of their own and federal law all the same.
		}
	}
	return out
}
