// Package provider is what the sync service needs of a provider of messages. Each provider's client implements it, and all
// pass one conformance suite (package conformance). GHL sends texts and emails; the others answer emails in their threads.
package provider

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/sending"
)

// Kind names a provider, as stored and as in resource names.
type Kind string

// Providers. EmailBison, Smartlead and Instantly are senders of email campaigns.
const (
	GHL        Kind = "ghl"
	EmailBison Kind = "emailbison"
	Smartlead  Kind = "smartlead"
	Instantly  Kind = "instantly"
	// Calendly is a provider of appointments only.
	Calendly Kind = "calendly"
)

// Known reports whether it is one of them.
func (k Kind) Known() bool { return k == GHL || k == Calendly || k.Mail() }

// Mail reports whether it is a sender of email campaigns, which only answers emails that it brought.
func (k Kind) Mail() bool { return k == EmailBison || k == Smartlead || k == Instantly }

// Account is whose credentials a call uses.
type Account struct {
	// Workspace is whose connection it is; zero outside of one.
	Workspace uuid.UUID
	// Kind is the provider; empty means GHL.
	Kind Kind
	// Location is the account at the provider: GHL's location id, EmailBison's host, a fingerprint of the key elsewhere.
	Location string
	// BaseURL is the host of a provider that has many (EmailBison); empty for the provider's own.
	BaseURL string
	// App is whose limit the calls count against: the OAuth client id; empty for tokens made by hand.
	App string
	// Token opens the account; Version rises with each change of it.
	Token   redact.Secret
	Version int64
	// Renew gets a fresh token after the provider called this one expired; nil when there is none to be had.
	Renew func(context.Context) (Account, error)
}

// Budget names the budget that the account's calls count against.
func (a Account) Budget() budget.Key {
	key := budget.Key{Provider: string(a.Kind), App: a.App, Account: a.Location}
	if key.Provider == "" {
		key.Provider = string(GHL)
	}
	if key.App == "" && key.Provider == string(GHL) {
		key.App = "pit"
	}
	return key
}

// Budget is what a client asks before each call, and tells after it.
type Budget interface {
	// Take gives a permit for one call, or budget.ExceededError.
	Take(ctx context.Context, key budget.Key, class budget.Class) (*budget.Permit, error)
	// Observe takes in what an answer said about the limit.
	Observe(ctx context.Context, key budget.Key, learn budget.Learn) error
}

// observeTimeout bounds how long an answer waits for what it says of the limit to be stored.
const observeTimeout = 2 * time.Second

// Observe tells a budget what an answer said. The caller's end does not end it, and it waits no longer than two seconds: what a send
// led to must be stored while its lease lasts. A hold that cannot be stored still holds in this process; the other replicas meet
// their own.
func Observe(ctx context.Context, b Budget, key budget.Key, learn budget.Learn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), observeTimeout)
	defer cancel()
	_ = b.Observe(ctx, key, learn)
}

// Guard keeps reads away from a provider that does not answer. Clients ask it before each read.
type Guard interface {
	// Enter lets a read pass, or answers with an error of Held. The function it gives is called once, with what came of the read.
	Enter(ctx context.Context, who Account) (leave func(context.Context, Outcome), err error)
}

// Outcome is what came of a read that had passed a Guard.
type Outcome int

// Outcomes of reads.
const (
	// NotMade: no call was made, or its caller gave it up.
	NotMade Outcome = iota
	// Answered: the provider answered, whatever it said.
	Answered
	// Failed: no answer, or one that says that the provider is in trouble.
	Failed
)

// OutcomeOf judges a read. One that its caller gave up says nothing about the provider.
func OutcomeOf(ctx context.Context, e classify.Evidence) Outcome {
	switch {
	case e.Status > 0 && e.Status < 500 && e.Status != http.StatusRequestTimeout && !e.Failed:
		return Answered
	case ctx.Err() != nil:
		return NotMade
	default:
		return Failed
	}
}

// Enter asks a guard; without one every read passes.
func Enter(ctx context.Context, g Guard, who Account) (func(context.Context, Outcome), error) {
	if g == nil || who.Workspace == uuid.Nil {
		return func(context.Context, Outcome) {}, nil
	}
	return g.Enter(ctx, who)
}

// Sender is a provider's way to send. Every implementation passes the suite in package conformance.
type Sender interface {
	// Send posts one message once. It never fails: whatever happens is evidence. The caller's cancellation does not cut it off.
	Send(ctx context.Context, who Account, m Message) Result
}

// Message is what is sent.
type Message struct {
	Channel sending.Channel
	// ContactID is the provider's id of the person.
	ContactID string
	Content   sending.Content
	// Target is the email that is answered, for providers that only answer.
	Target sending.Target
}

// Result is what is known after a send.
type Result struct {
	// Evidence is what the classifier judges.
	Evidence classify.Evidence
	// Wrote is true when the request's headers were written.
	Wrote bool
	// Latency is how long the exchange took.
	Latency time.Duration
}
