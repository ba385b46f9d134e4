package followup

import (
	"slices"
	"time"
)

// PolicyAction says what a refusal means for the step.
type PolicyAction string

// Actions.
const (
	// ActSkip goes on with the sequence.
	ActSkip PolicyAction = "skip"
	// ActHold waits for the event that can change the answer, at most Rule.Max, then skips. Nothing is asked meanwhile.
	ActHold PolicyAction = "hold"
	// ActDefer tries again at the time that the refusal names, or after Rule.Delay.
	ActDefer PolicyAction = "defer"
	// ActPause pauses the enrollment for a person.
	ActPause PolicyAction = "pause"
	// ActStop cancels this enrollment.
	ActStop PolicyAction = "stop"
	// ActStopLead cancels every enrollment of the lead.
	ActStopLead PolicyAction = "stop_lead"
	// ActRetry tries again a bounded number of times, waiting longer each time, and then pauses.
	ActRetry PolicyAction = "retry"
)

// Bounds of rules.
const (
	MinHold, MaxHold   = time.Hour, 365 * 24 * time.Hour
	MinDelay, MaxDelay = time.Minute, 30 * 24 * time.Hour
)

// Rule is what one reason means.
type Rule struct {
	// Action to take.
	Action PolicyAction `json:"action"`
	// Max is the longest hold.
	Max time.Duration `json:"max,omitempty"`
	// Delay is how long a deferral waits when the refusal names no time.
	Delay time.Duration `json:"delay,omitempty"`
}

// Policy maps reasons of sync and availability to rules. It is one layer: reasons that it leaves out are decided by the layer outside it.
type Policy map[string]Rule

// Origin is the layer that decided a rule.
type Origin string

// Origins, from the outermost layer to the innermost.
const (
	OriginDefault   Origin = "default"
	OriginWorkspace Origin = "workspace"
	OriginSequence  Origin = "sequence"
	OriginStep      Origin = "step"
)

// Layers are the overrides that hold for a step.
type Layers struct {
	// Workspace, Sequence and Step override each other in this order.
	Workspace, Sequence, Step Policy
}

// Resolved is the rule that holds for a reason, and the layer that it comes from.
type Resolved struct {
	// Reason of sync or availability.
	Reason string
	// Rule that holds.
	Rule Rule
	// Origin is the layer that decided.
	Origin Origin
}

// Resolve finds the rule for a reason. It reports false for a reason that neither service has. An override that the
// reason does not allow is passed over, so that stored data can never make a permanent refusal be asked again.
func (l Layers) Resolve(reason string) (Resolved, bool) {
	row, ok := refusals()[reason]
	if !ok {
		return Resolved{}, false
	}
	for _, layer := range []struct {
		policy Policy
		origin Origin
	}{{l.Step, OriginStep}, {l.Sequence, OriginSequence}, {l.Workspace, OriginWorkspace}} {
		if rule, set := layer.policy[reason]; set && row.allows(rule.Action) {
			return Resolved{Reason: reason, Rule: row.complete(rule), Origin: layer.origin}, true
		}
	}
	return Resolved{Reason: reason, Rule: row.rule, Origin: OriginDefault}, true
}

// All resolves every reason, in alphabetical order.
func (l Layers) All() []Resolved {
	var out []Resolved
	for _, reason := range RefusalReasons() {
		resolved, _ := l.Resolve(reason)
		out = append(out, resolved)
	}
	return out
}

// RefusalReasons lists the reasons that have a rule, sorted.
func RefusalReasons() []string {
	var reasons []string
	for reason := range refusals() {
		reasons = append(reasons, reason)
	}
	slices.Sort(reasons)
	return reasons
}

// Allowed lists the actions that an override may choose for a reason; none for a reason that cannot be overridden.
func Allowed(reason string) []PolicyAction { return refusals()[reason].allowed }

// WakeEvent is what can end a hold before its maximum.
type WakeEvent string

// Events that end holds.
const (
	// WakeDNDCleared: do-not-disturb of the step's channel was cleared.
	WakeDNDCleared WakeEvent = "dnd_cleared"
	// WakeLeadChanged: the lead's addresses or its contact changed.
	WakeLeadChanged WakeEvent = "lead_changed"
)

// On names the event for one channel, as enrollments keep it: "dnd_cleared:sms". What concerns the whole lead names none.
func (w WakeEvent) On(channel Channel) string {
	if w == WakeDNDCleared {
		return string(w) + ":" + string(channel)
	}
	return string(w)
}

// WakeOf is the event that ends a hold for a reason; empty when the reason cannot be held.
func WakeOf(reason string) WakeEvent { return refusals()[reason].wake }

// refusal is one row of the default table.
type refusal struct {
	// rule is the default.
	rule Rule
	// allowed are the actions that an override may choose.
	allowed []PolicyAction
	// wake is the event that ends a hold.
	wake WakeEvent
	// result is the count of a skip; empty means Skipped.
	result Result
	// pause is the enrollment's reason of a pause; empty keeps the refusal's.
	pause string
	// until is the metadata key under which the refusal names the time of a deferral (RFC 3339).
	until string
	// retryInfo lets the provider's own delay replace Rule.Delay; otherwise the longer one counts.
	retryInfo bool
	// silent records no task for a skip.
	silent bool
	// alert asks for an error log: a fault of ours, or one that needs a person.
	alert bool
}

func (r refusal) allows(action PolicyAction) bool { return slices.Contains(r.allowed, action) }

// complete fills the durations that an override leaves out.
func (r refusal) complete(rule Rule) Rule {
	if rule.Action == ActHold && rule.Max == 0 {
		rule.Max = defaultHold
	}
	if rule.Action == ActDefer && rule.Delay == 0 {
		if rule.Delay = r.rule.Delay; rule.Delay == 0 {
			rule.Delay = defaultDelay
		}
	}
	return rule
}

const (
	defaultHold  = 72 * time.Hour
	defaultDelay = time.Hour
)

func skip() refusal {
	return refusal{rule: Rule{Action: ActSkip}, allowed: []PolicyAction{ActSkip, ActPause, ActStop, ActStopLead}}
}

// skipOrHold is for what stays so until an event tells otherwise. It can never be deferred: a refusal that lasts is not
// asked for again by the clock.
func skipOrHold(wake WakeEvent) refusal {
	r := skip()
	r.allowed, r.wake = append(r.allowed, ActHold), wake
	return r
}

// holdFirst is for what others are already mending, and tell by an event when they have.
func holdFirst(wake WakeEvent) refusal {
	r := skipOrHold(wake)
	r.rule = Rule{Action: ActHold, Max: defaultHold}
	return r
}

func pauseAs(reason string, also ...PolicyAction) refusal {
	return refusal{rule: Rule{Action: ActPause}, pause: reason, allowed: append(also, ActPause)}
}

func deferFor(delay time.Duration) refusal {
	return refusal{rule: Rule{Action: ActDefer, Delay: delay}, allowed: []PolicyAction{ActDefer, ActSkip, ActPause}}
}

func deferUntil(key string) refusal {
	r := deferFor(time.Hour)
	r.until = key
	return r
}

// CalendarUnreachable is availability's reason for a calendar that cannot be read now.
const CalendarUnreachable = "CALENDAR_UNREACHABLE"

// refusals is the default table of docs/errors.md; a test compares it with the page and with the services' enums.
func refusals() map[string]refusal {
	exhausted, unclassified, limited := skip(), skip(), deferFor(time.Minute)
	exhausted.result, unclassified.alert, limited.retryInfo = Failed, true, true
	noCalendar := pauseAs(ReasonMissingAvailability, ActSkip, ActStop)
	reused := refusal{rule: Rule{Action: ActPause}, result: Failed, alert: true}
	return map[string]refusal{
		"DND_ACTIVE":               skipOrHold(WakeDNDCleared),
		"OPTED_OUT":                {rule: Rule{Action: ActStopLead}},
		"NO_PHONE":                 skipOrHold(WakeLeadChanged),
		"NO_EMAIL":                 skipOrHold(WakeLeadChanged),
		"NO_REPLY_TARGET":          skip(),
		"INVALID_PHONE":            skipOrHold(WakeLeadChanged),
		"INVALID_EMAIL":            skipOrHold(WakeLeadChanged),
		"CONTACT_NOT_FOUND":        skipOrHold(WakeLeadChanged),
		"CONTACT_PENDING":          holdFirst(WakeLeadChanged),
		"CHANNEL_WINDOW_CLOSED":    skip(),
		"MESSAGE_EXPIRED":          skip(),
		"SEND_EXHAUSTED":           exhausted,
		"REFUSED_UNCLASSIFIED":     unclassified,
		"QUIET_HOURS":              deferUntil("next_allowed_time"),
		"FREQUENCY_CAP":            deferUntil("resets_at"),
		"LEAD_REPLIED":             pauseAs(ReasonLeadReplied, ActStop, ActStopLead),
		"LEAD_BLOCKED":             {rule: Rule{Action: ActStop}, allowed: []PolicyAction{ActStop, ActStopLead}, silent: true},
		"PREVIOUS_SEND_UNRESOLVED": deferFor(5 * time.Minute),
		"EMPTY_CONTENT":            pauseAs(ReasonMissingContent, ActSkip),
		"REQUEST_ID_REUSED":        reused,
		"NO_DEFAULT_CALENDAR":      noCalendar,
		"UNSUPPORTED_CALENDAR":     noCalendar,
		"UNSUPPORTED_DURATION":     noCalendar,
		"CALENDAR_INACTIVE":        noCalendar,
		NoSlots:                    noCalendar,
		CalendarUnreachable:        deferFor(15 * time.Minute),
		"PROVIDER_NOT_CONNECTED":   pauseAs("provider_not_connected", ActSkip),
		"PROVIDER_AUTH_REVOKED":    deferFor(time.Hour),
		"LOCATION_INACTIVE":        deferFor(time.Hour),
		"PROVIDER_RATE_LIMITED":    limited,
		"PROVIDER_UNAVAILABLE":     {rule: Rule{Action: ActRetry}, allowed: []PolicyAction{ActRetry, ActSkip, ActPause}},
	}
}
