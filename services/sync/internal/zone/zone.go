// Package zone tells where a lead may be, from what is known of it and without a model: which time zones its clock may
// show, by what evidence, and under which states' law it may live.
package zone

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // zones must not depend on the machine

	"github.com/nyaruka/phonenumbers"
)

// Source is the evidence behind a zone. The names are stored and are the API's zone_source.
type Source string

// Sources, best first.
const (
	// Person: somebody set the lead's zone. Nothing else replaces it.
	Person Source = "person"
	// Provider: the contact's zone at the provider.
	Provider Source = "provider"
	// State: the state of the address.
	State Source = "state"
	// AreaCode: the area code of the phone number.
	AreaCode Source = "area_code"
	// Country: the country of the address, or of the number.
	Country Source = "country"
	// Workspace: the zone of the workspace, for want of better.
	Workspace Source = "workspace"
	// None: nothing is known.
	None Source = ""
)

// rank orders sources; a higher one replaces a lower one.
var rank = map[Source]int{Person: 5, Provider: 4, State: 3, AreaCode: 2, Country: 1}

// Beats reports whether a zone of source s may replace one of source other.
func (s Source) Beats(other Source) bool { return rank[s] > rank[other] }

// Known reports whether the source names the lead's own zone; all others are guesses.
func (s Source) Known() bool { return s == Person || s == Provider }

// Clues are what is known of a lead's whereabouts. Empty means unknown.
type Clues struct {
	// Zone and Source are the zone stored on the lead.
	Zone   string
	Source Source
	// State and Country are of the lead's address: a postal code or name, and an ISO 3166 code.
	State, Country string
	// Phone is in E.164.
	Phone string
	// Workspace is the zone of the workspace.
	Workspace string
}

// Candidate is a zone that the lead may be in.
type Candidate struct {
	Name   string
	Source Source
}

// Place is where a lead may be.
type Place struct {
	// Zones holds one zone when the lead's own is known, and every candidate otherwise.
	Zones []Candidate
	// Jurisdictions are the laws the lead may live under: "US", "US-FL", "CA" and so on. An address does not silence an
	// area code: both count.
	Jurisdictions []string
}

// Valid reports whether name is an IANA zone. The machine's own and the empty one are not.
func Valid(name string) bool {
	if name == "" || name == "Local" || len(name) > 64 {
		return false
	}
	_, err := Load(name)
	return err == nil
}

// loaded keeps zones that were read once; there are some six hundred names, and only those that exist are kept.
var loaded sync.Map

// Load is time.LoadLocation, which reads and parses its file each time.
func Load(name string) (*time.Location, error) {
	if l, ok := loaded.Load(name); ok {
		return l.(*time.Location), nil //nolint:forcetypeassert // nothing else is kept there
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("load zone: %w", err)
	}
	loaded.Store(name, l)
	return l, nil
}

// Locate gathers every candidate. A known zone stands alone; else the candidates of the address, of the number and of
// the workspace are all kept, since any of them may be the lead's.
func Locate(c Clues) Place {
	fromState, hasState := addressState(c)
	number := readPhone(c.Phone)
	var p Place
	p.jurisdiction(c.Country)
	if hasState {
		p.jurisdiction("US")
		p.jurisdiction("US-" + fromState.code)
	}
	p.jurisdiction(number.country)
	if number.state.code != "" {
		p.jurisdiction("US-" + number.state.code)
	}
	if c.Source.Known() && Valid(c.Zone) {
		p.Zones = []Candidate{{c.Zone, c.Source}}
		return p
	}
	if hasState {
		p.add(State, fromState.zones...)
	}
	if number.local() {
		p.add(AreaCode, number.zones...)
		p.add(AreaCode, number.state.zones...)
	} else {
		p.add(Country, number.zones...)
	}
	if !hasState && !strings.EqualFold(c.Country, number.country) {
		// A country that the number is of too tells nothing that the number does not tell better.
		p.add(Country, countryZones(c.Country)...)
	}
	p.add(Workspace, c.Workspace)
	if len(p.Zones) == 0 {
		p.add(None, "UTC")
	}
	return p
}

// Infer names one zone for the lead to be shown and scheduled in, when the evidence leaves one only: of the state, else of
// the area code, else of the country.
func Infer(c Clues) (string, Source) {
	if s, ok := addressState(c); ok {
		if len(s.zones) == 1 {
			return s.zones[0], State
		}
		return "", None // The state has several; the area code may be of another state.
	}
	number := readPhone(c.Phone)
	zones := slices.Clone(number.zones)
	if number.local() {
		for _, z := range number.state.zones {
			if !slices.Contains(zones, z) {
				zones = append(zones, z)
			}
		}
	}
	switch {
	case len(zones) == 1 && number.local():
		return zones[0], AreaCode
	case len(zones) == 1 && (c.Country == "" || strings.EqualFold(c.Country, number.country)):
		return zones[0], Country
	case len(zones) > 0:
		return "", None
	}
	if zones := countryZones(c.Country); len(zones) == 1 {
		return zones[0], Country
	}
	return "", None
}

// addressState is the state of an address in the United States. Georgia is a country too: a foreign country's states are
// not ours.
func addressState(c Clues) (state, bool) {
	if c.Country != "" && !strings.EqualFold(c.Country, "US") {
		return state{}, false
	}
	return stateOf(c.State)
}

func (p *Place) jurisdiction(code string) {
	code = strings.ToUpper(code)
	if code != "" && !slices.Contains(p.Jurisdictions, code) {
		p.Jurisdictions = append(p.Jurisdictions, code)
	}
}

func (p *Place) add(source Source, zones ...string) {
	for _, z := range zones {
		if Valid(z) && !slices.ContainsFunc(p.Zones, func(c Candidate) bool { return c.Name == z }) {
			p.Zones = append(p.Zones, Candidate{z, source})
		}
	}
}

// countryZones are the zones of all numbers of the country's calling code: for a shared code more than the country's.
func countryZones(country string) []string {
	country = strings.ToUpper(country)
	code := phonenumbers.GetCountryCodeForRegion(country)
	if code == 0 {
		return nil
	}
	zones, err := phonenumbers.GetTimezonesForPrefix("+" + strconv.Itoa(code))
	if err != nil {
		return nil
	}
	return zones
}
