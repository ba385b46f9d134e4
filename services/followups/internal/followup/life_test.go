package followup

import (
	"strings"
	"testing"
	"time"
)

// TestEveryReasonHasWords: nothing that an enrollment, a decision or a task can carry is left without an explanation.
func TestEveryReasonHasWords(t *testing.T) {
	t.Parallel()
	reasons := append(RefusalReasons(),
		ReasonLeadReplied, ReasonLeadGone, ReasonSequenceInactive, ReasonWorkspacePaused, ReasonSendingDisabled, ReasonUnknownZone,
		ReasonScheduled, ReasonBusinessHours, ReasonNoBusinessHours, ReasonMissingAvailability, ReasonMissingContent,
		ReasonContentTooLarge, CalendarUnreachable, ReasonAttemptsExhausted, ReasonInternalError, ReasonSyncUnavailable,
		ReasonSendInProgress, ReasonAwaitingOutcome, ReasonMessageParked, ReasonNoStepLeft, ReasonManual, ReasonCancelled,
		ReasonConditionUnmet, ReasonConditionError, ReasonTooLate, ReasonAwaitingApproval, ReasonTaskCreated, ReasonWaited,
		ReasonDailyCap, ReasonMigrated, ReasonSpaced, ReasonSnoozed, ReasonBooked, ReasonSkippedByHand, ReasonAwaitingEnrichment, "missing_value: {x}",
		"unknown_token: {y}", "availability_unavailable", "provider_not_connected", "spintax_error")
	for _, reason := range reasons {
		if meaning, ok := MeaningOf(reason); !ok || meaning.Says == "" {
			t.Errorf("%s has no words", reason)
		}
	}
	if meaning, ok := MeaningOf("A_NEW_ONE"); ok || !meaning.Person || !strings.Contains(meaning.Says, "A_NEW_ONE") {
		t.Errorf("an unknown reason: %+v", meaning)
	}
}

// TestEveryPauseHasAWayOut walks every reason that can pause: it says the way out, it is looked at again or needs a person or
// a switch, and both a person and the clock get it going.
func TestEveryPauseHasAWayOut(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-01-07T15:00:00Z")
	for reason, meaning := range pauseMeanings() {
		if meaning.WayOut == "" || meaning.Person == (meaning.Recheck > 0) {
			t.Errorf("%s: %+v", reason, meaning)
		}
		in := input(t, func(in *Input) {
			in.Settings.SenderName, in.Lead.Phone, in.Lead.Email = "Sam", "+12025550123", "ada@example.com"
		})
		e, err := in.Enrollment.Pause(reason, now)
		if err != nil || e.State != Paused || e.Reason != reason || e.Next.IsZero() == (meaning.Recheck > 0) {
			t.Fatalf("%s: %+v, %v", reason, e, err)
		}
		resumed, err := e.Resume(now.Add(time.Hour), now.Add(time.Hour))
		if err != nil || resumed.State != Active || resumed.Next.IsZero() || !resumed.RepliedSince.Equal(now.Add(time.Hour)) {
			t.Errorf("%s: a person cannot resume it: %+v, %v", reason, resumed, err)
		}
		if meaning.Recheck == 0 {
			continue
		}
		in.Enrollment, in.Now = e, e.Next
		in.Lead.LastInbound, in.Lead.LastOutbound = now, now.Add(time.Minute) // answered, and silent since
		if reason != ReasonLeadReplied {
			in.Lead.LastInbound = time.Time{}
		}
		d := Decide(in)
		if reason == ReasonLeadReplied { // the first look finds when the silence is long enough
			in.Enrollment = e.GoOn(in.Now).Apply(d.Effect, nil, nil, in.Now)
			in.Now = in.Enrollment.Next
			if !in.Now.Equal(now.Add(GhostAfter)) {
				t.Errorf("looked at next at %v", in.Now)
			}
			d = Decide(in)
		}
		switch {
		case d.Verdict == Settled && d.Effect.Move != Resume:
			t.Errorf("%s: nothing is missing any more, and still %+v", reason, d.Effect)
		case d.Verdict == Settled && e.GoOn(in.Now).Apply(d.Effect, nil, nil, in.Now).State != Active:
			t.Errorf("%s is not resumed", reason)
		}
	}
}

func TestStepsThatAreLateTogetherKeepApart(t *testing.T) {
	t.Parallel()
	in := input(t, func(in *Input) {
		in.Enrollment.Position, in.Enrollment.Start = 2, in.Now.AddDate(0, 0, -9)
		in.Step = &Step{Position: 2, Channel: SMS, BodyTemplate: "Hi", Anchor: FromStart, DelayDays: 2}
	})
	d := Decide(in)
	if d.Verdict != Settled || d.Effect.Reason != ReasonSpaced || !d.Effect.Until.Equal(in.Enrollment.Base.Add(catchUpGap)) {
		t.Fatalf("%+v", d.Effect)
	}
	in.Now = d.Effect.Until
	if d = Decide(in); d.Verdict != Send {
		t.Fatalf("after the gap: %+v", d.Effect)
	}
	in.Now, in.Step.Anchor = in.Enrollment.Base, FromPrevious
	if d = Decide(in); d.Verdict != Send {
		t.Fatalf("a step that counts from the one before: %+v", d.Effect)
	}
}
