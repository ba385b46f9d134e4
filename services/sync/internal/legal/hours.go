package legal

import (
	"slices"
	"time"
)

const (
	// horizon is how far ahead a legal time is looked for. No rule is closed for as long.
	horizon = 14 * 24 * time.Hour
	// again is when a message comes back for which no zone leaves a time.
	again = 24 * time.Hour
)

// quiet tells whether the hours of every rule are open in every zone, and if not when they next are.
func quiet(c Case) Decision {
	rules := c.windows()
	first, blocked := firstClosed(rules, c.Zones, span{c.Now, c.Margin})
	if !blocked {
		return Decision{Verdict: Allow}
	}
	d := Decision{
		Verdict: Defer, Kind: KindHours, Rule: first.rule.ID, Source: first.rule.Source,
		Zone: first.zone.Location.String(), ZoneSource: first.zone.Source,
	}
	until, found := nextOpen(rules, c.Zones, span{c.Now, c.Margin})
	if !found {
		better := slices.DeleteFunc(slices.Clone(c.Zones), func(z Zone) bool { return z.Fallback })
		if len(better) > 0 && len(better) < len(c.Zones) {
			// The fallback only ever narrowed: without it there may be a time at once.
			return quiet(withZones(c, better))
		}
		until, d.NoCommonHour = c.Now.Add(again), true
	}
	d.Until = until
	return d
}

func withZones(c Case, zones []Zone) Case {
	c.Zones = zones
	return c
}

func (c Case) windows() []Window {
	var out []Window
	for _, w := range Windows {
		if c.under(w.Jurisdiction) && slices.Contains(w.Channels, c.Channel) {
			out = append(out, w)
		}
	}
	if c.Policy != nil {
		if h, set := c.Policy.Hours[c.Channel]; set {
			out = append(out, Window{ID: "workspace-hours", Days: [7]Hours{h, h, h, h, h, h, h}, Source: "the workspace's policy"})
		}
	}
	return out
}

// span is a stretch of time in which a message may leave.
type span struct {
	from time.Time
	long time.Duration
}

type closure struct {
	rule Window
	zone Zone
	// next is the earliest moment at which the rule may be open in the zone.
	next time.Time
}

// firstClosed finds a rule that is closed in a zone at some moment of s.
func firstClosed(rules []Window, zones []Zone, s span) (closure, bool) {
	for _, zone := range zones {
		for _, rule := range rules {
			if next, open := rule.open(zone.Location, s); !open {
				return closure{rule, zone, next}, true
			}
		}
	}
	return closure{}, false
}

// nextOpen moves s forward, past one closure after the other, to where nothing is closed.
func nextOpen(rules []Window, zones []Zone, s span) (time.Time, bool) {
	limit := s.from.Add(horizon)
	for s.from.Before(limit) {
		c, blocked := firstClosed(rules, zones, s)
		if !blocked {
			return s.from, true
		}
		s.from = c.next
	}
	return time.Time{}, false
}

// open tells whether the rule is open during the whole of s, and if not the earliest moment at which it may be again,
// always later than s. It works on moments only, by the clock that a zone shows at each: what a clock skips or shows twice
// needs no care then. Between two changes of a zone's offset the clock runs evenly, so only those are looked at.
func (w Window) open(zone *time.Location, s span) (time.Time, bool) {
	end := s.from.Add(s.long)
	for at := s.from; ; {
		_, change := at.In(zone).ZoneBounds()
		next, ok := w.at(at.In(zone), min(end.Sub(at), untilChange(at, change)))
		if !ok {
			if !change.IsZero() && next.After(change) {
				next = change // The clock jumps before: look again where it does.
			}
			return next, false
		}
		if change.IsZero() || change.After(end) {
			return time.Time{}, true
		}
		at = change
	}
}

func untilChange(at, change time.Time) time.Duration {
	if change.IsZero() {
		return horizon
	}
	return change.Sub(at)
}

// at is open for a stretch in which the zone's offset does not change.
func (w Window) at(local time.Time, long time.Duration) (time.Time, bool) {
	hour, minute, second := local.Clock()
	passed := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second +
		time.Duration(local.Nanosecond())
	midnight := 24*time.Hour - passed
	h := w.hours(local)
	from, to := time.Duration(h.From)*time.Minute, time.Duration(h.To)*time.Minute
	switch {
	case h.closed() || passed >= to:
		return local.Add(midnight), false
	case passed < from:
		return local.Add(from - passed), false
	case to < 24*time.Hour && passed+long > to:
		return local.Add(midnight), false
	case to < 24*time.Hour || long < midnight:
		return time.Time{}, true
	}
	// Open to midnight: the next day has to be open from its start.
	if next, ok := w.at(local.Add(midnight), long-midnight); !ok {
		return next, false
	}
	return time.Time{}, true
}

// hours are the open hours of a local day. A day on which a rule is not in force is open.
func (w Window) hours(local time.Time) Hours {
	date := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.UTC)
	switch {
	case !w.From.IsZero() && date.Before(w.From), !w.Until.IsZero() && !date.Before(w.Until):
		return Hours{0, 24 * 60}
	case w.Holidays && holiday(date), w.off(date):
		return Hours{}
	default:
		return w.Days[date.Weekday()]
	}
}

// holiday reports whether a date is a federal holiday of the United States (5 U.S.C. 6103), or the weekday on which one is
// observed.
func holiday(date time.Time) bool {
	if fixedHoliday(date) {
		return true
	}
	switch date.Weekday() {
	case time.Friday: // of a Saturday
		if fixedHoliday(date.AddDate(0, 0, 1)) {
			return true
		}
	case time.Monday: // of a Sunday
		if fixedHoliday(date.AddDate(0, 0, -1)) {
			return true
		}
	}
	week := (date.Day() + 6) / 7
	switch {
	case date.Weekday() == time.Monday:
		last := date.AddDate(0, 0, 7).Month() != date.Month()
		return (date.Month() == time.January && week == 3) || (date.Month() == time.February && week == 3) ||
			(date.Month() == time.May && last) || (date.Month() == time.September && week == 1) || (date.Month() == time.October && week == 2)
	case date.Weekday() == time.Thursday:
		return date.Month() == time.November && week == 4
	default:
		return false
	}
}

func fixedHoliday(date time.Time) bool {
	switch date.Month() {
	case time.January:
		return date.Day() == 1
	case time.June:
		return date.Day() == 19
	case time.July:
		return date.Day() == 4
	case time.November:
		return date.Day() == 11
	case time.December:
		return date.Day() == 25
	default:
		return false
	}
}
