package followup

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Hours are business hours by the workspace's clock. Start and End are minutes of the day; the End minute still counts.
// An End before Start means overnight: the window belongs to the day on which it opens.
type Hours struct {
	// Start and End are 0 to 1439.
	Start, End int
	// Days on which the window opens.
	Days []time.Weekday
}

// DefaultHours are Monday to Friday, 09:00 to 17:00.
func DefaultHours() Hours {
	return Hours{Start: 9 * 60, End: 17 * 60, Days: []time.Weekday{
		time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday,
	}}
}

// ParseClock reads "HH:MM" as minutes of the day.
func ParseClock(text string) (int, error) {
	if len(text) == 5 && text[2] == ':' {
		hour, errHour := strconv.ParseUint(text[:2], 10, 8)
		minute, errMinute := strconv.ParseUint(text[3:], 10, 8)
		if errHour == nil && errMinute == nil && hour < 24 && minute < 60 {
			return int(hour)*60 + int(minute), nil
		}
	}
	return 0, fmt.Errorf("%q is not a time of day such as 09:00", text)
}

// FormatClock writes minutes of the day as "HH:MM".
func FormatClock(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }

// Open reports whether now is inside the window in zone.
func (h Hours) Open(now time.Time, zone *time.Location) bool {
	local := now.In(zone)
	minute := local.Hour()*60 + local.Minute()
	today := local.Weekday()
	if h.Start <= h.End {
		return slices.Contains(h.Days, today) && minute >= h.Start && minute <= h.End
	}
	yesterday := (today + 6) % 7
	return (minute >= h.Start && slices.Contains(h.Days, today)) ||
		(minute <= h.End && slices.Contains(h.Days, yesterday))
}

// NextOpening is the first opening after now, in UTC; now itself when the window is open. It reports false when the
// window never opens within two weeks, which is so when no days are set.
func (h Hours) NextOpening(now time.Time, zone *time.Location) (time.Time, bool) {
	if h.Open(now, zone) {
		return now.UTC(), true
	}
	local := wallOf(now.In(zone))
	for days := range 15 {
		day := wall{year: local.year, month: local.month, day: local.day + days, hour: h.Start / 60, min: h.Start % 60}
		// A window whose start lies in a gap opens after it, if the gap does not swallow it whole; one whose start comes
		// twice opens twice.
		for _, opening := range day.all(zone) {
			if opening.After(now) && h.Open(opening, zone) {
				return opening.UTC(), true
			}
		}
	}
	return time.Time{}, false
}

// all gives the instants of a local time: one, or both when the clock shows it twice.
func (w wall) all(zone *time.Location) []time.Time {
	first := w.in(zone)
	_, end := first.ZoneBounds()
	if end.IsZero() {
		return []time.Time{first}
	}
	_, before := first.Zone()
	_, after := end.Zone()
	again := first.Add(time.Duration(before-after) * time.Second)
	if again.After(first) && localAsUTC(again.In(zone)).Equal(localAsUTC(first)) {
		return []time.Time{first, again.In(zone)}
	}
	return []time.Time{first}
}
