package followup

import (
	"strings"
	"time"
)

// TriggerKind says what enrolls leads into a sequence by itself.
type TriggerKind string

// Triggers.
const (
	// TriggerManual is EnrollLead only, by a person or by the API.
	TriggerManual          TriggerKind = "manual"
	TriggerLeadCreated     TriggerKind = "lead_created"
	TriggerNoResponse      TriggerKind = "no_response"
	TriggerSetterReply     TriggerKind = "setter_reply"
	TriggerMeetingSelected TriggerKind = "meeting_selected"
	TriggerReactivation    TriggerKind = "reactivation"
	TriggerTagAdded        TriggerKind = "tag_added"
	TriggerDNDSet          TriggerKind = "dnd_set"
	TriggerDNDCleared      TriggerKind = "dnd_cleared"
)

// TriggerKinds lists all of them.
func TriggerKinds() []TriggerKind {
	return []TriggerKind{
		TriggerManual, TriggerLeadCreated, TriggerNoResponse, TriggerSetterReply, TriggerMeetingSelected,
		TriggerReactivation, TriggerTagAdded, TriggerDNDSet, TriggerDNDCleared,
	}
}

// HasChannel reports whether the trigger can be narrowed to a channel.
func (k TriggerKind) HasChannel() bool {
	return k == TriggerNoResponse || k == TriggerDNDSet || k == TriggerDNDCleared
}

// WaitsForSilence reports whether the trigger is pulled by time: nobody wrote for Trigger.After.
func (k TriggerKind) WaitsForSilence() bool {
	return k == TriggerNoResponse || k == TriggerReactivation
}

// ReEnroll says whether a trigger enrolls a lead whose earlier enrollment has ended.
type ReEnroll string

// Rules of re-enrollment.
const (
	ReEnrollNever  ReEnroll = "never"
	ReEnrollAlways ReEnroll = "always"
	ReEnrollAfter  ReEnroll = "after"
)

// Trigger is what enrolls leads into a sequence, and how often.
type Trigger struct {
	// Kind of the trigger; empty means TriggerManual.
	Kind TriggerKind
	// After is the silence that pulls TriggerNoResponse, since a person's message, and TriggerReactivation, since either
	// side's.
	After time.Duration
	// Tag is for TriggerTagAdded.
	Tag string
	// Channel narrows triggers that have one; empty means any.
	Channel Channel
	// ReEnroll is the rule for leads that have been enrolled before; empty means ReEnrollNever.
	ReEnroll ReEnroll
	// ReEnrollAfterDays is for ReEnrollAfter.
	ReEnrollAfterDays int
}

// WithDefaults fills what may be left out.
func (t Trigger) WithDefaults() Trigger {
	if t.Kind == "" {
		t.Kind = TriggerManual
	}
	if t.ReEnroll == "" {
		t.ReEnroll = ReEnrollNever
	}
	return t
}

// Signal is something that happened to a lead and may start sequences.
type Signal struct {
	// Kind is the trigger it pulls.
	Kind TriggerKind
	// Channel it happened on, if any.
	Channel Channel
	// Tag that was added, for TriggerTagAdded.
	Tag string
}

// Pulls reports whether the signal starts a sequence with this trigger. No signal pulls TriggerManual.
func (t Trigger) Pulls(signal Signal) bool {
	if t.Kind != signal.Kind || t.Kind == TriggerManual {
		return false
	}
	// A signal without a channel is one of every channel.
	if t.Channel != "" && t.Kind.HasChannel() && signal.Channel != "" && t.Channel != signal.Channel {
		return false
	}
	return t.Kind != TriggerTagAdded || strings.EqualFold(strings.TrimSpace(t.Tag), strings.TrimSpace(signal.Tag))
}

// Past is what is known of a lead's earlier enrollments in a sequence.
type Past struct {
	// Running tells that one has not ended.
	Running bool
	// Count is how many there were, LastEnd when the last one ended.
	Count   int
	LastEnd time.Time
}

// Allows reports whether the trigger may enroll a lead with this past at now.
func (t Trigger) Allows(past Past, now time.Time) bool {
	switch {
	case past.Running:
		return false
	case past.Count == 0:
		return true
	case t.ReEnroll == ReEnrollAlways:
		return true
	case t.ReEnroll == ReEnrollAfter:
		return !now.Before(past.LastEnd.AddDate(0, 0, t.ReEnrollAfterDays))
	}
	return false
}
