package followup

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

func input(t *testing.T, change func(*Input)) Input {
	t.Helper()
	now := at(t, "2026-01-07T15:00:00Z")
	in := Input{
		Now: now, SequenceActive: true, Zone: zone(t, "America/New_York"), Settings: DefaultSettings(),
		Enrollment: Enrollment{State: Active, Position: 1, Base: now, Due: now, Next: now, Start: now, RepliedSince: now},
		Step:       &Step{Position: 1, Channel: SMS, BodyTemplate: "Hi {firstName}"},
		Lead:       &Lead{FirstName: "Ada", Email: "ada@example.com"},
	}
	change(&in)
	return in
}

func by(action PolicyAction, origin Origin, effect Effect) Effect {
	effect.Action, effect.Origin = action, origin
	return effect
}

func TestDecide(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*Input)
		want   Decision
	}{
		{"send", func(*Input) {}, Decision{Verdict: Send, Content: Content{Body: "Hi Ada"}}},
		{
			"planned content is not rendered anew", func(in *Input) { in.Planned = &Content{Body: "before"} },
			Decision{Verdict: Send, Content: Content{Body: "before"}},
		},
		{
			"no step left", func(in *Input) { in.Step = nil },
			settled(Effect{Result: Skipped, Reason: ReasonNoStepLeft, Move: Finish}),
		},
		{"lead gone", func(in *Input) { in.Lead = nil }, settled(Effect{Result: Skipped, Reason: ReasonLeadGone, Move: End})},
		{"blocked", func(in *Input) { in.Lead.Blocked = true }, settled(Effect{Result: Skipped, Reason: "LEAD_BLOCKED", Move: End})},
		{"replied", func(in *Input) { in.Lead.LastInbound = in.Now.Add(time.Second) }, settled(hold(ReasonLeadReplied))},
		{"wrote before the start", func(in *Input) { in.Lead.LastInbound = in.Now }, Decision{Verdict: Send, Content: Content{Body: "Hi Ada"}}},
		{"sequence inactive", func(in *Input) { in.SequenceActive = false }, settled(hold(ReasonSequenceInactive))},
		{
			"workspace paused", func(in *Input) { in.Settings.PausedUntil = in.Now.Add(time.Hour) },
			settled(Effect{Result: Deferred, Reason: ReasonWorkspacePaused, Move: Stay, Until: at(t, "2026-01-07T16:00:00Z")}),
		},
		{
			"unknown zone is not guessed", func(in *Input) { in.Zone = nil },
			settled(Effect{Result: Deferred, Reason: ReasonUnknownZone, Move: Stay, Until: at(t, "2026-01-07T16:00:00Z")}),
		},
		{
			"outside hours", func(in *Input) { in.Now = at(t, "2026-01-09T23:00:00Z") },
			settled(Effect{Result: Deferred, Reason: ReasonBusinessHours, Move: Stay, Until: at(t, "2026-01-12T14:00:00Z")}),
		},
		{
			"wait counted late", func(in *Input) { in.Enrollment.Due = time.Time{}; in.Step.DelayDays = 1 },
			settled(Effect{
				Result: Deferred, Reason: ReasonScheduled, Move: Stay,
				Until: at(t, "2026-01-08T15:00:00Z"), Due: at(t, "2026-01-08T15:00:00Z"),
			}),
		},
		{"asks for the calendar", func(in *Input) { in.Step.BodyTemplate = "{availability}?" }, Decision{Verdict: NeedSlots}},
		{"two slots", func(in *Input) {
			in.Step.BodyTemplate, in.Slots = "{availability}?", &Slots{Labels: []string{"Mon", "Tue"}}
		}, Decision{Verdict: Send, Content: Content{Body: "Mon or Tue?"}}},
		{
			"no slots", func(in *Input) { in.Step.BodyTemplate, in.Slots = "{availability}?", &Slots{} },
			settled(by(ActPause, OriginDefault, hold(ReasonMissingAvailability))),
		},
		{"no slots, and the policy skips", func(in *Input) {
			in.Step.BodyTemplate, in.Slots = "{availability}?", &Slots{}
			in.Policy.Sequence = Policy{NoSlots: {Action: ActSkip}}
		}, settled(by(ActSkip, OriginSequence, Effect{Result: Skipped, Reason: NoSlots, Move: Advance, Task: TaskSkipped}))},
		{"no calendar, and the step says something else then", func(in *Input) {
			in.Step.BodyTemplate, in.Slots = "{availability|Tell me when}?", &Slots{Refusal: Refusal{Reason: "NO_DEFAULT_CALENDAR"}}
		}, Decision{Verdict: Send, Content: Content{Body: "Tell me when?"}}},
		{"no calendar to link to, and the policy stops", func(in *Input) {
			in.Step.BodyTemplate, in.Slots = "{calendarLink}", &Slots{Refusal: Refusal{Reason: "NO_DEFAULT_CALENDAR"}}
			in.Policy.Step = Policy{"NO_DEFAULT_CALENDAR": {Action: ActStop}}
		}, settled(by(ActStop, OriginStep, Effect{Result: Skipped, Reason: "NO_DEFAULT_CALENDAR", Move: End, Task: TaskSkipped}))},
		{"calendar away", func(in *Input) {
			in.Step.BodyTemplate, in.Slots = "{availability|soon}?", &Slots{Refusal: Refusal{Reason: CalendarUnreachable}}
		}, settled(by(ActDefer, OriginDefault, Effect{Result: Deferred, Reason: CalendarUnreachable, Move: Stay, Until: at(t, "2026-01-07T15:15:00Z")}))},
		{"missing value", func(in *Input) { in.Lead.FirstName = "" }, settled(hold("missing_value: {firstName}"))},
		{
			"unknown token", func(in *Input) { in.Step.BodyTemplate = "{nope}" },
			settled(Effect{Result: Failed, Reason: "unknown_token: {nope}", Move: Hold}),
		},
		{"nothing to say", func(in *Input) { in.Step.BodyTemplate = " " }, settled(hold(ReasonMissingContent))},
		{"email", func(in *Input) {
			in.Step = &Step{Channel: Email, SubjectTemplate: "For {firstName}", BodyTemplate: "a\n{email}"}
			in.Lead.FirstName = "<{email}>"
		}, Decision{Verdict: Send, Content: Content{
			Subject: "For <{email}>", Body: "a\nada@example.com", HTML: "<p>a<br>\nada@example.com</p>",
		}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := input(t, tt.change)
			got := Decide(in)
			checkTrace(t, in, got)
			got.Trace = nil
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// checkTrace says what every trace must say: the rules in order, all passed but the last, and the last with the effect.
func checkTrace(t *testing.T, in Input, d Decision) {
	t.Helper()
	if len(d.Trace) == 0 {
		t.Fatal("a decision without a trace")
	}
	order := RuleNames()
	last := -1
	for i, check := range d.Trace {
		at := slices.Index(order, check.Rule)
		if at <= last || check.Version < 1 || len(check.Inputs) == 0 {
			t.Fatalf("check %d is %+v", i, check)
		}
		last = at
		if settles := d.Verdict == Settled && i == len(d.Trace)-1; check.Passed() == settles {
			t.Fatalf("check %d of %s: %+v", i, d.Verdict, check)
		}
		for _, fact := range check.Inputs {
			if in.Lead != nil && (in.Lead.Email != "" && strings.Contains(fact.Value, in.Lead.Email)) {
				t.Fatalf("a trace shows an address: %+v", check)
			}
		}
	}
	if end := d.Trace[len(d.Trace)-1]; d.Verdict == Settled && (end.Reason != d.Effect.Reason || end.Move != d.Effect.Move) {
		t.Fatalf("the last check is %+v, the effect %+v", end, d.Effect)
	}
}

func settled(effect Effect) Decision { return Decision{Verdict: Settled, Effect: effect} }

func TestRefusalsFollowTheTable(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-01-07T15:00:00Z")
	try := Try{Now: now, Max: 3}
	tests := []struct {
		refusal Refusal
		e       Enrollment
		want    Effect
	}{
		{Refusal{Reason: "DND_ACTIVE"}, Enrollment{}, Effect{Result: Skipped, Reason: "DND_ACTIVE", Move: Advance, Task: TaskSkipped, Action: ActSkip, Origin: OriginDefault}},
		{Refusal{Reason: "OPTED_OUT"}, Enrollment{}, Effect{Result: Skipped, Reason: "OPTED_OUT", Move: EndLead, Task: TaskSkipped, Action: ActStopLead, Origin: OriginDefault}},
		{Refusal{Reason: "LEAD_REPLIED"}, Enrollment{}, Effect{Result: Skipped, Reason: "lead_replied", Move: Hold, NewPart: true, Action: ActPause, Origin: OriginDefault}},
		{Refusal{Reason: "REQUEST_ID_REUSED"}, Enrollment{}, Effect{Result: Failed, Reason: "REQUEST_ID_REUSED", Move: Hold, NewPart: true, Action: ActPause, Origin: OriginDefault}},
		{
			Refusal{Reason: "PREVIOUS_SEND_UNRESOLVED"},
			Enrollment{Attempts: 1},
			Effect{Result: Deferred, Reason: "PREVIOUS_SEND_UNRESOLVED", Move: Stay, Until: now.Add(5 * time.Minute), Attempts: 1, Action: ActDefer, Origin: OriginDefault},
		},
		{
			Refusal{Reason: "PROVIDER_RATE_LIMITED", RetryAfter: 7 * time.Second},
			Enrollment{},
			Effect{Result: Deferred, Reason: "PROVIDER_RATE_LIMITED", Move: Stay, Until: now.Add(7 * time.Second), Action: ActDefer, Origin: OriginDefault},
		},
		{
			Refusal{Reason: "QUIET_HOURS", Metadata: map[string]string{"next_allowed_time": "2026-01-08T13:00:00Z"}},
			Enrollment{},
			Effect{Result: Deferred, Reason: "QUIET_HOURS", Move: Stay, Until: at(t, "2026-01-08T13:00:00Z"), Action: ActDefer, Origin: OriginDefault},
		},
		{
			Refusal{Reason: "PROVIDER_UNAVAILABLE"},
			Enrollment{Attempts: 1},
			Effect{Result: Deferred, Reason: "PROVIDER_UNAVAILABLE", Move: Stay, Until: now.Add(2 * time.Minute), Attempts: 2, Action: ActRetry, Origin: OriginDefault},
		},
		{
			Refusal{Reason: "PROVIDER_UNAVAILABLE"},
			Enrollment{Attempts: 2},
			Effect{Result: Failed, Reason: ReasonAttemptsExhausted, Move: Hold, Attempts: 3, Action: ActRetry, Origin: OriginDefault},
		},
		{
			Refusal{Reason: "A_NEW_ONE"},
			Enrollment{},
			Effect{Result: Failed, Reason: ReasonInternalError, Move: Stay, Until: now.Add(time.Minute), Attempts: 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.refusal.Reason, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, Refused(tt.refusal, tt.e, try)); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// Whatever sync answers, "not now" is later than now and every effect is counted.
func TestEffectsAlwaysMoveOn(t *testing.T) {
	t.Parallel()
	states := []string{"accepted", "unknown", "parked", "planned", "sending", "retryable", "refused", "skipped", "expired", "", "x"}
	rapid.Check(t, func(rt *rapid.T) {
		now := time.Unix(rapid.Int64Range(1_700_000_000, 2_000_000_000).Draw(rt, "now"), 0).UTC()
		e := Enrollment{State: Active, Position: 1, Attempts: rapid.IntRange(0, 6).Draw(rt, "attempts")}
		try := Try{Now: now, Max: 5}
		reason := rapid.SampledFrom(append(RefusalReasons(), "", "OTHER")).Draw(rt, "reason")
		retry := time.Duration(rapid.Int64Range(-5, 1e12).Draw(rt, "retry"))
		effects := []Effect{
			Refused(Refusal{Reason: reason, RetryAfter: retry}, e, try),
			Answered(Answer{State: rapid.SampledFrom(states).Draw(rt, "state"), Reason: reason}, e, try),
			Broken(e, try), Away("x", e, now),
		}
		for _, effect := range effects {
			if effect.Result == "" || effect.Move == "" || (effect.Result != Succeeded && effect.Reason == "") {
				rt.Fatalf("incomplete: %+v", effect)
			}
			after := e.Apply(effect, nil, time.UTC, now)
			if after.State == Active && !after.Next.After(now) {
				rt.Fatalf("due again at once: %+v", effect)
			}
		}
	})
}

func TestTransitions(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-01-07T15:00:00Z")
	first, second := &Step{Channel: SMS, DelayMinutes: 5}, &Step{Channel: Email, DelayDays: 1}
	e := Enroll(Enrollment{ID: uuid.New()}, first, nil, now)
	if !e.Next.Equal(now.Add(5 * time.Minute)) {
		t.Fatalf("first step at %v", e.Next)
	}
	paused, err := e.Pause("x", now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := paused.Pause("y", now); err == nil {
		t.Fatal("paused twice")
	}
	if _, err := e.Resume(time.Time{}, now); err == nil {
		t.Fatal("resumed an active one")
	}
	sent := Effect{Result: Succeeded, Move: Advance}
	if got := paused.Apply(sent, second, time.UTC, now); got.State != Paused || got.Position != 2 || got.Reason != "x" {
		t.Fatalf("a pause during the send was lost: %+v", got)
	}
	if got := e.Apply(sent, second, nil, now); !got.Due.IsZero() || !got.Next.Equal(now) {
		t.Fatalf("days without a zone were counted: %+v", got)
	}
	done := e.Apply(sent, nil, time.UTC, now)
	if done.State != Completed || !done.End.Equal(now) {
		t.Fatalf("%+v", done)
	}
	if _, err := done.Cancel("x", now); err == nil {
		t.Fatal("cancelled a completed one")
	}
	cancelled, err := e.Cancel("x", now)
	if err != nil || cancelled.Apply(sent, second, time.UTC, now).State != Cancelled {
		t.Fatal("cancelled does not absorb")
	}
	replied := e.Apply(Effect{Move: Hold, NewPart: true, Reason: "r"}, nil, nil, now)
	resumed, err := replied.Resume(now.Add(time.Minute), now.Add(time.Hour))
	if err != nil || resumed.Part != 1 || !resumed.RepliedSince.Equal(now.Add(time.Minute)) {
		t.Fatalf("%+v, %v", resumed, err)
	}
	// A reply that nobody was told of pauses again; one that a run noticed by itself does not.
	if resumed, _ = replied.Resume(time.Time{}, now.Add(time.Hour)); !resumed.RepliedSince.Equal(replied.RepliedSince) {
		t.Fatalf("untold: %+v", resumed)
	}
	replied.Reason = ReasonLeadReplied
	if resumed, _ = replied.Resume(time.Time{}, now.Add(time.Hour)); !resumed.RepliedSince.Equal(now.Add(time.Hour)) {
		t.Fatalf("noticed: %+v", resumed)
	}
}

func TestRequestIDsDifferInEveryPart(t *testing.T) {
	t.Parallel()
	key := StepKey{Workspace: uuid.New(), Enrollment: uuid.New(), Position: 1, Channel: SMS}
	seen := map[uuid.UUID]bool{key.RequestID(): true}
	other := []StepKey{key, key, key, key, key}
	other[0].Workspace, other[1].Enrollment, other[2].Position, other[3].Channel, other[4].Part = uuid.New(), uuid.New(), 2, Email, 1
	for _, k := range other {
		seen[k.RequestID()] = true
	}
	if len(seen) != 6 || key.RequestID().Version() != 5 {
		t.Fatalf("%d ids", len(seen))
	}
}

func TestSequenceValidationReportsAllAtOnce(t *testing.T) {
	t.Parallel()
	s := Sequence{DisplayName: "x", Steps: []Step{
		{Channel: Email, BodyTemplate: "{foo} {bar}"}, {Channel: "fax", DelayDays: 400, DelayMinutes: -1, BodyTemplate: " "},
	}}.WithDefaults()
	if got := len(s.CheckActivation()); got != 4 {
		t.Fatalf("%d activation violations: %v", got, s.CheckActivation())
	}
	if got := len(s.CheckShape()); got != 3 {
		t.Fatalf("%d shape violations: %v", got, s.CheckShape())
	}
	if len((Sequence{}).CheckActivation()) != 1 {
		t.Fatal("a sequence without steps may be activated")
	}
}
