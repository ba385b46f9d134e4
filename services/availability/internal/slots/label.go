package slots

import (
	"fmt"
	"time"
)

// northAmerican are the abbreviations that people in the United States and Canada know, with their offsets in hours.
// Elsewhere the same letters mean other zones (CST in Shanghai), so both must agree.
func northAmerican(abbreviation string) (hours int, known bool) {
	switch abbreviation {
	case "AST":
		return -4, true
	case "ADT":
		return -3, true
	case "EST":
		return -5, true
	case "EDT":
		return -4, true
	case "CST":
		return -6, true
	case "CDT":
		return -5, true
	case "MST":
		return -7, true
	case "MDT":
		return -6, true
	case "PST":
		return -8, true
	case "PDT":
		return -7, true
	case "AKST":
		return -9, true
	case "AKDT":
		return -8, true
	case "HST":
		return -10, true
	case "HDT":
		return -9, true
	default:
		return 0, false
	}
}

// Label is a start for people, with the zone's name: "3:00 PM EST on Thu, Jan 8".
func Label(start time.Time, zone *time.Location) string {
	local := start.In(zone)
	return fmt.Sprintf("%s %s on %s", local.Format("3:04 PM"), zoneName(local), local.Format("Mon, Jan 2"))
}

// YourTimeLabel is a start for a lead whose zone is known: "9:30 AM (your time) on Wed, Jan 7".
func YourTimeLabel(start time.Time, zone *time.Location) string {
	local := start.In(zone)
	return fmt.Sprintf("%s (your time) on %s", local.Format("3:04 PM"), local.Format("Mon, Jan 2"))
}

// zoneName is the American abbreviation, UTC, GMT, or GMT±h[:mm].
func zoneName(local time.Time) string {
	abbreviation, offset := local.Zone()
	if hours, ok := northAmerican(abbreviation); ok && offset == hours*3600 {
		return abbreviation
	}
	if offset == 0 {
		if abbreviation == "UTC" {
			return "UTC"
		}
		return "GMT"
	}
	sign := '+'
	if offset < 0 {
		sign, offset = '-', -offset
	}
	hours, minutes := offset/3600, offset%3600/60
	if minutes == 0 {
		return fmt.Sprintf("GMT%c%d", sign, hours)
	}
	return fmt.Sprintf("GMT%c%d:%02d", sign, hours, minutes)
}
