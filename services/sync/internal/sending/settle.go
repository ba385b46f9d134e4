package sending

import (
	"time"

	"github.com/relance/relance/services/sync/internal/planted"
)

// MinLooks (K) is how many complete looks must find nothing before absence counts.
const MinLooks = 3

// Found is a message at the provider that is, or may be, one of ours.
type Found struct {
	// ID and ConversationID are the provider's.
	ID, ConversationID string
	// Status is the provider's delivery status.
	Status string
	// At is the provider's time of the message.
	At time.Time
}

// Sighting is what one look at the provider's lists saw of a send.
type Sighting struct {
	// Complete is false when a read failed or was partial: what was not seen then is not absent.
	Complete bool
	// Matches are the unclaimed messages that are this one, earliest first.
	Matches []Found
	// Others are unclaimed messages that may be this one with other words, earliest first.
	Others []Found
	// Listed is how many messages were looked at.
	Listed int
}

// Unresolved is a send in UNKNOWN at the moment a look began.
type Unresolved struct {
	// Age is the time since its claim, by the database's clock.
	Age time.Duration
	// Looks and Failed count the complete and the failed looks since the claim, this one excluded.
	Looks, Failed int
	// Hold is the policy: never send again.
	Hold bool
	// Resends is how often absence has let it be sent again.
	Resends int
	// Expired is true when its expire_time has passed, by the business clock.
	Expired bool
}

// Settlement is what a look leads to. Without a Rule the send stays UNKNOWN until the next look.
type Settlement struct {
	// Rule and To are the transition, both empty to wait.
	Rule Rule
	To   State
	// Found is the message claimed by T11 and T12.
	Found Found
	// Reason is why T14 parks.
	Reason Reason
	// Next is the age at which to look again while waiting.
	Next time.Duration
}

// Settle decides by T11 to T14 what a look means. Absence counts only in complete looks, and settles only at age S or
// more; until then a look can only find.
func Settle(t Timing, u Unresolved, s Sighting) Settlement {
	switch {
	case len(s.Matches) == 1:
		return Settlement{Rule: T11, To: Accepted, Found: s.Matches[0]}
	case len(s.Matches) > 1:
		return Settlement{Rule: T12, To: Accepted, Found: s.Matches[0]}
	case !s.Complete && u.Age >= t.Settle+t.Grace() && u.Failed+1 >= MinLooks:
		// The provider cannot be read: nothing rests, a person looks.
		return Settlement{Rule: T14, To: Parked, Reason: SendAmbiguous}
	case !s.Complete:
		return Settlement{Next: u.Age + t.Looks()[0]}
	case (u.Age < t.Settle || u.Looks+1 < MinLooks) && !planted.On(planted.NoSettle):
		return Settlement{Next: t.nextLook(u)}
	case len(s.Others) > 0:
		return Settlement{Rule: T14, To: Parked, Reason: SendNeedsEyes}
	case u.Hold || u.Resends > 0 || u.Expired:
		return Settlement{Rule: T14, To: Parked, Reason: SendAmbiguous}
	default:
		return Settlement{Rule: T13, To: Retryable}
	}
}

// nextLook is the age of the look after a complete one that settled nothing.
func (t Timing) nextLook(u Unresolved) time.Duration {
	for _, age := range t.Looks() {
		if age > u.Age {
			return age
		}
	}
	return u.Age + t.Looks()[0]
}

// Window is the span of provider times in which the message of a send must lie. from is the business time of its first
// claim that may have left a message, last that of its newest.
func (t Timing) Window(from, last time.Time) (time.Time, time.Time) {
	return from.Add(-clockSkew), last.Add(t.Write + t.Pause + t.Call + t.Delay)
}

// clockSkew is how far the provider's clock may be behind ours.
const clockSkew = 2 * time.Minute
