// Package token keeps the providers' credentials: it opens them for a call, and refreshes OAuth tokens one at a time over
// all replicas (docs/send-protocol.md, §3.9). A refresh token that was spent is never lost without notice: the new pair is
// stored in one commit before it is used, and a holder that died is followed by one that asks again with the old token.
package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relance/relance/platform/redact"
)

// OAuth is the token endpoint of a provider, as one app.
type OAuth interface {
	// App is the app's client id; empty when none is configured.
	App() string
	// Exchange turns an authorization code into tokens. Errors: AnswerError.
	Exchange(ctx context.Context, code, redirectURI string) (Tokens, error)
	// Refresh spends a refresh token, an agency's when agency is set. Errors: AnswerError.
	Refresh(ctx context.Context, refresh redact.Secret, agency bool) (Tokens, error)
	// Mint makes a location's token with an agency's access token; it spends nothing. Errors: AnswerError.
	Mint(ctx context.Context, access redact.Secret, company, location string) (Tokens, error)
}

// Tokens are what the endpoint gives.
type Tokens struct {
	Access, Refresh redact.Secret
	// Life is how long the access token lives.
	Life time.Duration
	// Location is the account they open; empty for an agency's token.
	Location string
	// Company is the agency's id for an agency's token, which opens no location by itself; else empty.
	Company string
}

// Grant is what a person brings to connect by OAuth: a code, or the refresh token of an install.
type Grant struct {
	Code, RedirectURI string
	Refresh           redact.Secret
	// Agency says that Refresh is an agency's.
	Agency bool
}

// AnswerKind is what a failed exchange means.
type AnswerKind string

// Kinds of failed exchanges.
const (
	// NoAnswer: nobody can tell whether the token was spent; the same one is tried again.
	NoAnswer AnswerKind = "no_answer"
	// Refused: the grant is dead; the app has to be installed again.
	Refused AnswerKind = "refused"
	// Inactive: the location is paused; the same token works once it is active.
	Inactive AnswerKind = "inactive"
	// Expired: an agency's access token ended before its time; a fresh one may do.
	Expired AnswerKind = "expired"
	// Misconfigured: the provider does not like the request or the app's credentials; the token is not touched.
	Misconfigured AnswerKind = "misconfigured"
)

// AnswerError is an exchange that gave no tokens. It holds nothing of the provider's words.
type AnswerError struct {
	Kind AnswerKind
	// Status is the HTTP status, 0 without an answer.
	Status int
}

// Error names kind and status.
func (e *AnswerError) Error() string {
	return fmt.Sprintf("token endpoint: %s (status %d)", e.Kind, e.Status)
}

// Errors of Account.
var (
	// ErrNone: the workspace has no connection.
	ErrNone = errors.New("no provider connection")
	// ErrNoAgency: the agency's install is not known.
	ErrNoAgency = errors.New("no such agency")
	// ErrNotReady: the access token ended and a new one could not be had yet; the next try may succeed.
	ErrNotReady = errors.New("access token not refreshed yet")
)
