package zone

import (
	"slices"
	"strings"
	"testing"
)

func names(p Place) string {
	var out []string
	for _, c := range p.Zones {
		out = append(out, c.Name+":"+string(c.Source))
	}
	return strings.Join(out, " ")
}

func TestLocate(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		clues Clues
		zones string
		laws  string
	}{
		{
			"a person's zone stands alone, and the area code's law still counts",
			Clues{Zone: "Asia/Tokyo", Source: Person, Phone: "+13055550123", Workspace: "America/New_York"},
			"Asia/Tokyo:person",
			"US US-FL",
		},
		{
			"an inferred zone is one candidate among others",
			Clues{Zone: "America/New_York", Source: AreaCode, Phone: "+12125550123", Workspace: "America/Los_Angeles"},
			"America/New_York:area_code America/Los_Angeles:workspace",
			"US US-NY",
		},
		{
			"address and area code disagree: both",
			Clues{State: "California", Phone: "+13055550123", Workspace: "America/Chicago"},
			"America/Los_Angeles:state America/New_York:area_code America/Chicago:area_code",
			"US US-CA US-FL",
		},
		{
			"an area code of a split state brings all of the state's zones",
			Clues{Phone: "+18505550123"},
			"America/New_York:area_code America/Chicago:area_code",
			"US US-FL",
		},
		{"District of Columbia", Clues{Phone: "+12025550123"}, "America/New_York:area_code", "US US-DC"},
		{"the country of the number adds nothing", Clues{Phone: "+12025550123", Country: "US"}, "America/New_York:area_code", "US US-DC"},
		{"a city", Clues{Phone: "+14155550101"}, "America/Los_Angeles:area_code", "US US-CA"},
		{"Guam", Clues{Phone: "+16715550101"}, "Pacific/Guam:area_code", "US US-GU"},
		{"Canada", Clues{Phone: "+14165550101"}, "America/Toronto:area_code", "CA"},
		{"abroad", Clues{Phone: "+442071838750", Workspace: "America/New_York"}, "Europe/London:country America/New_York:workspace", "GB"},
		{"country of the address", Clues{Country: "fr"}, "Europe/Paris:country", "FR"},
		{"a state of another country is not ours", Clues{Country: "IN", State: "GA"}, "Asia/Calcutta:country", "IN"},
		{"a wrong zone is no zone", Clues{Zone: "EST5EDT/None", Source: Person, Workspace: "Europe/Rome"}, "Europe/Rome:workspace", ""},
		{"nothing", Clues{}, "UTC:", ""},
	}
	for _, c := range cases {
		got := Locate(c.clues)
		if names(got) != c.zones || strings.Join(got.Jurisdictions, " ") != c.laws {
			t.Errorf("%s: %q, %q; want %q, %q", c.name, names(got), got.Jurisdictions, c.zones, c.laws)
		}
	}
	if got := Locate(Clues{Phone: "+18005550100"}); len(got.Zones) < 10 || got.Zones[0].Source != Country {
		t.Errorf("a toll-free number tells nothing: %s", names(got))
	}
}

func TestInfer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		clues  Clues
		zone   string
		source Source
	}{
		{Clues{State: "ny"}, "America/New_York", State},
		{Clues{State: " New  York "}, "America/New_York", State},
		{Clues{State: "D.C."}, "America/New_York", State},
		{Clues{State: "TX", Phone: "+12125550123"}, "", None},
		{Clues{State: "nowhere", Phone: "+12125550123"}, "America/New_York", AreaCode},
		{Clues{Phone: "+18505550123"}, "", None},
		{Clues{Phone: "+18005550100"}, "", None},
		{Clues{Phone: "+442071838750"}, "Europe/London", Country},
		{Clues{Phone: "+442071838750", Country: "US"}, "", None},
		{Clues{Country: "DE"}, "Europe/Berlin", Country},
		{Clues{Country: "US"}, "", None},
		{Clues{Country: "ZZ"}, "", None},
		{Clues{}, "", None},
	} {
		if zone, source := Infer(c.clues); zone != c.zone || source != c.source {
			t.Errorf("%+v: %q, %q; want %q, %q", c.clues, zone, source, c.zone, c.source)
		}
	}
}

func TestStatesAreWhole(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range states {
		if seen[s.code] || seen[s.name] || len(s.zones) == 0 {
			t.Errorf("%+v", s)
		}
		seen[s.code], seen[s.name] = true, true
		if slices.ContainsFunc(s.zones, func(z string) bool { return !Valid(z) }) {
			t.Errorf("%s has a zone that does not exist: %q", s.code, s.zones)
		}
	}
	if len(states) != 56 { // 50 states, the district, 5 territories
		t.Errorf("%d states", len(states))
	}
}

func TestBeats(t *testing.T) {
	t.Parallel()
	order := []Source{Person, Provider, State, AreaCode, Country, None}
	for i, better := range order {
		for j, worse := range order {
			if better.Beats(worse) != (i < j) {
				t.Errorf("%q beats %q = %t", better, worse, better.Beats(worse))
			}
		}
	}
}
