// Package look is what the service asks of a calendar, and what a calendar can answer, whatever its provider. It is pure.
package look

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/slots"
)

// Ask is one look at a calendar.
type Ask struct {
	// Workspace is whose connection is used, for kinds that need one.
	Workspace uuid.UUID
	// Kind is the kind of calendar, ID what identifies it there, and Address where it is read, for kinds read by address.
	Kind    calendar.Kind
	ID      string
	Address string
	// Token is the provider's API token; empty means that only public pages can be read.
	Token string
	// Hours are the working hours, for feeds that tell busy times only.
	Hours slots.Hours
	// Meeting is the length of a meeting. From and To bound the starts, [From, To).
	Meeting  time.Duration
	From, To time.Time
	// Resolved is the Resolved of the last Answer for this link, or empty.
	Resolved string
}

// Answer is what a calendar said.
type Answer struct {
	// Starts are free starts, in any order; some may lie outside of what was asked.
	Starts []time.Time
	// Source says which of a provider's doors was used: "api", "page" or "feed".
	Source string
	// Resolved is kept with the link and given back with the next Ask, so that what identifies the calendar is asked for
	// once. Opaque to everyone but the provider.
	Resolved string
	// Host is who answered, when it is not the Host that was to be asked first.
	Host string
}

// Provider reads calendars. Errors that are not *Error count as unreachable. Safe for concurrent use.
type Provider interface {
	FreeSlots(ctx context.Context, ask Ask) (Answer, error)
	// Host names the host that a look asks first, without a call: looks that fail are counted by it. Empty when it cannot be
	// told; then they are not counted.
	Host(ask Ask) string
}

// HostOf is the host of an address, with its port; empty when there is none.
func HostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// Error is a look that failed. It carries nothing that the provider said in words.
type Error struct {
	// Kind is why: slots.ReasonUnreachable; slots.ReasonInactive when the provider says that the calendar is off or gone;
	// slots.ReasonUnsupportedDuration or slots.ReasonUnsupportedCalendar when it cannot serve what is asked.
	Kind slots.Reason
	// Reason is the typed reason at the provider's side, such as PROVIDER_RATE_LIMITED or HTTP_503.
	Reason string
	// RetryAfter is the provider's own demand; zero for none.
	RetryAfter time.Duration
	// Served are the meeting lengths that the calendar can serve, for ReasonUnsupportedDuration.
	Served []time.Duration
	// Cause is for the log; may be nil.
	Cause error
}

// Error is the reason with its cause.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Reason
	}
	return fmt.Sprintf("%s: %v", e.Reason, e.Cause)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Unreachable is a failure on the provider's side or on the way.
func Unreachable(reason string, cause error) *Error {
	return &Error{Kind: slots.ReasonUnreachable, Reason: reason, Cause: cause}
}

// BadAnswer is an answer that does not read as the contract says.
func BadAnswer(cause error) *Error { return Unreachable("BAD_ANSWER", cause) }

// UnsupportedDuration says which lengths can be served instead.
func UnsupportedDuration(served ...time.Duration) *Error {
	return &Error{
		Kind: slots.ReasonUnsupportedDuration, Reason: string(slots.ReasonUnsupportedDuration), Served: served,
	}
}
