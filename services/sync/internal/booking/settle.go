package booking

import (
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/sending"
)

// Wish is what a caller asked for, as far as a repeated request must ask for the same.
type Wish struct {
	Lead  uuid.UUID
	Start time.Time
	// Link is the calendar link as it was asked for, empty for the default.
	Link string
}

// Sighting is what one look at the provider saw.
type Sighting struct {
	// Complete is false when a read failed: what was not seen then is not absent.
	Complete bool
	// Appointment is the provider's id of the lead's appointment at the time, empty for none.
	Appointment string
}

// Open is a booking in UNKNOWN at the moment a look began.
type Open struct {
	// Age is the time since its claim, by the database's clock.
	Age time.Duration
	// Looks and Failed count the complete and the failed looks since the claim, this one excluded.
	Looks, Failed int
}

// Settlement is what a look leads to. Without a Rule the booking stays UNKNOWN until the next look.
type Settlement struct {
	// Rule and To are the transition, both empty to wait.
	Rule Rule
	To   State
	// Reason is why B8 refuses and B9 parks.
	Reason sending.Reason
	// Wait is the time to the next look.
	Wait time.Duration
}

// Settle decides by B7 to B9 what a look means. An appointment settles at once. Absence settles only at age S or more, after
// K complete looks, since the provider may show an appointment late.
func Settle(t sending.Timing, o Open, s Sighting) Settlement {
	switch {
	case s.Appointment != "":
		return Settlement{Rule: B7, To: Booked}
	case !s.Complete && o.Age >= t.Settle+t.Grace() && o.Failed+1 >= sending.MinLooks:
		return Settlement{Rule: B9, To: Parked, Reason: Ambiguous}
	case !s.Complete:
		return Settlement{Wait: t.Looks()[0]}
	case o.Age >= t.Settle && o.Looks+1 >= sending.MinLooks:
		return Settlement{Rule: B8, To: Refused, Reason: Absent}
	}
	for _, age := range t.Looks() {
		if age > o.Age {
			return Settlement{Wait: age - o.Age}
		}
	}
	return Settlement{Wait: t.Looks()[0]}
}
