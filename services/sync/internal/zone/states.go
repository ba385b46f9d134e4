package zone

import "strings"

// state is a state or territory of the United States.
type state struct {
	code, name string
	// zones are all zones in use there, the one of most people first. Where there are several, the state alone does not
	// tell which.
	zones []string
}

// Zones of the United States by the name most people of a state live under.
const (
	eastern  = "America/New_York"
	central  = "America/Chicago"
	mountain = "America/Denver"
	pacific  = "America/Los_Angeles"
	alaska   = "America/Anchorage"
	aleutian = "America/Adak"
	hawaii   = "Pacific/Honolulu"
)

// states follows 49 CFR part 71 (limits of the standard time zones) and the IANA time zone database.
var states = []state{
	{"AL", "Alabama", []string{central}},
	{"AK", "Alaska", []string{alaska, aleutian}},
	{"AS", "American Samoa", []string{"Pacific/Pago_Pago"}},
	{"AZ", "Arizona", []string{"America/Phoenix", mountain}},
	{"AR", "Arkansas", []string{central}},
	{"CA", "California", []string{pacific}},
	{"CO", "Colorado", []string{mountain}},
	{"CT", "Connecticut", []string{eastern}},
	{"DE", "Delaware", []string{eastern}},
	{"DC", "District of Columbia", []string{eastern}},
	{"FL", "Florida", []string{eastern, central}},
	{"GA", "Georgia", []string{eastern}},
	{"GU", "Guam", []string{"Pacific/Guam"}},
	{"HI", "Hawaii", []string{hawaii}},
	{"ID", "Idaho", []string{"America/Boise", pacific}},
	{"IL", "Illinois", []string{central}},
	{"IN", "Indiana", []string{"America/Indiana/Indianapolis", central}},
	{"IA", "Iowa", []string{central}},
	{"KS", "Kansas", []string{central, mountain}},
	{"KY", "Kentucky", []string{eastern, central}},
	{"LA", "Louisiana", []string{central}},
	{"ME", "Maine", []string{eastern}},
	{"MD", "Maryland", []string{eastern}},
	{"MA", "Massachusetts", []string{eastern}},
	{"MI", "Michigan", []string{"America/Detroit", central}},
	{"MN", "Minnesota", []string{central}},
	{"MS", "Mississippi", []string{central}},
	{"MO", "Missouri", []string{central}},
	{"MT", "Montana", []string{mountain}},
	{"NE", "Nebraska", []string{central, mountain}},
	{"NV", "Nevada", []string{pacific, mountain}},
	{"NH", "New Hampshire", []string{eastern}},
	{"NJ", "New Jersey", []string{eastern}},
	{"NM", "New Mexico", []string{mountain}},
	{"NY", "New York", []string{eastern}},
	{"NC", "North Carolina", []string{eastern}},
	{"ND", "North Dakota", []string{central, mountain}},
	{"MP", "Northern Mariana Islands", []string{"Pacific/Saipan"}},
	{"OH", "Ohio", []string{eastern}},
	{"OK", "Oklahoma", []string{central}},
	{"OR", "Oregon", []string{pacific, mountain}},
	{"PA", "Pennsylvania", []string{eastern}},
	{"PR", "Puerto Rico", []string{"America/Puerto_Rico"}},
	{"RI", "Rhode Island", []string{eastern}},
	{"SC", "South Carolina", []string{eastern}},
	{"SD", "South Dakota", []string{central, mountain}},
	{"TN", "Tennessee", []string{central, eastern}},
	{"TX", "Texas", []string{central, mountain}},
	{"UT", "Utah", []string{mountain}},
	{"VT", "Vermont", []string{eastern}},
	{"VI", "Virgin Islands", []string{"America/St_Thomas"}},
	{"VA", "Virginia", []string{eastern}},
	{"WA", "Washington", []string{pacific}},
	{"WV", "West Virginia", []string{eastern}},
	{"WI", "Wisconsin", []string{central}},
	{"WY", "Wyoming", []string{mountain}},
}

// stateOf finds a state by its postal code or its name, in any case.
func stateOf(text string) (state, bool) {
	text = strings.Join(strings.Fields(strings.ReplaceAll(text, ".", "")), " ")
	switch strings.ToUpper(text) {
	case "":
		return state{}, false
	case "WASHINGTON DC", "WASHINGTON D C", "D C":
		text = "DC"
	}
	for _, s := range states {
		if strings.EqualFold(text, s.code) || strings.EqualFold(text, s.name) {
			return s, true
		}
	}
	return state{}, false
}
