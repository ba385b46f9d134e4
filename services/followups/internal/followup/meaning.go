package followup

import (
	"strings"
	"time"
)

// Meaning is a reason in words for people, and the way out of it.
type Meaning struct {
	// Says what is the case, as in "step 2: <says>".
	Says string
	// WayOut says what changes it; empty for what needs no change.
	WayOut string
	// Person tells that only a person ends it.
	Person bool
	// Recheck is after how long a paused enrollment is looked at again; 0 means never by the clock.
	Recheck time.Duration
}

// Rechecks of paused enrollments.
const (
	// DefaultGhostDays is how many days a lead that was answered may stay silent before the sequence goes on, and GhostAfter
	// the same as a duration.
	DefaultGhostDays = 7
	GhostAfter       = DefaultGhostDays * 24 * time.Hour
	// recheckReply is when a pause for a reply is looked at first; that look knows the workspace's settings.
	recheckReply = 24 * time.Hour
	// recheckSetup is how often it is looked whether what was missing is there now.
	recheckSetup = 24 * time.Hour
	// recheckOutcome is how often sync is asked for the outcome of a message, beside its own events.
	recheckOutcome = 6 * time.Hour
)

// MeaningOf finds the words for a reason. Details after a colon, as in "missing_value: {firstName}", are kept in the text.
// A reason without a row has the words of an unknown one, and reports false.
func MeaningOf(reason string) (Meaning, bool) {
	code, detail, _ := strings.Cut(reason, ": ")
	meaning, ok := meanings()[code]
	if !ok {
		return Meaning{Says: "refused: " + reason, WayOut: "look up the reason in docs/errors.md, then resume it by hand", Person: true}, false
	}
	if detail != "" {
		meaning.Says += " (" + detail + ")"
	}
	return meaning, true
}

// meanings has a row for every reason that an enrollment, a decision or a task can carry; a test holds it to that.
func meanings() map[string]Meaning {
	all := map[string]Meaning{}
	for _, part := range []map[string]Meaning{pauseMeanings(), waitMeanings(), refusalMeanings(), endMeanings()} {
		for reason, meaning := range part {
			all[reason] = meaning
		}
	}
	return all
}

func pauseMeanings() map[string]Meaning {
	const resume = ", then resume the enrollment"
	return map[string]Meaning{
		ReasonLeadReplied: {
			Says: "paused because the lead replied", Recheck: recheckReply,
			WayOut: "answer the lead: it goes on after the days of silence that the settings name (7), or when a person resumes it",
		},
		ReasonAwaitingApproval: {
			Says: "paused until a person has approved or done its task", WayOut: "complete or skip the task", Person: true,
		},
		ReasonSnoozed: {
			Says: "paused until a date that the lead or a person named", Recheck: GhostAfter,
			WayOut: "it goes on by itself then, or when a person resumes it",
		},
		ReasonConditionError:    {Says: "paused because its condition cannot be evaluated", WayOut: "mend the step's expression" + resume, Person: true},
		"spintax_error":         {Says: "paused because its text has a broken [[a|b]]", WayOut: "mend the step" + resume, Person: true},
		ReasonManual:            {Says: "paused by a person", WayOut: "resume it", Person: true},
		ReasonSequenceInactive:  {Says: "paused because its sequence is inactive", WayOut: "activate the sequence; it then goes on by itself", Person: true},
		ReasonNoBusinessHours:   {Says: "paused because no business hours are set", WayOut: "set working days; it then goes on by itself", Recheck: recheckSetup},
		ReasonAttemptsExhausted: {Says: "paused after too many failed tries", WayOut: "mend the cause" + resume, Person: true},
		ReasonProviderAway: {
			Says: "paused because the provider has not been reached for a day", Recheck: recheckSetup,
			WayOut: "see the workspace's connection in sync; it is tried daily, or when a person resumes it",
		},
		ReasonAwaitingEnrichment: {
			Says:    "paused until the lead has the phone number or email address that the step needs",
			Recheck: defaultHold,
			WayOut:  "add it to the lead: it then goes on by itself, or without the step when the hold of its refusal policy has lasted its maximum",
		},
		ReasonContentTooLarge: {Says: "paused because the rendered message is too large", WayOut: "shorten the step" + resume, Person: true},
		ReasonMissingContent:  {Says: "paused because nothing is left to say after rendering", WayOut: "write the step's text" + resume, Person: true},
		ReasonMissingAvailability: {
			Says: "paused because the step offers times and none are known", Recheck: recheckSetup,
			WayOut: "set a default calendar or open times; it is looked at daily",
		},
		"missing_value": {
			Says: "paused because the text uses a value that is missing", Recheck: recheckSetup,
			WayOut: "fill the value at the lead or in the settings; it is looked at daily and when either changes",
		},
		"unknown_token":          {Says: "paused because the text uses an unknown token", WayOut: "mend the step" + resume, Person: true},
		"provider_not_connected": {Says: "paused because no provider is connected for the channel", WayOut: "connect the provider; it is tried daily", Recheck: recheckSetup},
		"REQUEST_ID_REUSED":      {Says: "paused because a message with this id and another text exists", WayOut: "report this as a bug; resume sends it as a new message", Person: true},
	}
}

func waitMeanings() map[string]Meaning {
	return map[string]Meaning{
		ReasonDailyCap:             {Says: "waits because the sequences wrote to the lead on this channel as often as a day allows"},
		ReasonSpaced:               {Says: "waits because it and the step before it were late together"},
		ReasonWaited:               {Says: "is over: it was a wait"},
		ReasonTaskCreated:          {Says: "is a task for a person now"},
		ReasonScheduled:            {Says: "not due yet"},
		ReasonBusinessHours:        {Says: "waits for business hours"},
		ReasonWorkspacePaused:      {Says: "waits because the workspace is paused", WayOut: "clear paused_until_time in the settings"},
		ReasonChannelPaused:        {Says: "waits because its channel is switched off for the workspace", WayOut: "take the channel out of paused_channels in the settings"},
		ReasonSendingDisabled:      {Says: "waits because sending is switched off for the workspace", WayOut: "switch sending on in the workspace"},
		ReasonUnknownZone:          {Says: "waits because the time zone is unknown", WayOut: "set the workspace's time zone"},
		CalendarUnreachable:        {Says: "waits because the calendar cannot be reached", WayOut: "relance doctor shows the calendar's state"},
		ReasonSyncUnavailable:      {Says: "waits because the sync service did not answer", WayOut: "look at the sync service"},
		"availability_unavailable": {Says: "waits because the availability service did not answer", WayOut: "look at the availability service"},
		ReasonInternalError:        {Says: "failed because of a fault of ours", WayOut: "the log has the cause; it is tried again and then parked"},
		ReasonSendInProgress:       {Says: "its message is being sent"},
		ReasonAwaitingOutcome:      {Says: "its message left, but whether it arrived is not known yet", Recheck: recheckOutcome, WayOut: "sync settles it by reading the provider back"},
		ReasonMessageParked:        {Says: "its message waits for a person in sync", Recheck: recheckOutcome, WayOut: "resolve the message; it then goes on by itself"},
		"PREVIOUS_SEND_UNRESOLVED": {Says: "waits because another message to the lead is still open"},
		"QUIET_HOURS":              {Says: "waits because the law forbids it at this hour where the lead lives"},
		"FREQUENCY_CAP":            {Says: "waits because the lead got as many messages as allowed"},
		"PROVIDER_AUTH_REVOKED":    {Says: "waits because the provider refuses our token", WayOut: "connect the provider anew"},
		"LOCATION_INACTIVE":        {Says: "waits because the location is paused at the provider", WayOut: "activate the location"},
		"PROVIDER_RATE_LIMITED":    {Says: "waits because the provider's rate limit is used up"},
		"PROVIDER_UNAVAILABLE":     {Says: "waits because the provider cannot be reached"},
	}
}

func refusalMeanings() map[string]Meaning {
	return map[string]Meaning{
		ReasonConditionUnmet:    {Says: "not sent: its condition does not hold"},
		ReasonTooLate:           {Says: "not sent: it was too late for it"},
		"DND_ACTIVE":            {Says: "not sent: do-not-disturb is on for the channel", WayOut: "the lead or a person clears it at the provider; later steps of the channel are then sent"},
		"NO_PHONE":              {Says: "not sent: the lead has no phone number", WayOut: "add one for the later steps"},
		"NO_EMAIL":              {Says: "not sent: the lead has no email address", WayOut: "add one for the later steps"},
		"NO_REPLY_TARGET":       {Says: "not sent: there is no email of the lead to answer", WayOut: "the lead writes through the sender, or GHL is connected; later steps are then sent"},
		"INVALID_PHONE":         {Says: "not sent: the phone number is not valid", WayOut: "mend it for the later steps"},
		"INVALID_EMAIL":         {Says: "not sent: the email address is not valid", WayOut: "mend it for the later steps"},
		"CONTACT_NOT_FOUND":     {Says: "not sent: the lead has no contact at the provider, or it is gone", WayOut: "EnsureContact finds or makes it; create_contacts of the workspace does so for every lead"},
		"CONTACT_PENDING":       {Says: "not sent yet: the lead's contact at the provider is being found or made", WayOut: "it goes on by itself; ListContactLinks shows what waits for a person"},
		"CHANNEL_WINDOW_CLOSED": {Says: "not sent: the channel allows answers within 24 hours only"},
		"MESSAGE_EXPIRED":       {Says: "not sent: the times that it offers have passed"},
		"SEND_EXHAUSTED":        {Says: "not sent: too many failed tries"},
		"REFUSED_UNCLASSIFIED":  {Says: "not sent: the provider said no in words that are not known", WayOut: "read the provider's status and report it"},
		"NO_DEFAULT_CALENDAR":   {Says: "not sent: the workspace has no default calendar", WayOut: "set one for the later steps"},
		"UNSUPPORTED_CALENDAR":  {Says: "not sent: the default calendar is of no kind that can be read", WayOut: "set another one for the later steps"},
		"UNSUPPORTED_DURATION":  {Says: "not sent: the calendar has no meetings of the workspace's length", WayOut: "set a length that it serves"},
		"CALENDAR_INACTIVE":     {Says: "not sent: the calendar is off or gone at the provider", WayOut: "turn it on there, or set another one"},
		NoSlots:                 {Says: "not sent: the calendar has no time left to offer the lead", WayOut: "open times for the later steps"},
		"EMPTY_CONTENT":         {Says: "paused because nothing is left to say after rendering", WayOut: "write the step's text, then resume the enrollment", Person: true},
		"PROVIDER_NOT_CONNECTED": {
			Says: "not sent: no provider is connected for the channel", WayOut: "connect the provider", Recheck: recheckSetup,
		},
	}
}

func endMeanings() map[string]Meaning {
	return map[string]Meaning{
		ReasonSkippedByHand: {Says: "was skipped by a person"},
		ReasonBooked:        {Says: "completed because a meeting is booked"},
		ReasonUnbooked:      {Says: "cancelled because the meeting that it began with was cancelled"},
		ReasonMigrated:      {Says: "completed: its steps are not in the new version"},
		ReasonCancelled:     {Says: "cancelled by a person"},
		ReasonNoStepLeft:    {Says: "completed: no step is left"},
		ReasonLeadGone:      {Says: "cancelled because the lead is gone"},
		"OPTED_OUT":         {Says: "cancelled because the lead opted out"},
		"LEAD_BLOCKED":      {Says: "cancelled because the lead must not be contacted"},
		"LEAD_REPLIED":      {Says: "not sent because the lead replied"},
	}
}
