// Package apierr builds, carries and reads the typed errors of the API (AIP-193, docs/errors.md). It is the only package
// that makes a gRPC status. Errors that nobody branches on stay plain Go errors and leave as a neutral Internal.
package apierr

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Domain and reasons of the errors that every service can answer.
const (
	// PlatformDomain is the domain of the reasons below.
	PlatformDomain = "relance.dev"
	// ReasonPrincipalMissing: nobody could be identified behind the call (Unauthenticated).
	ReasonPrincipalMissing = "PRINCIPAL_MISSING"
	// ReasonTokenInvalid: a principal token was sent that does not verify (Unauthenticated).
	ReasonTokenInvalid = "TOKEN_INVALID"
	// ReasonPrincipalNotAllowed: the principal may not call the method (PermissionDenied).
	ReasonPrincipalNotAllowed = "PRINCIPAL_NOT_ALLOWED"
	// ReasonWorkspaceForbidden: the principal is bound to another workspace (PermissionDenied).
	ReasonWorkspaceForbidden = "WORKSPACE_FORBIDDEN"
)

// Error is an error with a meaning for the caller. Everything but Cause crosses the wire. Values are not safe for
// concurrent change; build one per failure.
type Error struct {
	// Code is the canonical gRPC code.
	Code codes.Code
	// Domain and Reason identify the error for programs; empty for errors without ErrorInfo.
	Domain, Reason string
	// Message is for people: what is wrong and what to do. It holds no personal data.
	Message string
	// Metadata are the facts a caller branches or acts on.
	Metadata map[string]string
	// Violations lists every bad field of an InvalidArgument.
	Violations []FieldViolation
	// Preconditions lists what was violated, on what subject.
	Preconditions []PreconditionViolation
	// Help links to the remedy.
	Help []Link
	// Resource is what was not found or already exists.
	Resource *Resource
	// RetryAfter tells when asking again makes sense; zero for no advice.
	RetryAfter time.Duration
	// Cause is logged once at the edge and never sent.
	Cause error
}

// FieldViolation is one bad field of a request.
type FieldViolation struct {
	// Field is the path, such as "sequence.steps[0].channel".
	Field string
	// Description says what is wrong and what is accepted.
	Description string
}

// PreconditionViolation is one failed precondition.
type PreconditionViolation struct {
	// Type is a short code, such as "DND".
	Type string
	// Subject is the resource concerned.
	Subject string
	// Description says it for people.
	Description string
}

// Link leads to a remedy.
type Link struct {
	// Description says what is found there.
	Description string
	// URL is absolute.
	URL string
}

// Resource names a resource.
type Resource struct {
	// Type is the kind, such as "lead".
	Type string
	// Name is the resource name.
	Name string
}

// Error is the message with its reason and cause; for logs, not for callers.
func (e *Error) Error() string {
	text := e.Message
	if e.Reason != "" {
		text = e.Reason + ": " + text
	}
	if e.Cause != nil {
		text = fmt.Sprintf("%s: %v", text, e.Cause)
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes an error with a reason.
func New(code codes.Code, domain, reason, message string) *Error {
	return &Error{Code: code, Domain: domain, Reason: reason, Message: message}
}

// Invalid makes an InvalidArgument that carries every violation at once.
func Invalid(violations ...FieldViolation) *Error {
	message := "the request is not valid"
	if len(violations) > 0 {
		message = fmt.Sprintf("the request has %d bad field(s); the first: %s: %s",
			len(violations), violations[0].Field, violations[0].Description)
	}
	return &Error{Code: codes.InvalidArgument, Message: message, Violations: violations}
}

// NotFound makes a NotFound for a resource.
func NotFound(resourceType, name string) *Error {
	return &Error{
		Code: codes.NotFound, Message: resourceType + " not found",
		Resource: &Resource{Type: resourceType, Name: name},
	}
}

// Aborted makes the answer to a lost optimistic race: read again and retry.
func Aborted(message string) *Error { return &Error{Code: codes.Aborted, Message: message} }

// Unavailable makes the answer to a dependency that is away and will come back.
func Unavailable(message string, cause error) *Error {
	return &Error{Code: codes.Unavailable, Message: message, Cause: cause, RetryAfter: time.Second}
}

// Internal hides a cause behind neutral text.
func Internal(cause error) *Error {
	return &Error{Code: codes.Internal, Message: "internal error; the cause is in the service's log", Cause: cause}
}

// With adds a metadata entry and returns e.
func (e *Error) With(key, value string) *Error {
	if e.Metadata == nil {
		e.Metadata = map[string]string{}
	}
	e.Metadata[key] = value
	return e
}

// WithCause sets the cause and returns e.
func (e *Error) WithCause(cause error) *Error { e.Cause = cause; return e }

// WithHelp adds a link and returns e.
func (e *Error) WithHelp(description, url string) *Error {
	e.Help = append(e.Help, Link{Description: description, URL: url})
	return e
}

// WithPrecondition adds a failed precondition and returns e.
func (e *Error) WithPrecondition(kind, subject, description string) *Error {
	e.Preconditions = append(e.Preconditions, PreconditionViolation{Type: kind, Subject: subject, Description: description})
	return e
}

// WithRetryAfter sets the retry delay and returns e.
func (e *Error) WithRetryAfter(delay time.Duration) *Error { e.RetryAfter = delay; return e }

// From finds the Error in err's chain, or reads one from a gRPC status received from another service. It reports false
// for plain errors.
func From(err error) (*Error, bool) {
	if err == nil {
		return nil, false
	}
	var own *Error
	if errors.As(err, &own) {
		return own, true
	}
	if st, ok := status.FromError(err); ok && st.Code() != codes.OK {
		return fromStatus(st), true
	}
	return nil, false
}

// Reason is the reason of err, or empty.
func Reason(err error) string {
	if e, ok := From(err); ok {
		return e.Reason
	}
	return ""
}

// Is reports whether err has this domain and reason.
func Is(err error, domain, reason string) bool {
	e, ok := From(err)
	return ok && e.Domain == domain && e.Reason == reason
}

// Code is the canonical code of err: OK for nil, Unknown for plain errors.
func Code(err error) codes.Code {
	if err == nil {
		return codes.OK
	}
	if e, ok := From(err); ok {
		return e.Code
	}
	return codes.Unknown
}

// Clone copies e so that a caller may add to it.
func (e *Error) Clone() *Error {
	c := *e
	c.Metadata = maps.Clone(e.Metadata)
	c.Violations = slices.Clone(e.Violations)
	c.Preconditions = slices.Clone(e.Preconditions)
	c.Help = slices.Clone(e.Help)
	return &c
}
