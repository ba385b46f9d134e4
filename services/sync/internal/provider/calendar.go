package provider

import (
	"context"
	"errors"
	"time"

	"github.com/relance/relance/services/sync/internal/budget"
)

// Appointment is what is booked, or looked for.
type Appointment struct {
	// Calendar is the calendar as the caller names it: GHL's id; of Calendly the UUID of an event type, or "profile/event".
	Calendar string
	// Start and End bound it.
	Start, End time.Time
	// Contact is GHL's id of the person; Calendly knows people by Email.
	Contact string
	// Name, Email, Phone and TimeZone are the person's; all but Email may be empty.
	Name, Email, Phone, TimeZone string
	// Known are the names that the provider's own lists have for the calendar. Prepare fills it in.
	Known []string
	// Member is who attends, Place where it is held, in the provider's form. Prepare fills them in.
	Member string
	Place  any
}

// ErrQuestions says that an event type asks the invitee for what is not known.
var ErrQuestions = errors.New("the event type asks for what is not known")

// Calendar is a provider of appointments.
type Calendar interface {
	// Budget is the budget that Book counts against.
	Budget(who Account) budget.Key
	// Prepare reads what Book has to say. It books nothing. Errors: ReadError, ErrQuestions.
	Prepare(ctx context.Context, who Account, a Appointment) (Appointment, error)
	// Book makes the one call that books. It never fails: whatever happens is evidence. The caller holds a permit.
	Book(ctx context.Context, who Account, a Appointment) Result
	// Find gives the provider's id of the person's standing appointment at the start on the calendar, empty when its lists,
	// read whole, show none. Errors: ReadError.
	Find(ctx context.Context, who Account, a Appointment) (string, error)
}
