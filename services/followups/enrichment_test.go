package followups_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

const awaitingEnrichment = "awaiting_enrichment"

// awaiting is an enrollment that a tick has paused because its lead has no phone number, and the lead.
func (w *world) awaiting() (e, lead string) {
	w.t.Helper()
	lead = w.lead()
	w.changeLead(lead, func(l *syncv1.Lead) { l.Phone = "" })
	w.sync.answerWith(func(req *syncv1.SendMessageRequest) (*syncv1.Message, error) {
		if req.GetChannel() == syncv1.Channel_CHANNEL_SMS && w.sync.leads[req.GetLead()].GetPhone() == "" { // the caller holds the lock
			return nil, refusal("NO_PHONE")
		}
		return nil, nil
	})
	step := sms("Hi", 0, 0)
	step.RefusalRules = []*followupsv1.RefusalRule{{
		Reason: "NO_PHONE", Action: followupsv1.RefusalAction_REFUSAL_ACTION_HOLD, MaxHold: durationpb.New(48 * time.Hour),
	}}
	e = w.enroll(lead, w.sequence(step, email("S", "B", 30)))
	w.tick()
	w.expect(e, paused, awaitingEnrichment, 1)
	return e, lead
}

func (w *world) changeLead(lead string, change func(*syncv1.Lead)) {
	w.sync.mu.Lock()
	defer w.sync.mu.Unlock()
	change(w.sync.leads[lead])
}

// enriched are the pauses for an address that the run found over, and all that it looked at.
func enriched(run *followupsv1.Run) (resumed, looked int32) {
	for _, reason := range run.GetReasons() {
		if reason.GetReason() != awaitingEnrichment {
			continue
		}
		switch reason.GetOutcome() {
		case "resumed":
			resumed += reason.GetCount()
			looked += reason.GetCount()
		case "waiting":
			looked += reason.GetCount()
		}
	}
	return resumed, looked
}

func TestAddressThatComesEndsThePauseForIt(t *testing.T) {
	t.Parallel()
	w := setup(t)
	e, lead := w.awaiting()
	w.clock.Advance(time.Hour)
	// The control: a change that brings something else is not even looked at.
	w.changeLead(lead, func(l *syncv1.Lead) { l.FirstName = "Grace" })
	w.tell(lead, typeUpdated, w.clock.Now(), nil)
	if resumed, looked := enriched(w.tick()); resumed != 0 || looked != 0 || w.sync.callCount() != 1 {
		t.Fatalf("%d resumed, %d looked at, %d calls", resumed, looked, w.sync.callCount())
	}
	w.expect(e, paused, awaitingEnrichment, 1)

	w.changeLead(lead, func(l *syncv1.Lead) { l.Phone = "+12025550123" })
	w.tell(lead, typeUpdated, w.clock.Now(), nil)
	if resumed, looked := enriched(w.tick()); resumed != 1 || looked != 1 || w.sync.callCount() != 2 {
		t.Fatalf("%d resumed, %d looked at, %d calls", resumed, looked, w.sync.callCount())
	}
	w.expect(e, active, "", 2)
	if resumed, _ := enriched(w.tick()); resumed != 0 {
		t.Fatal("counted twice")
	}
}

// While the lead cannot be read its change is looked at by the run, which finds nothing and counts nothing as resumed.
func TestChangeOfALeadThatCannotBeReadIsLookedAt(t *testing.T) {
	t.Parallel()
	w := setup(t)
	e, lead := w.awaiting()
	w.sync.down.Store(true)
	w.tell(lead, typeUpdated, w.clock.Now(), nil)
	w.sync.down.Store(false)
	if resumed, looked := enriched(w.tick()); resumed != 0 || looked != 1 {
		t.Fatalf("%d resumed, %d looked at", resumed, looked)
	}
	w.expect(e, paused, awaitingEnrichment, 1)
	w.clock.Advance(48 * time.Hour) // the look kept the maximum
	w.tick()
	w.expect(e, active, "", 2)
}

func TestPauseForAnAddressHasAMaximum(t *testing.T) {
	t.Parallel()
	w := setup(t)
	e, _ := w.awaiting()
	x := w.explain(e)
	if !x.GetNextLookTime().AsTime().Equal(start().Add(48*time.Hour)) || x.GetWayOut() == "" || x.GetEnrollment().GetReason() != awaitingEnrichment {
		t.Fatalf("%v", x)
	}
	w.clock.Advance(48*time.Hour - time.Minute)
	w.tick()
	w.expect(e, paused, awaitingEnrichment, 1)
	w.clock.Advance(time.Minute)
	resumed, _ := enriched(w.tick())
	w.expect(e, active, "", 2)
	if task := w.tasks()[0]; resumed != 0 || w.sync.callCount() != 1 || task.GetReason() != "NO_PHONE" ||
		task.GetState() != followupsv1.TaskState_TASK_STATE_SKIPPED {
		t.Fatalf("%d resumed, %d calls, %v", resumed, w.sync.callCount(), task)
	}
}

// A reply that came while the number was waited for pauses all the same.
func TestReplyIsNotForgottenOverTheAddress(t *testing.T) {
	t.Parallel()
	w := setup(t)
	e, lead := w.awaiting()
	w.clock.Advance(time.Hour)
	w.changeLead(lead, func(l *syncv1.Lead) {
		l.Phone, l.LastInboundTime = "+12025550123", timestamppb.New(w.clock.Now())
	})
	w.tell(lead, typeUpdated, w.clock.Now(), nil)
	resumed, _ := enriched(w.tick())
	w.expect(e, paused, "lead_replied", 1)
	if resumed != 0 || w.sync.callCount() != 1 {
		t.Fatalf("%d resumed, %d calls", resumed, w.sync.callCount())
	}
}
