package legal

import "time"

// DayOff is a day of the year on which a rule is closed: a date, the nth weekday of a month, or a day counted from Easter.
type DayOff struct {
	Name  string
	Month time.Month
	// Date is the day of the month; 0 for the other kinds.
	Date int
	// Weekday and Nth are the nth such weekday of the month. After is the earliest date that counts, exclusive: the Tuesday
	// after the first Monday is the first Tuesday after the 1st.
	Weekday    time.Weekday
	Nth, After int
	// FromEaster is days after Easter Sunday, negative before; 0 for the other kinds.
	FromEaster int
	// EvenYears leaves odd years out.
	EvenYears bool
}

// on reports whether a date, at midnight UTC, is the day off.
func (d DayOff) on(date time.Time) bool {
	switch {
	case d.EvenYears && date.Year()%2 != 0:
		return false
	case d.FromEaster != 0:
		return date.Equal(easter(date.Year()).AddDate(0, 0, d.FromEaster))
	case date.Month() != d.Month:
		return false
	case d.Date != 0:
		return date.Day() == d.Date
	default:
		return date.Weekday() == d.Weekday && (date.Day()-d.After+6)/7 == d.Nth && date.Day() > d.After
	}
}

func (w Window) off(date time.Time) bool {
	for _, d := range w.DaysOff {
		if d.on(date) {
			return true
		}
	}
	return false
}

// easter is Easter Sunday of the Gregorian calendar, by the anonymous algorithm that Meeus gives.
func easter(year int) time.Time {
	a, b, c := year%19, year/100, year%100
	d, e := b/4, b%4
	g := (8*b + 13) / 25
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 22*l) / 451
	n := h + l - 7*m + 114
	return time.Date(year, time.Month(n/31), n%31+1, 0, 0, 0, 0, time.UTC)
}
