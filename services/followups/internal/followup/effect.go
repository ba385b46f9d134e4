package followup

import "time"

// Result is how a step taken up by a run is counted.
type Result string

// Results; every step taken up has exactly one.
const (
	Succeeded Result = "succeeded"
	Failed    Result = "failed"
	Skipped   Result = "skipped"
	Deferred  Result = "deferred"
	Unknown   Result = "unknown"
	// Resumed and Waiting are of pauses that were looked at: over, or not yet. They are counted apart.
	Resumed Result = "resumed"
	Waiting Result = "waiting"
)

// Move is what becomes of the enrollment.
type Move string

// Moves.
const (
	// Advance goes on to the next step, or completes.
	Advance Move = "advance"
	// Stay looks again at Until.
	Stay Move = "stay"
	// Hold pauses.
	Hold Move = "hold"
	// Await waits for the outcome of a message.
	Await Move = "await"
	// End cancels this enrollment.
	End Move = "end"
	// EndLead cancels every enrollment of the lead.
	EndLead Move = "end_lead"
	// Finish completes: no step is left.
	Finish Move = "finish"
	// Resume ends a pause; its step is then taken up anew.
	Resume Move = "resume"
)

// TaskState is the state of a step's task.
type TaskState string

// States of tasks.
const (
	TaskPending   TaskState = "pending"
	TaskCompleted TaskState = "completed"
	TaskSkipped   TaskState = "skipped"
	TaskCancelled TaskState = "cancelled"
)

// Effect is what one look at a due step amounts to: how it is counted and what changes.
type Effect struct {
	// Result is the count.
	Result Result
	// Reason is short and stable, such as DND_ACTIVE or outside_business_hours.
	Reason string
	// Move is what becomes of the enrollment.
	Move Move
	// Until is when a Stay is looked at again, always later than now; of a Hold, when that is known better than by its reason.
	Until time.Time
	// Due, if set, is the schedule's time that could be counted only now.
	Due time.Time
	// Task is the state of the task to record, or empty for none.
	Task TaskState
	// Attempts is the new count of failed tries.
	Attempts int
	// HeldBack says that sync held the message back without trying it.
	HeldBack bool
	// NewPart says that the planned message was definitely refused, so that a later try is a new one.
	NewPart bool
	// Renew says that the step is written anew at once; an approval of the old text is void.
	Renew bool
	// Message is the message's resource name, if one exists.
	Message string
	// Suggested is what a person is to say, for a pending task.
	Suggested *Content
	// WakeOn is the event that ends a Stay before Until, as WakeEvent.On names it; empty for none.
	WakeOn string
	// HoldUntil is the end of a hold; the next hold of the step keeps it.
	HoldUntil time.Time
	// Heard, of a Resume, is the newest message of the lead that it takes into account; what the lead wrote later pauses
	// again, however late it is told. Zero keeps what was taken into account before.
	Heard time.Time
	// Action is what the refusal policy says and Origin the layer that says it; empty when none was asked.
	Action PolicyAction
	Origin Origin
}

// policyFacts tell which rule of the refusal policy an effect follows.
func (f Effect) policyFacts() []Fact {
	if f.Origin == "" {
		return nil
	}
	return []Fact{{"policy_action", string(f.Action)}, {"policy_origin", string(f.Origin)}}
}

// Reasons that followups itself gives. Refusals keep the reasons of sync and availability.
const (
	ReasonLeadReplied         = "lead_replied"
	ReasonLeadGone            = "lead_gone"
	ReasonSequenceInactive    = "sequence_inactive"
	ReasonWorkspacePaused     = "workspace_paused"
	ReasonSendingDisabled     = "sending_disabled"
	ReasonChannelPaused       = "channel_paused"
	ReasonUnknownZone         = "unknown_zone"
	ReasonScheduled           = "scheduled"
	ReasonBusinessHours       = "outside_business_hours"
	ReasonNoBusinessHours     = "no_business_hours"
	ReasonMissingAvailability = "missing_availability"
	// ReasonAwaitingEnrichment is of a pause until the lead has the phone number or the address that its step needs.
	ReasonAwaitingEnrichment = "awaiting_enrichment"
	ReasonMissingContent     = "missing_content"
	ReasonContentTooLarge    = "content_too_large"
	ReasonAttemptsExhausted  = "attempts_exhausted"
	ReasonProviderAway       = "provider_away"
	ReasonInternalError      = "internal_error"
	ReasonSyncUnavailable    = "sync_unavailable"
	ReasonSendInProgress     = "send_in_progress"
	ReasonAwaitingOutcome    = "awaiting_outcome"
	ReasonMessageParked      = "message_parked"
	ReasonNoStepLeft         = "no_step_left"
	ReasonManual             = "paused_by_hand"
	ReasonCancelled          = "cancelled_by_hand"
	ReasonConditionUnmet     = "condition_unmet"
	ReasonConditionError     = "condition_error"
	ReasonTooLate            = "send_within_passed"
	ReasonAwaitingApproval   = "awaiting_approval"
	ReasonTaskCreated        = "task_created"
	ReasonWaited             = "waited"
	ReasonDailyCap           = "daily_cap"
	ReasonSpaced             = "spaced_after_delay"
	ReasonMigrated           = "migrated_to_the_end"
)

// Waits of deferrals that have no better time of their own.
const (
	waitUnknownZone = time.Hour
	waitUnavailable = time.Minute
	waitLong        = 15 * time.Minute
	waitChannel     = 6 * time.Hour
	waitInFlight    = time.Minute
	waitMin         = time.Second
	backoffBase     = time.Minute
	backoffMax      = time.Hour
	// heldBackMax is the longest wait for a message that sync held back: the provider may be well again soon.
	heldBackMax = 15 * time.Minute
)

// stay defers to until, but never to a time that has come already: nothing is selected again at once.
func stay(reason string, now, until time.Time) Effect {
	if !until.After(now) {
		until = now.Add(waitMin)
	}
	return Effect{Result: Deferred, Reason: reason, Move: Stay, Until: until}
}

func hold(reason string) Effect { return Effect{Result: Skipped, Reason: reason, Move: Hold} }

// Since tells a pause or a wait that merely lasts, which is no news, from one that begins.
func (f Effect) Since(e Enrollment) Effect {
	lasts := (e.State == Paused && f.Move == Hold && f.Reason == e.Reason) || (e.State == Awaiting && f.Move == Await)
	if lasts {
		f.Result, f.NewPart = Waiting, false
	}
	return f
}

// Woken is the effect of a hold whose event came while the step was under way: it is looked at again at once.
func (f Effect) Woken(now time.Time) Effect {
	f.WakeOn, f.Until = "", now.Add(waitMin)
	return f
}

// Keep fills the counter of failed tries into effects that do not touch it.
func (f Effect) Keep(attempts int) Effect {
	if f.Attempts == 0 {
		f.Attempts = attempts
	}
	return f
}

// Try bounds the tries of a step.
type Try struct {
	// Now is the business time.
	Now time.Time
	// Max is the number of failed tries after which the enrollment is parked.
	Max int
	// AtLeast is the shortest wait, as a provider asked for.
	AtLeast time.Duration
	// Policy holds for the step; the zero value is the defaults.
	Policy Layers
	// Channel of the step.
	Channel Channel
}

// Retry counts a failed try: it waits twice as long each time and parks the enrollment when try.Max tries have failed.
func Retry(reason string, e Enrollment, try Try) Effect {
	attempts := e.Attempts + 1
	if attempts >= try.Max {
		return Effect{Result: Failed, Reason: ReasonAttemptsExhausted, Move: Hold, Attempts: attempts}
	}
	wait := min(backoffBase<<min(attempts-1, 10), backoffMax)
	effect := stay(reason, try.Now, try.Now.Add(max(wait, try.AtLeast)))
	effect.Attempts = attempts
	return effect
}

// MaxHeldBack is how often sync may hold a step's message back before the enrollment is parked: a day of it, day and night.
const MaxHeldBack = 100

// HeldBack is the effect of a message that sync did not try, such as by an open breaker: it waits, not shorter than sync
// asks for, and uses no try. What lasts for MaxHeldBack waits is parked, and looked at daily.
func HeldBack(reason string, e Enrollment, try Try) Effect {
	if e.HeldBack+1 >= MaxHeldBack {
		return hold(ReasonProviderAway).Keep(e.Attempts)
	}
	wait := max(min(backoffBase<<min(e.HeldBack, 10), heldBackMax), try.AtLeast)
	effect := stay(reason, try.Now, try.Now.Add(wait)).Keep(e.Attempts)
	effect.HeldBack = true
	return effect
}

// Broken is the effect of a step that could not be worked on at all: bad data or a bug. It is isolated, counted as
// failed, tried again later and parked after try.Max tries.
func Broken(e Enrollment, try Try) Effect {
	effect := Retry(ReasonInternalError, e, try)
	effect.Result = Failed
	return effect
}

// Away is the effect of a service of ours that did not answer: nothing is known against the step, no try is used.
func Away(reason string, e Enrollment, now time.Time) Effect {
	return stay(reason, now, now.Add(waitUnavailable)).Keep(e.Attempts)
}
