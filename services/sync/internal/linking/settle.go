package linking

import (
	"time"

	"github.com/relance/relance/services/sync/internal/sending"
)

// MaxCalls is how many creations of one link are tried, each after the absence of the one before was shown.
const MaxCalls = 3

// Sighting is what one look at the provider saw.
type Sighting struct {
	// Complete is false when a read failed: what was not seen then is not absent.
	Complete bool
	// Contacts are the ids of the contacts that are the person.
	Contacts []string
}

// Open is a link in UNKNOWN at the moment a look began.
type Open struct {
	// Age is the time since its claim, by the database's clock.
	Age time.Duration
	// Looks counts the complete looks since the claim, this one excluded.
	Looks int
	// Calls counts the creations that were tried, the unknown one included.
	Calls int
	// Refused is true when the provider's answer was a refusal that may have made a contact all the same.
	Refused bool
}

// Settlement is what a look leads to. Without a Rule the link stays UNKNOWN until the next look.
type Settlement struct {
	// Rule and To are the transition, both empty to wait.
	Rule Rule
	To   State
	// Wait is the time to the next look.
	Wait time.Duration
}

// Settle decides by K3, K4, K9 and K10 what a look means. A contact that shows settles at once. Absence settles only at age S or
// more, after K complete looks: a search shows a new contact late. An outage of the reads never settles anything; the looks only
// become rarer.
func Settle(t sending.Timing, o Open, s Sighting) Settlement {
	switch {
	case len(s.Contacts) == 1:
		return Settlement{Rule: K3, To: Linked}
	case len(s.Contacts) > 1:
		return Settlement{Rule: K4, To: Conflict}
	case !s.Complete && o.Age >= t.Settle+t.Grace():
		return Settlement{Wait: t.Settle}
	case !s.Complete:
		return Settlement{Wait: t.Looks()[0]}
	case o.Age >= t.Settle && o.Looks+1 >= sending.MinLooks && (o.Refused || o.Calls >= MaxCalls):
		return Settlement{Rule: K10, To: Refused}
	case o.Age >= t.Settle && o.Looks+1 >= sending.MinLooks:
		return Settlement{Rule: K9, To: Planned}
	}
	for _, age := range t.Looks() {
		if age > o.Age {
			return Settlement{Wait: age - o.Age}
		}
	}
	return Settlement{Wait: t.Looks()[0]}
}
