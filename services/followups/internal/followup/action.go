package followup

import (
	"cmp"
	"time"
)

// Refusal is what sync answered instead of a message, or availability instead of times.
type Refusal struct {
	// Reason of sync.relance.dev or availability.relance.dev.
	Reason string
	// Metadata of the error.
	Metadata map[string]string
	// RetryAfter as asked for, or zero.
	RetryAfter time.Duration
	// Channel it was refused on.
	Channel Channel
}

// untried tells that sync did not even try, and says for what cause it held the message back.
func (r Refusal) untried() bool { return r.Metadata["cause"] != "" }

// NeedsEyes reports whether a refusal is a fault of ours, or one that nobody has classified.
func NeedsEyes(reason string) bool {
	row, known := refusals()[reason]
	return !known || row.alert
}

const (
	// reasonExpired is sync's reason of a message whose time to leave has passed. Only texts that offer times have one.
	reasonExpired = "MESSAGE_EXPIRED"
	// maxRenewals bounds how often a text is written anew because its times have passed.
	maxRenewals = 3
)

// Refused is the effect of a refusal under the policy of try. A text that waited longer than the times that it offers is
// written anew, with fresh times and a new id, a bounded number of times, unless a policy says otherwise. A reason without a rule is treated as a bug: bounded tries,
// then parked.
func Refused(r Refusal, e Enrollment, try Try) Effect {
	resolved, ok := try.Policy.Resolve(r.Reason)
	if !ok {
		return Broken(e, try)
	}
	if r.Reason == reasonExpired && resolved.Origin == OriginDefault && e.Part < maxRenewals {
		effect := stay(r.Reason, try.Now, try.Now).Keep(e.Attempts)
		effect.NewPart, effect.Renew, effect.Message = true, true, r.Metadata["message"]
		return effect
	}
	effect := refused(r, resolved.Rule, e, try)
	effect.Action, effect.Origin = resolved.Rule.Action, resolved.Origin
	return effect
}

// refused is the effect of a refusal that the rule is for.
func refused(r Refusal, rule Rule, e Enrollment, try Try) Effect {
	row := refusals()[r.Reason]
	effect := Effect{Result: Skipped, Reason: r.Reason, Message: r.Metadata["message"]}
	if !row.silent {
		effect.Task = TaskSkipped
	}
	switch rule.Action {
	case ActSkip:
		effect.Move = Advance
	case ActStop:
		effect.Move = End
	case ActStopLead:
		effect.Move = EndLead
	case ActPause:
		// The refused plan is over; saying it after a resumption is a new message with a new id.
		effect.Move, effect.Task, effect.NewPart = Hold, "", true
		effect.Reason = cmp.Or(row.pause, r.Reason)
	case ActHold:
		return holdFor(r, rule, e, try)
	case ActDefer:
		return deferral(r, rule, e, try)
	case ActRetry:
		try.AtLeast = r.RetryAfter
		if r.untried() {
			return HeldBack(r.Reason, e, try)
		}
		return Retry(r.Reason, e, try)
	}
	effect.Result = cmp.Or(row.result, Skipped)
	return effect
}

// holdFor waits for the event that ends the hold, at most until the deadline that the step's first hold set.
func holdFor(r Refusal, rule Rule, e Enrollment, try Try) Effect {
	until := e.HoldUntil
	if until.IsZero() {
		until = try.Now.Add(rule.Max)
	}
	if !until.After(try.Now) {
		return Effect{Result: Skipped, Reason: r.Reason, Move: Advance, Task: TaskSkipped, Message: r.Metadata["message"]}
	}
	effect := stay(r.Reason, try.Now, until)
	effect.WakeOn = WakeOf(r.Reason).On(r.Channel)
	if r.Reason == addressMissing(r.Channel) {
		effect = awaitAddress(r.Channel, until)
	}
	effect.HoldUntil, effect.NewPart = until, true
	effect.Message, effect.Attempts = r.Metadata["message"], e.Attempts
	return effect
}

func deferral(r Refusal, rule Rule, e Enrollment, try Try) Effect {
	row := refusals()[r.Reason]
	delay := max(rule.Delay, r.RetryAfter)
	if row.retryInfo && r.RetryAfter > 0 {
		delay = r.RetryAfter
	}
	effect := stay(r.Reason, try.Now, try.Now.Add(delay))
	if at, err := time.Parse(time.RFC3339, r.Metadata[row.until]); err == nil {
		effect = stay(r.Reason, try.Now, at)
	}
	effect.Attempts, effect.Message = e.Attempts, r.Metadata["message"]
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
		effect = Refused(Refusal{Reason: answer.Reason, Channel: try.Channel}, e, try)
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
	if resolved, ok := try.Policy.Resolve(outcome); ok && resolved.Rule.Action != ActDefer && resolved.Rule.Action != ActRetry {
		return Refused(Refusal{Reason: outcome, Channel: try.Channel}, e, try)
	}
	// Parked, or refused for a reason that asking again cannot change: the step is over, without a message.
	return Effect{Result: Failed, Reason: outcome, Move: Advance, Task: TaskSkipped}
}
