// Package slots holds the rules of availability: which state a workspace is in, which times may be offered, how they are
// labelled, and when a calendar is asked again. It is pure: no clock, no database, no calls.
package slots

import (
	"errors"
	"slices"
	"time"

	"github.com/relance/relance/services/availability/internal/calendar"
)

// State is what is known of a workspace's calendar.
type State string

// The states. StateNew means never read since the configuration changed; the other four are told apart everywhere.
const (
	StateNew          State = "new"
	StateOK           State = "ok"
	StateEmpty        State = "empty"
	StateUnreachable  State = "unreachable"
	StateUnconfigured State = "unconfigured"
)

// Reason says why a workspace has no slots; the values are those of the API's ErrorReason.
type Reason string

// The reasons. ReasonNone goes with StateOK, StateEmpty and StateNew.
const (
	ReasonNone                Reason = ""
	ReasonNoDefaultCalendar   Reason = "NO_DEFAULT_CALENDAR"
	ReasonUnsupportedDuration Reason = "UNSUPPORTED_DURATION"
	ReasonUnsupportedCalendar Reason = "UNSUPPORTED_CALENDAR"
	ReasonUnreachable         Reason = "CALENDAR_UNREACHABLE"
	ReasonInactive            Reason = "CALENDAR_INACTIVE"
)

// usual are the lengths of most calendars, in minutes.
var usual = [...]int{15, 30, 45, 60, 90, 120}

// Fits reports whether a meeting can be promised at free starts of which only the calendar's own slot length is known: it ends
// before the slot does. Where that is not known either (0), the meeting's length is taken for the calendar's, if it is a usual one.
func Fits(meeting, slot time.Duration) bool {
	if slot > 0 {
		return meeting <= slot
	}
	return slices.Contains(usual[:], int(meeting/time.Minute))
}

// Check tells why a workspace cannot be read from a provider, before any call: no default link, a kind that is not known, or no
// length of a meeting. ReasonNone means it can be asked, which may tell that it cannot serve the length.
func Check(hasDefault bool, kind calendar.Kind, duration time.Duration) Reason {
	switch {
	case !hasDefault:
		return ReasonNoDefaultCalendar
	case !slices.Contains(calendar.Kinds(), kind):
		return ReasonUnsupportedCalendar
	case duration <= 0 || duration%time.Minute != 0:
		return ReasonUnsupportedDuration
	default:
		return ReasonNone
	}
}

// Of derives the state from what the last attempt found: a reason (ReasonNone for a good read) and the number of slots.
func Of(reason Reason, count int) State {
	switch {
	case reason == ReasonUnreachable:
		return StateUnreachable
	case reason != ReasonNone:
		return StateUnconfigured
	case count == 0:
		return StateEmpty
	default:
		return StateOK
	}
}

// Within gives the starts in [from, to), sorted, without repeats, in UTC. A zero to means no end. The input is not
// changed.
func Within(starts []time.Time, from, to time.Time) []time.Time {
	kept := make([]time.Time, 0, len(starts))
	for _, start := range starts {
		if !start.Before(from) && (to.IsZero() || start.Before(to)) {
			kept = append(kept, start.UTC())
		}
	}
	slices.SortFunc(kept, time.Time.Compare)
	return slices.CompactFunc(kept, time.Time.Equal)
}

// Zone loads an IANA zone. Unlike time.LoadLocation it refuses "" and "Local", whose meaning depends on the machine.
func Zone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, errors.New("a zone must be an IANA name such as America/New_York")
	}
	return time.LoadLocation(name)
}
