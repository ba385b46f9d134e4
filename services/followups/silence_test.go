package followups_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/testing/protocmp"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
)

// The receipt counts what the silence of leads led to in this run: once, with the reasons of those that were not enrolled,
// and nothing that another trigger did.
func TestReceiptCountsEnrollmentsBySilence(t *testing.T) {
	t.Parallel()
	w := setup(t)
	expect := func(run *followupsv1.Run, want *followupsv1.SilenceCounts) {
		t.Helper()
		if diff := cmp.Diff(want, run.GetSilences(), protocmp.Transform()); diff != "" {
			t.Fatal(diff)
		}
	}
	expect(w.tick(), &followupsv1.SilenceCounts{})
	w.triggered(followupsv1.Trigger_TRIGGER_REACTIVATION, &followupsv1.TriggerOptions{NoResponseMinutes: 60}, sms("Long time", 0, 0))
	manual := w.triggered(followupsv1.Trigger_TRIGGER_MANUAL, nil)
	w.handle(w.event(w.lead(), followupsv1.LeadEventType_LEAD_EVENT_TYPE_HUMAN_OUTBOUND, w.clock.Now()))
	w.clock.Advance(time.Hour)
	expect(w.tick(), &followupsv1.SilenceCounts{}) // the control: a reactivation enrolls, and is none
	if w.sync.callCount() != 1 {
		t.Fatal("the control was not enrolled")
	}

	w.triggered(followupsv1.Trigger_TRIGGER_NO_RESPONSE, &followupsv1.TriggerOptions{NoResponseMinutes: 30}, sms("Still there?", 1, 0))
	busy := w.lead()
	w.enroll(busy, manual)
	for _, lead := range []string{w.lead(), w.lead(), busy} {
		w.handle(w.event(lead, followupsv1.LeadEventType_LEAD_EVENT_TYPE_HUMAN_OUTBOUND, w.clock.Now()))
	}
	expect(w.tick(), &followupsv1.SilenceCounts{Enabled: true})
	w.clock.Advance(30 * time.Minute)
	want := &followupsv1.SilenceCounts{
		Enabled: true, WorkspacesChecked: 1, LeadsChecked: 3, LeadsEnrolled: 2, Reasons: map[string]int32{"already_running": 1},
	}
	request := &followupsv1.RunDueFollowUpsRequest{RequestId: uuid.NewString()}
	for range 2 { // the same request is the same receipt
		resp, err := w.cron.RunDueFollowUps(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		expect(resp.GetRun(), want)
	}
	expect(w.tick(), &followupsv1.SilenceCounts{Enabled: true})
}

// A lead that two sequences wait for is enrolled in one of them, though both waits end in the same page.
func TestALeadIsSilentOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.triggered(followupsv1.Trigger_TRIGGER_NO_RESPONSE, &followupsv1.TriggerOptions{NoResponseMinutes: 30}, sms("Still there?", 1, 0))
	w.triggered(followupsv1.Trigger_TRIGGER_NO_RESPONSE, &followupsv1.TriggerOptions{NoResponseMinutes: 30}, sms("Hello?", 1, 0))
	for range 2 {
		w.handle(w.event(w.lead(), followupsv1.LeadEventType_LEAD_EVENT_TYPE_HUMAN_OUTBOUND, w.clock.Now()))
	}
	w.clock.Advance(30 * time.Minute)
	want := &followupsv1.SilenceCounts{Enabled: true, WorkspacesChecked: 1, LeadsChecked: 4, LeadsEnrolled: 2, Reasons: map[string]int32{"already_running": 2}}
	if diff := cmp.Diff(want, w.tick().GetSilences(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}
