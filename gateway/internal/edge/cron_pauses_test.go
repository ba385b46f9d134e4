package edge

import (
	"testing"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
)

func TestPausesAreSortedAndNoneIsLost(t *testing.T) {
	t.Parallel()
	snoozed, ghosts, missing := pausesOf([]*followupsv1.ReasonCount{
		{Outcome: "resumed", Reason: "lead_snoozed", Count: 2},
		{Outcome: "waiting", Reason: "lead_replied", Count: 3},
		{Outcome: "resumed", Reason: "lead_replied", Count: 1},
		{Outcome: "waiting", Reason: "missing_value: {senderName}", Count: 5},
		{Outcome: "succeeded", Count: 7},
	})
	if snoozed.Checked != 2 || snoozed.Resumed != 2 || ghosts.Checked != 4 || ghosts.Resumed != 1 || missing.Checked != 5 || missing.Resumed != 0 {
		t.Fatalf("%+v %+v %+v", snoozed, ghosts, missing)
	}
	if snoozed.Errors == nil || ghosts.Errors == nil || missing.Errors == nil {
		t.Fatal("errors would be null in JSON")
	}
}
