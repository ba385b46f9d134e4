package followup

import (
	"slices"
	"time"
)

// Action says what a refusal of sync means for the step; it is data, so that the table of docs/errors.md can be compared.
type Action struct {
	// Move is what becomes of the enrollment.
	Move Move
	// Result is the count.
	Result Result
	// Pause is the reason of a Hold; empty keeps the refusal's.
	Pause string
	// Delay is how long a Stay waits when the refusal names no time.
	Delay time.Duration
	// Metadata is the key under which the refusal names the time of a Stay (RFC 3339).
	Metadata string
	// RetryInfo lets the provider's own delay replace Delay; otherwise the longer one counts.
	RetryInfo bool
	// Task records a skipped task.
	Task bool
	// Counted uses up one of the bounded tries.
	Counted bool
	// Alert asks for an error log: this is a fault of ours or needs a person.
	Alert bool
}

func skip() Action  { return Action{Move: Advance, Result: Skipped, Task: true} }
func alert() Action { a := skip(); a.Alert = true; return a }

func deferFor(delay time.Duration) Action {
	return Action{Move: Stay, Result: Deferred, Delay: delay}
}

func actions() map[string]Action {
	return map[string]Action{
		"DND_ACTIVE":               skip(),
		"OPTED_OUT":                {Move: EndLead, Result: Skipped, Task: true},
		"NO_PHONE":                 skip(),
		"NO_EMAIL":                 skip(),
		"INVALID_PHONE":            skip(),
		"INVALID_EMAIL":            skip(),
		"CONTACT_NOT_FOUND":        skip(),
		"CHANNEL_WINDOW_CLOSED":    skip(),
		"MESSAGE_EXPIRED":          skip(),
		"SEND_EXHAUSTED":           {Move: Advance, Result: Failed, Task: true},
		"REFUSED_UNCLASSIFIED":     alert(),
		"QUIET_HOURS":              {Move: Stay, Result: Deferred, Delay: time.Hour, Metadata: "next_allowed_time"},
		"FREQUENCY_CAP":            {Move: Stay, Result: Deferred, Delay: time.Hour, Metadata: "resets_at"},
		"LEAD_REPLIED":             {Move: Hold, Result: Skipped, Pause: ReasonLeadReplied},
		"LEAD_BLOCKED":             {Move: End, Result: Skipped},
		"PREVIOUS_SEND_UNRESOLVED": deferFor(5 * time.Minute),
		"EMPTY_CONTENT":            {Move: Hold, Result: Skipped, Pause: ReasonMissingContent},
		"REQUEST_ID_REUSED":        {Move: Hold, Result: Failed, Alert: true},
		"PROVIDER_NOT_CONNECTED":   {Move: Hold, Result: Skipped, Pause: "provider_not_connected"},
		"PROVIDER_AUTH_REVOKED":    deferFor(time.Hour),
		"LOCATION_INACTIVE":        deferFor(time.Hour),
		"PROVIDER_RATE_LIMITED":    {Move: Stay, Result: Deferred, Delay: time.Minute, RetryInfo: true},
		"PROVIDER_UNAVAILABLE":     {Move: Stay, Result: Deferred, Counted: true},
	}
}

// ActionFor is the action for a reason of sync.relance.dev. It reports false for a reason that is not in the table.
func ActionFor(reason string) (Action, bool) {
	action, ok := actions()[reason]
	return action, ok
}

// RefusalReasons lists the reasons that have an action, sorted.
func RefusalReasons() []string {
	var reasons []string
	for reason := range actions() {
		reasons = append(reasons, reason)
	}
	slices.Sort(reasons)
	return reasons
}

// Refusal is what sync answered instead of a message.
type Refusal struct {
	// Reason of sync.relance.dev.
	Reason string
	// Metadata of the error.
	Metadata map[string]string
	// RetryAfter as asked for, or zero.
	RetryAfter time.Duration
}

// Refused is the effect of a refusal. A reason without an action is treated as a bug: bounded tries, then parked.
func Refused(refusal Refusal, e Enrollment, try Try) Effect {
	action, ok := ActionFor(refusal.Reason)
	if !ok {
		return Broken(e, try)
	}
	if action.Counted {
		try.AtLeast = refusal.RetryAfter
		return Retry(refusal.Reason, e, try)
	}
	effect := Effect{Result: action.Result, Reason: refusal.Reason, Move: action.Move, Message: refusal.Metadata["message"]}
	if action.Task {
		effect.Task = TaskSkipped
	}
	switch action.Move {
	case Stay:
		delay := max(action.Delay, refusal.RetryAfter)
		if action.RetryInfo && refusal.RetryAfter > 0 {
			delay = refusal.RetryAfter
		}
		effect = stay(refusal.Reason, try.Now, try.Now.Add(delay))
		if at, err := time.Parse(time.RFC3339, refusal.Metadata[action.Metadata]); err == nil {
			effect = stay(refusal.Reason, try.Now, at)
		}
		effect.Attempts = e.Attempts
	case Hold:
		// The refused plan is over; saying it after a resumption is a new message with a new id.
		effect.NewPart = true
		if action.Pause != "" {
			effect.Reason = action.Pause
		}
	}
	return effect
}

// Answer is the state of a message that sync took.
type Answer struct {
	// State is the message's state in the send protocol, lower case, such as "accepted".
	State string
	// Reason of a refused or parked message.
	Reason string
	// Message is its resource name.
	Message string
	// RetryAt is when sync tries a retryable message again.
	RetryAt time.Time
}

// Answered is the effect of a message's state.
func Answered(answer Answer, e Enrollment, try Try) Effect {
	var effect Effect
	switch answer.State {
	case "accepted", "delivered", "failed_after_accept":
		effect = Effect{Result: Succeeded, Move: Advance, Task: TaskCompleted}
	case "unknown":
		effect = Effect{Result: Unknown, Reason: ReasonAwaitingOutcome, Move: Await}
	case "parked":
		// A person settles it; whether it left may be open, so the sequence waits.
		effect = Effect{Result: Failed, Reason: ReasonMessageParked, Move: Await}
	case "planned", "sending":
		effect = stay(ReasonSendInProgress, try.Now, try.Now.Add(waitInFlight)).Keep(e.Attempts)
	case "retryable":
		effect = stay(ReasonSendInProgress, try.Now, answer.RetryAt).Keep(e.Attempts)
	case "refused", "skipped", "expired":
		effect = Refused(Refusal{Reason: answer.Reason}, e, try)
	default:
		effect = Broken(e, try)
	}
	effect.Message = answer.Message
	return effect
}

// OutcomeAccepted is the outcome of a message that left; every other outcome is a reason.
const OutcomeAccepted = "ACCEPTED"

// Settle is the effect of an outcome that came by event: "ACCEPTED", or the reason for which the message was refused or
// parked.
func Settle(outcome string, e Enrollment, try Try) Effect {
	if outcome == OutcomeAccepted {
		return Effect{Result: Succeeded, Move: Advance, Task: TaskCompleted}
	}
	if action, ok := ActionFor(outcome); ok && action.Move != Stay {
		return Refused(Refusal{Reason: outcome}, e, try)
	}
	// Parked, or refused for a reason that asking again cannot change: the step is over, without a message.
	return Effect{Result: Failed, Reason: outcome, Move: Advance, Task: TaskSkipped}
}
