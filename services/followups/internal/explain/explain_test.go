package explain_test

import (
	"testing"
	"time"

	"github.com/relance/relance/services/followups/internal/explain"
	"github.com/relance/relance/services/followups/internal/followup"
)

// What stands at the top is a sentence that a person reads: how it ended and why, or what the step waits for.
func TestWhereAnEnrollmentStands(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		state  followup.State
		reason string
		want   string
	}{
		{followup.Completed, "", "Completed: every step is decided"},
		{followup.Completed, followup.ReasonBooked, "Completed because a meeting is booked"},
		{followup.Cancelled, "OPTED_OUT", "Cancelled because the lead opted out"},
		{followup.Cancelled, followup.ReasonCancelled, "Cancelled by a person"},
		{followup.Cancelled, "", "Cancelled: no reason is recorded"},
		{followup.Paused, followup.ReasonLeadReplied, "Step 2: paused because the lead replied [lead_replied]"},
		{followup.Awaiting, followup.ReasonAwaitingOutcome, "Step 2: its message left, but whether it arrived is not known yet [" + followup.ReasonAwaitingOutcome + "]"},
	} {
		now := time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)
		e := followup.Enrollment{State: c.state, Reason: c.reason, Position: 2}
		if got := explain.Explain(explain.Case{Input: followup.Input{Enrollment: e, Now: now}}).Says; got != c.want {
			t.Errorf("%s %s: %q, want %q", c.state, c.reason, got, c.want)
		}
	}
}

// A decided step says what was decided and when, and the time is not taken for a part of the reason.
func TestADecidedStep(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)
	for result, want := range map[followup.Result]string{
		followup.Succeeded: "sent at 2026-01-07T15:00:00Z",
		followup.Skipped:   "not sent: the lead has no phone number, decided at 2026-01-07T15:00:00Z",
	} {
		x := explain.Explain(explain.Case{
			Input:   followup.Input{Enrollment: followup.Enrollment{State: followup.Active, Position: 2, Version: 1}, Now: at},
			Steps:   []followup.Step{{Position: 1, Channel: followup.SMS}},
			Records: []followup.Record{{Version: 1, Position: 1, Result: result, Reason: "NO_PHONE", Last: at}},
		})
		if got := x.Steps[0].Says; got != want {
			t.Errorf("%s: %q, want %q", result, got, want)
		}
	}
}
