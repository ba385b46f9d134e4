package icalendar

import (
	"errors"
	"strings"
	"time"

	ics "github.com/arran4/golang-ical"

	"github.com/relance/relance/services/availability/internal/slots"
)

// knowZones notes what the feed says of its own zones: X-LIC-LOCATION beside a TZID that is not an IANA name.
func (r *reader) knowZones(calendar *ics.Calendar) {
	for _, component := range calendar.Components {
		timezone, ok := component.(*ics.VTimezone)
		if !ok {
			continue
		}
		id, place := timezone.GetProperty(ics.ComponentProperty(ics.PropertyTzid)), timezone.GetProperty("X-LIC-LOCATION")
		if id == nil || place == nil {
			continue
		}
		if zone, err := slots.Zone(place.Value); err == nil {
			r.zones[id.Value] = zone
		}
	}
}

// zone finds what a TZID means. A zone that is not known is an error, never a guess.
func (r *reader) zone(name string) (*time.Location, error) {
	name = strings.Trim(name, `"`)
	if zone := r.zones[name]; zone != nil {
		return zone, nil
	}
	for _, candidate := range []string{name, windowsZones()[name], lastTwo(name)} {
		if zone, err := slots.Zone(candidate); err == nil {
			r.zones[name] = zone
			return zone, nil
		}
	}
	return nil, errors.New("the feed uses a time zone that is not known")
}

// lastTwo takes the end of names such as /freeassociation.sourceforge.net/Europe/Berlin.
func lastTwo(name string) string {
	parts := strings.Split(name, "/")
	if len(parts) < 3 {
		return ""
	}
	return strings.Join(parts[len(parts)-2:], "/")
}

// windowsZones are the names that Outlook writes, as the Unicode CLDR (windowsZones, territory 001) maps them.
func windowsZones() map[string]string {
	return map[string]string{
		"Hawaiian Standard Time": "Pacific/Honolulu", "Alaskan Standard Time": "America/Anchorage",
		"Pacific Standard Time": "America/Los_Angeles", "US Mountain Standard Time": "America/Phoenix",
		"Mountain Standard Time": "America/Denver", "Central Standard Time": "America/Chicago",
		"Canada Central Standard Time": "America/Regina", "Eastern Standard Time": "America/New_York",
		"US Eastern Standard Time": "America/Indianapolis", "Atlantic Standard Time": "America/Halifax",
		"Newfoundland Standard Time": "America/St_Johns", "Central Standard Time (Mexico)": "America/Mexico_City",
		"SA Pacific Standard Time": "America/Bogota", "E. South America Standard Time": "America/Sao_Paulo",
		"Argentina Standard Time": "America/Buenos_Aires", "UTC": "Etc/UTC", "GMT Standard Time": "Europe/London",
		"Greenwich Standard Time": "Atlantic/Reykjavik", "W. Europe Standard Time": "Europe/Berlin",
		"Central Europe Standard Time": "Europe/Budapest", "Romance Standard Time": "Europe/Paris",
		"Central European Standard Time": "Europe/Warsaw", "GTB Standard Time": "Europe/Bucharest",
		"FLE Standard Time": "Europe/Kiev", "E. Europe Standard Time": "Europe/Chisinau", "Israel Standard Time": "Asia/Jerusalem",
		"South Africa Standard Time": "Africa/Johannesburg", "Egypt Standard Time": "Africa/Cairo",
		"Turkey Standard Time": "Europe/Istanbul", "Russian Standard Time": "Europe/Moscow", "Arab Standard Time": "Asia/Riyadh",
		"Arabian Standard Time": "Asia/Dubai", "Pakistan Standard Time": "Asia/Karachi", "India Standard Time": "Asia/Calcutta",
		"SE Asia Standard Time": "Asia/Bangkok", "China Standard Time": "Asia/Shanghai", "Singapore Standard Time": "Asia/Singapore",
		"W. Australia Standard Time": "Australia/Perth", "Tokyo Standard Time": "Asia/Tokyo", "Korea Standard Time": "Asia/Seoul",
		"Cen. Australia Standard Time": "Australia/Adelaide", "AUS Eastern Standard Time": "Australia/Sydney",
		"E. Australia Standard Time": "Australia/Brisbane", "New Zealand Standard Time": "Pacific/Auckland",
	}
}
