package followup

import "time"

// DayOf is the day of zone that now is in, as midnight UTC.
func DayOf(now time.Time, zone *time.Location) time.Time {
	w := wallOf(now.In(zone))
	return time.Date(w.year, w.month, w.day, 0, 0, 0, 0, time.UTC)
}

// Capped is the effect of a step for which the lead's day on the channel is full: it is done on the next day of the
// workspace's zone, when the business opens.
func Capped(in Input) Effect {
	w := wallOf(in.Now.In(in.Zone))
	tomorrow := wall{year: w.year, month: w.month, day: w.day + 1}.in(in.Zone)
	opening, ok := in.Settings.Hours.NextOpening(tomorrow, in.Zone)
	if !ok {
		opening = tomorrow
	}
	return stay(ReasonDailyCap, in.Now, opening).Keep(in.Enrollment.Attempts)
}

// CapCheck is the trace of a full day.
func CapCheck(effect Effect, room int) Check {
	return Check{
		Rule: "daily_cap", Version: 1, Inputs: []Fact{count("daily_cap", room)}, Move: effect.Move, Reason: effect.Reason, Until: effect.Until,
	}
}
