// Package booking is what the service asks sync for when a slot is booked.
package booking

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/availability/internal/calendar"
)

// State is where a booking stands: a name of the API's BookingState without its prefix.
type State string

// Booked is the state of an appointment that stands.
const Booked State = "BOOKED"

// DirectBook is the name of whichever calendar direct bookings are made on.
const DirectBook = "directBook"

// ErrNone says that nothing was booked under a request id.
var ErrNone = errors.New("no booking of this request id")

// Wish is one booking that is asked for.
type Wish struct {
	Workspace, Lead, Request uuid.UUID
	// Link is the name of the calendar link as it was asked for: empty for the default, DirectBook for the one for direct bookings.
	Link string
	// Kind and Calendar are the provider and its calendar. Calendar is empty to ask only for a booking that exists.
	Kind     calendar.Kind
	Calendar string
	// Start and End bound the meeting.
	Start, End time.Time
}

// Booking is a booking as sync keeps it.
type Booking struct {
	// Name is its resource name.
	Name string
	// Kind and Calendar are the provider and its calendar.
	Kind       calendar.Kind
	Calendar   string
	State      State
	Start, End time.Time
	// Appointment is the provider's id, once Booked.
	Appointment string
}

// Bookings keeps and carries out bookings.
type Bookings interface {
	// Book makes the booking, or goes on with the one of the same request. Errors: ErrNone for a wish without a calendar; all
	// else is typed by sync.
	Book(ctx context.Context, w Wish) (Booking, error)
}
