package provider

import (
	"context"
	"time"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/sending"
)

// Mail is a sender of email campaigns: it answers emails in their threads, and shows what it sent.
type Mail interface {
	Sender
	// Sent reads one page of the emails sent to the writer of a target, and the cursor of the next page, empty on the last.
	// Errors: ReadError.
	Sent(ctx context.Context, who Account, q SentQuery) ([]SentMail, string, error)
	// Probe makes one read that shows whether the account's key is taken. Errors: ReadError.
	Probe(ctx context.Context, who Account) error
}

// SentQuery asks for what was sent in a thread.
type SentQuery struct {
	Target sending.Target
	// From is the earliest time of interest; a provider may show older ones too.
	From time.Time
	// Cursor is what the page before gave, empty for the first.
	Cursor string
}

// SentMail is one email that the provider shows as sent.
type SentMail struct {
	// ID is our form of the provider's id, as on accepted messages.
	ID   string
	HTML string
	// Campaign is true for an email of a campaign's sequence, which is none of ours.
	Campaign bool
	At       time.Time
}

// Router sends through the provider of the account.
type Router map[Kind]Sender

// Send posts one message once. A provider that is not there has sent nothing.
func (r Router) Send(ctx context.Context, who Account, m Message) Result {
	kind := who.Kind
	if kind == "" {
		kind = GHL
	}
	to, ok := r[kind]
	if !ok {
		return Result{Evidence: classify.Evidence{NotSent: true, Channel: m.Channel, Provider: string(kind)}}
	}
	return to.Send(ctx, who, m)
}
