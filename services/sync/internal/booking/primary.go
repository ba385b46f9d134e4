package booking

import "time"

// Status is where an appointment stands at its provider, as stored.
type Status string

// Statuses of an appointment.
const (
	// Held: it stands.
	Held Status = "booked"
	// Cancelled: it was called off.
	Cancelled Status = "cancelled"
	// Moved: another appointment took its place.
	Moved Status = "moved"
	// Showed: the lead came.
	Showed Status = "showed"
	// NoShow: the lead did not come.
	NoShow Status = "no_show"
)

// Active reports whether the appointment takes its time: it stands, or took place, or would have.
func (s Status) Active() bool { return s == Held || s == Showed || s == NoShow }

// Appointment is what the primary rule looks at.
type Appointment struct {
	Status Status
	// Start is zero when the provider did not tell it: such an appointment is taken to be ahead.
	Start time.Time
}

// ahead reports whether the appointment is yet to come.
func (a Appointment) ahead(now time.Time) bool {
	return a.Status == Held && (a.Start.IsZero() || a.Start.After(now))
}

// Primary gives the index of the appointment that counts for a lead, -1 when there is none: the earliest ahead that stands,
// else the latest active, else the latest that was called off. One that was moved never counts: the one that took its place
// does. Of equals the first in the list counts.
func Primary(all []Appointment, now time.Time) int {
	best := -1
	for i, a := range all {
		if rank(a, now) > 0 && (best < 0 || outranks(a, all[best], now)) {
			best = i
		}
	}
	return best
}

func rank(a Appointment, now time.Time) int {
	switch {
	case a.ahead(now):
		return 3
	case a.Status.Active():
		return 2
	case a.Status == Cancelled:
		return 1
	default:
		return 0
	}
}

func outranks(a, b Appointment, now time.Time) bool {
	x, y := rank(a, now), rank(b, now)
	if x != y {
		return x > y
	}
	if x == 3 {
		// One without a start comes last: what is known is nearer.
		return !a.Start.IsZero() && (b.Start.IsZero() || a.Start.Before(b.Start))
	}
	return a.Start.After(b.Start)
}
