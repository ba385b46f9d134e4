package sending

import (
	"errors"
	"strings"
)

// Errors of who asks for a call of a provider: a send, a booking, a link to a contact.
var (
	// ErrNoLead: the lead does not exist in the workspace.
	ErrNoLead = errors.New("no such lead")
	// ErrClaimUnknown: the database did not acknowledge the claim, so that the call was not made.
	ErrClaimUnknown = errors.New("claim was not acknowledged")
)

// ReusedError says that a request id was used with other content.
type ReusedError struct {
	// Fields are the parts that differ.
	Fields []string
}

// Error names the parts.
func (e *ReusedError) Error() string {
	return "request id used with other " + strings.Join(e.Fields, ",")
}
