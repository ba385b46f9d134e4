package edge

import (
	"testing"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
)

func TestPausesAreSortedByWhatTheyWaitedFor(t *testing.T) {
	t.Parallel()
	snoozed, ghosts, enriched := pausesOf([]*followupsv1.ReasonCount{
		{Outcome: "resumed", Reason: "lead_snoozed", Count: 2},
		{Outcome: "waiting", Reason: "lead_replied", Count: 3},
		{Outcome: "resumed", Reason: "lead_replied", Count: 1},
		{Outcome: "waiting", Reason: "awaiting_enrichment", Count: 5},
		{Outcome: "resumed", Reason: "awaiting_enrichment", Count: 4},
		{Outcome: "waiting", Reason: "missing_value: {senderName}", Count: 8},
		{Outcome: "succeeded", Count: 7},
	})
	if snoozed.Checked != 2 || snoozed.Resumed != 2 || ghosts.Checked != 4 || ghosts.Resumed != 1 || enriched.Checked != 9 || enriched.Resumed != 4 {
		t.Fatalf("%+v %+v %+v", snoozed, ghosts, enriched)
	}
	if snoozed.Errors == nil || ghosts.Errors == nil || enriched.Errors == nil {
		t.Fatal("errors would be null in JSON")
	}
}
