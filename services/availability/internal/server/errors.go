package server

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/availability/internal/refresh"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

// Domain is the domain of the service's own reasons.
const Domain = "availability.relance.dev"

const helpURL = "https://relance.dev/docs/errors#"

// toStatus maps what store and refresher answer. nil stays nil.
func toStatus(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, refresh.ErrBusy):
		return apierr.Unavailable("the calendar is being read elsewhere; ask again", err)
	case errors.Is(err, store.ErrRunning):
		return apierr.Unavailable("the run with this request_id goes on; ask again for its receipt", err)
	case postgres.IsUnavailable(err):
		return apierr.Unavailable("the database is away; ask again", err)
	case postgres.IsRetryable(err):
		return apierr.Aborted("another change came first; ask again")
	default:
		return err
	}
}

func errDirectory(err error) error {
	switch apierr.Code(err) {
	case codes.Unavailable, codes.ResourceExhausted:
		return apierr.Unavailable("the sync service is away, so the workspace cannot be looked up; ask again", err)
	default:
		return fmt.Errorf("look up workspace: %w", err)
	}
}

func errNotFound(kind, name string) error { return apierr.NotFound(kind, name) }

func refused(code codes.Code, reason slots.Reason, message string) *apierr.Error {
	return apierr.New(code, Domain, string(reason), message)
}

// noSlots is the error for a row that cannot give slots, or nil.
func noSlots(row store.Row) error {
	workspace := workspaceName(row.Workspace)
	help := func(e *apierr.Error, description string) error {
		return e.WithHelp(description, helpURL+strings.ToLower(e.Reason))
	}
	switch row.Reason {
	case slots.ReasonNoDefaultCalendar:
		return help(refused(codes.FailedPrecondition, row.Reason,
			"the workspace has no default calendar link; create one or call SetDefaultCalendarLink").
			With("workspace", workspace).
			WithPrecondition("CALENDAR", workspace, "a default calendar link must be set"), "How to set a default calendar link")
	case slots.ReasonUnsupportedDuration:
		minutes := strconv.Itoa(int(row.Meeting / time.Minute))
		return help(refused(codes.FailedPrecondition, row.Reason,
			"the calendar cannot serve meetings of this length; set one that it serves").
			With("minutes", minutes).
			WithPrecondition("DURATION", workspace, "meetings of "+minutes+" minutes cannot be served"), "Meeting lengths")
	case slots.ReasonInactive:
		return help(refused(codes.FailedPrecondition, row.Reason,
			"the provider says the calendar is off or gone; turn it on there or choose another link").
			With("provider", providerOf(row)).
			WithPrecondition("CALENDAR", defaultName(row), "the calendar must be active at the provider"), "Inactive calendars")
	case slots.ReasonUnsupportedCalendar:
		return errUnsupported("")
	}
	return nil
}

// unreachable is the answer when the provider failed and nothing that was read before meets the caller's bound.
func unreachable(row store.Row, now time.Time) error {
	asOf := ""
	if !row.AsOf.IsZero() {
		asOf = row.AsOf.UTC().Format(time.RFC3339)
	}
	return refused(codes.Unavailable, slots.ReasonUnreachable,
		"the calendar could not be read and nothing new enough is known; it is tried again by itself").
		With("as_of", asOf).With("provider", providerOf(row)).
		WithHelp("Unreachable calendars", helpURL+"calendar_unreachable").
		WithRetryAfter(max(row.Due.Sub(now), time.Second))
}

func errUnsupported(host string) error {
	return refused(codes.FailedPrecondition, slots.ReasonUnsupportedCalendar,
		"this is no calendar that can be read; supported: GoHighLevel, Calendly, HubSpot and iCalendar feeds (with working hours)").
		With("provider_host", host).WithHelp("Supported calendars", helpURL+"unsupported_calendar")
}

func providerOf(row store.Row) string {
	if row.Link == nil {
		return ""
	}
	return string(row.Link.Provider)
}
