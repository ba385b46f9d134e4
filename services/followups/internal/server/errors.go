package server

import (
	"errors"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/postgres"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store"
)

const domain = "followups.relance.dev"

// typed makes an error of this service, with the link to its remedy.
func typed(code codes.Code, reason followupsv1.ErrorReason, message string) *apierr.Error {
	text := strings.TrimPrefix(reason.String(), "ERROR_REASON_")
	return apierr.New(code, domain, text, message).
		WithHelp("What it means and what to do", "https://relance.dev/docs/errors#"+strings.ToLower(text))
}

// mapped turns what the store answers into the API's errors; subject is the resource the request names.
func mapped(err error, kind, subject string) error {
	var enrolled *store.AlreadyEnrolledError
	var moves *store.InvalidMovesError
	var reused *store.RequestReusedError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return apierr.NotFound(kind, subject)
	case errors.Is(err, store.ErrNameTaken):
		return invalid("sequence.display_name", "another sequence of the workspace has this name")
	case errors.As(err, &moves):
		return apierr.Invalid(fields(moves.Violations)...)
	case errors.Is(err, store.ErrBooked):
		return notEligible("booked", subject)
	case errors.Is(err, store.ErrInactive):
		return typed(codes.FailedPrecondition, followupsv1.ErrorReason_ERROR_REASON_SEQUENCE_INACTIVE,
			"the sequence is not active; activate it first").With("sequence", subject).
			WithPrecondition("SEQUENCE_INACTIVE", subject, "the sequence is not active")
	case errors.Is(err, store.ErrStillRunning):
		return typed(codes.FailedPrecondition, followupsv1.ErrorReason_ERROR_REASON_ENROLLMENT_NOT_ACTIVE,
			"the sequence has enrollments that have not ended; cancel them first").With("state", "running").
			WithPrecondition("ENROLLMENTS_RUNNING", subject, "enrollments have not ended")
	case errors.As(err, &enrolled):
		workspace, _, _ := strings.Cut(subject, "/sequences/")
		return typed(codes.AlreadyExists, followupsv1.ErrorReason_ERROR_REASON_ALREADY_ENROLLED,
			"the lead runs through this sequence already").With("enrollment", workspace+"/enrollments/"+enrolled.Enrollment.String())
	case errors.As(err, &reused):
		return typed(codes.AlreadyExists, followupsv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED,
			"this request_id enrolled something else; a new enrollment needs a new id").With("fields", strings.Join(reused.Fields, ","))
	case postgres.IsUnavailable(err):
		return apierr.Unavailable("the database is away", err)
	case postgres.IsRetryable(err):
		return apierr.Aborted("lost a race with a concurrent change; try again").WithCause(err)
	}
	return err
}

func notActive(state followup.State, subject string) error {
	return typed(codes.FailedPrecondition, followupsv1.ErrorReason_ERROR_REASON_ENROLLMENT_NOT_ACTIVE,
		"the enrollment's state does not allow this; read it again").With("state", string(state)).
		WithPrecondition("ENROLLMENT_STATE", subject, "the state is "+string(state))
}

func notPending(state followup.TaskState, subject string) error {
	return typed(codes.FailedPrecondition, followupsv1.ErrorReason_ERROR_REASON_TASK_NOT_PENDING,
		"the task is over; read it again").With("state", string(state)).
		WithPrecondition("TASK_STATE", subject, "the task is "+string(state))
}

func notEligible(cause, subject string) error {
	return typed(codes.FailedPrecondition, followupsv1.ErrorReason_ERROR_REASON_LEAD_NOT_ELIGIBLE,
		"the lead must not be followed up").With("cause", cause).
		WithPrecondition("LEAD", subject, "the lead is "+cause)
}

// sequenceInvalid lists everything that keeps a sequence from being active.
func sequenceInvalid(violations []followup.Violation, subject string) error {
	e := typed(codes.FailedPrecondition, followupsv1.ErrorReason_ERROR_REASON_SEQUENCE_INVALID,
		"the sequence cannot be active; the details list what is wrong").With("violations", strconv.Itoa(len(violations)))
	for _, v := range violations {
		text := v.Description
		if v.Remedy != "" {
			text += "; to mend it: " + v.Remedy
		}
		e = e.WithPrecondition("SEQUENCE_INVALID", v.Field, text)
		e.Violations = append(e.Violations, apierr.FieldViolation{Field: v.Field, Description: text})
	}
	if subject != "" {
		e = e.With("sequence", subject)
	}
	return e
}

func fields(violations []followup.Violation) []apierr.FieldViolation {
	var out []apierr.FieldViolation
	for _, v := range violations {
		out = append(out, apierr.FieldViolation{Field: v.Field, Description: v.Description})
	}
	return out
}
