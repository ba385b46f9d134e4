package followup

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// rules are asked in order: what forbids the step for good, what pauses it, what only delays it. The first that settles
// the step ends the questions.
func rules() []rule {
	return slices.Concat(leadRules(), switchRules(), timeRules(), stepRules(), hoursRules(), []rule{conditionRule()})
}

// RuleNames lists every rule that a check can name, in order.
func RuleNames() []string {
	names := []string{outcomeRule().name}
	for _, rule := range append(rules(), contentRule(), personRule()) {
		names = append(names, rule.name)
	}
	return append(names, RuleSend)
}

func leadRules() []rule {
	return []rule{
		{
			name: "step_exists", version: 1,
			facts: func(in Input) []Fact {
				return []Fact{count("position", in.Enrollment.Position), count("sequence_version", in.Enrollment.Version)}
			},
			ask: func(in Input) (Effect, bool) {
				return Effect{Result: Skipped, Reason: ReasonNoStepLeft, Move: Finish}, in.Step == nil
			},
		},
		{
			name: "lead_exists", version: 1, facts: func(in Input) []Fact { return []Fact{flag("found", in.Lead != nil)} },
			ask: func(in Input) (Effect, bool) {
				return Effect{Result: Skipped, Reason: ReasonLeadGone, Move: End}, in.Lead == nil
			},
		},
		{
			name: "lead_not_blocked", version: 1, facts: func(in Input) []Fact { return []Fact{flag("blocked", in.Lead.Blocked)} },
			ask: func(in Input) (Effect, bool) {
				return Effect{Result: Skipped, Reason: "LEAD_BLOCKED", Move: End}, in.Lead.Blocked
			},
		},
		{
			name: "no_meeting_ahead", version: 1, applies: func(in Input) bool { return !in.Meeting.IsZero() },
			facts: func(in Input) []Fact { return []Fact{moment("meeting", in.Meeting), moment("now", in.Now)} },
			ask: func(in Input) (Effect, bool) {
				return Effect{Result: Skipped, Reason: ReasonBooked, Move: Finish}, in.Meeting.After(in.Now)
			},
		},
		pauseRule(),
		{
			name: "no_reply_since", version: 2, applies: func(in Input) bool { return !in.ContinueOnReply },
			facts: func(in Input) []Fact {
				return []Fact{moment("last_inbound", in.Lead.LastInbound), moment("since", in.Enrollment.RepliedSince)}
			},
			ask: func(in Input) (Effect, bool) {
				return hold(ReasonLeadReplied), in.Lead.LastInbound.After(in.Enrollment.RepliedSince)
			},
		},
	}
}

func switchRules() []rule {
	return []rule{
		{
			name: "sequence_active", version: 1, facts: func(in Input) []Fact { return []Fact{flag("active", in.SequenceActive)} },
			ask: func(in Input) (Effect, bool) { return hold(ReasonSequenceInactive), !in.SequenceActive },
		},
		{
			name: "sending_enabled", version: 1,
			facts: func(in Input) []Fact { return []Fact{flag("sending_disabled", in.SendingDisabled)} },
			ask: func(in Input) (Effect, bool) {
				return stay(ReasonSendingDisabled, in.Now, in.Now.Add(waitLong)), in.SendingDisabled
			},
		},
		{
			name: "workspace_not_paused", version: 1,
			facts: func(in Input) []Fact { return []Fact{moment("paused_until", in.Settings.PausedUntil)} },
			ask: func(in Input) (Effect, bool) {
				return stay(ReasonWorkspacePaused, in.Now, in.Settings.PausedUntil), in.Settings.PausedUntil.After(in.Now)
			},
		},
		{
			name: "channel_not_paused", version: 1, applies: func(in Input) bool { return in.Step.Channel != Wait },
			facts: func(in Input) []Fact {
				return []Fact{{"channel", string(in.Step.Channel)}, flag("paused", slices.Contains(in.Settings.PausedChannels, in.Step.Channel))}
			},
			ask: func(in Input) (Effect, bool) {
				// The change of the settings wakes it; the look in between is for one that was missed.
				return stay(ReasonChannelPaused, in.Now, in.Now.Add(waitChannel)), slices.Contains(in.Settings.PausedChannels, in.Step.Channel)
			},
		},
	}
}

func timeRules() []rule {
	return []rule{
		{
			name: "zone_known", version: 1, facts: func(in Input) []Fact { return []Fact{zoneFact(in)} },
			ask: func(in Input) (Effect, bool) {
				return stay(ReasonUnknownZone, in.Now, in.Now.Add(waitUnknownZone)), in.Zone == nil
			},
		},
		{
			name: "due", version: 1,
			facts: func(in Input) []Fact {
				return []Fact{moment("now", in.Now), moment("due", in.Enrollment.Due), moment("counted_from", in.Enrollment.Base)}
			},
			ask: askDue,
		},
		spacingRule(),
	}
}

func hoursRules() []rule {
	return []rule{
		{
			name: "business_hours", version: 1,
			facts: func(in Input) []Fact {
				return []Fact{{"local_time", in.Now.In(in.Zone).Format("Mon 2006-01-02 15:04")}, zoneFact(in), hoursFact(in.Settings.Hours)}
			},
			ask: askHours,
		},
	}
}

// catchUpGap is the least time between two steps of a lead of which a delay made the second late before the first was done.
const catchUpGap = 4 * time.Hour

// spacingRule keeps steps that are anchored to the start apart after a downtime: all of them may be late at once.
func spacingRule() rule {
	return rule{
		name: "not_bunched", version: 1, applies: func(in Input) bool { return in.Step.Anchor == FromStart && in.Enrollment.Position > 1 },
		facts: func(in Input) []Fact {
			return []Fact{moment("planned", in.planned()), moment("step_before_done", in.Enrollment.Base), {"least_gap", catchUpGap.String()}}
		},
		ask: func(in Input) (Effect, bool) {
			until := in.Enrollment.Base.Add(catchUpGap)
			return stay(ReasonSpaced, in.Now, until), in.planned().Before(in.Enrollment.Base) && until.After(in.Now)
		},
	}
}

// planned is when the step would have been due if none before it had been late.
func (in Input) planned() time.Time {
	return Due(Anchors{Start: in.Enrollment.Start, Previous: in.Enrollment.Start}, *in.Step, in.leadZone())
}

// askDue counts a wait that could not be counted before for want of a zone. What is not due yet is not taken up by a
// run, but explanations ask for it.
func askDue(in Input) (Effect, bool) {
	due := in.Enrollment.Due
	if due.IsZero() {
		due = Due(in.Enrollment.anchors(), *in.Step, in.leadZone())
	}
	if !due.After(in.Now) {
		return Effect{}, false
	}
	effect := stay(ReasonScheduled, in.Now, due)
	if in.Enrollment.Due.IsZero() {
		effect.Due = due
	}
	return effect, true
}

func askHours(in Input) (Effect, bool) {
	opening, ok := in.Settings.Hours.NextOpening(in.Now, in.Zone)
	if !ok {
		return hold(ReasonNoBusinessHours), true
	}
	return stay(ReasonBusinessHours, in.Now, opening), opening.After(in.Now)
}

// contentRule renders the message; it is asked last, since only it may need the calendar.
func contentRule() rule {
	return rule{name: "content", version: 1, facts: func(in Input) []Fact {
		facts := []Fact{{"channel", string(in.Step.Channel)}, flag("rendered_before", in.Planned != nil)}
		if in.Slots != nil && in.Planned == nil {
			facts = append(facts, Fact{"calendar_refusal", cmp.Or(in.Slots.Refusal.Reason, "none")}, count("slots", len(in.Slots.Labels)),
				flag("calendar_link", in.Slots.Link != ""))
		}
		return facts
	}}
}

func zoneFact(in Input) Fact {
	if in.Zone == nil {
		return Fact{"zone", "unknown"}
	}
	return Fact{"zone", in.Zone.String()}
}

func hoursFact(h Hours) Fact {
	days := make([]string, 0, len(h.Days))
	for day := time.Sunday; day <= time.Saturday; day++ {
		if slices.Contains(h.Days, day) {
			days = append(days, day.String()[:3])
		}
	}
	return Fact{"hours", FormatClock(h.Start) + "-" + FormatClock(h.End) + " " + strings.Join(days, ",")}
}
