package followups_test

import (
	"strings"
	"testing"
	"time"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// putOff answers as a sync that keeps texts back until a time, and refuses those that have expired by then.
func (w *world) putOff(until time.Time) {
	w.sync.answerWith(func(req *syncv1.SendMessageRequest) (*syncv1.Message, error) {
		switch now := w.clock.Now(); {
		case req.GetExpireTime() != nil && !now.Before(req.GetExpireTime().AsTime()):
			return &syncv1.Message{State: syncv1.MessageState_MESSAGE_STATE_EXPIRED, RefusalReason: "MESSAGE_EXPIRED"}, nil
		case now.Before(until):
			return nil, typed(refusal("QUIET_HOURS")).With("next_allowed_time", until.Format(time.RFC3339))
		}
		return nil, nil
	})
}

func (w *world) theOneSent() *syncv1.SendMessageRequest {
	w.t.Helper()
	w.sync.mu.Lock()
	defer w.sync.mu.Unlock()
	if len(w.sync.sent) != 1 {
		w.t.Fatalf("%d messages left", len(w.sync.sent))
	}
	for _, sent := range w.sync.sent {
		return sent
	}
	return nil
}

func TestTextWithPassedTimesIsWrittenAnew(t *testing.T) {
	t.Parallel()
	w := setup(t)
	first, until := start().Add(3*time.Hour), start().Add(5*time.Hour)
	w.availability.first = first
	w.putOff(until)
	e := w.enroll(w.lead(), w.sequence(sms("How about {availability}?", 0, 0), sms("Later", 1, 0)))
	w.tick()
	w.expect(e, active, "QUIET_HOURS", 1)
	if got := w.sync.calls[0].GetExpireTime().AsTime(); !got.Equal(first) {
		t.Fatalf("expires at %v, the first time is %v", got, first)
	}
	stale := w.sync.calls[0]
	w.clock.Set(until)
	w.availability.first = until.Add(24 * time.Hour)
	w.tick()
	w.expect(e, active, "MESSAGE_EXPIRED", 1)
	w.clock.Advance(2 * time.Second)
	w.tick()
	w.expect(e, active, "", 2)
	sent := w.theOneSent()
	if sent.GetRequestId() == stale.GetRequestId() || sent.GetBody() == stale.GetBody() || !strings.Contains(sent.GetBody(), "slot A2") {
		t.Errorf("stale %v, sent %v", stale, sent)
	}
	decisions := w.explain(e).GetSteps()[0].GetDecisions()
	if len(decisions) != 3 || decisions[1].GetReason() != "MESSAGE_EXPIRED" || decisions[2].GetOutcome() != "succeeded" {
		t.Errorf("%v", decisions)
	}
}

// The control: a text that was put off, but not past its times, leaves as it was written.
func TestTextWithTimesAheadStaysAsItWas(t *testing.T) {
	t.Parallel()
	w := setup(t)
	until := start().Add(5 * time.Hour)
	w.availability.first = start().Add(6 * time.Hour)
	w.putOff(until)
	e := w.enroll(w.lead(), w.sequence(sms("How about {availability}?", 0, 0), sms("Without times", 1, 0)))
	w.tick()
	w.clock.Set(until)
	w.tick()
	w.expect(e, active, "", 2)
	if sent := w.theOneSent(); sent.GetRequestId() != w.sync.calls[0].GetRequestId() || w.availability.offered != 1 {
		t.Errorf("sent %v after %d offers", sent, w.availability.offered)
	}
	w.clock.Set(until.AddDate(0, 0, 1))
	w.tick()
	if last := w.sync.calls[len(w.sync.calls)-1]; last.GetExpireTime() != nil {
		t.Errorf("a text without times expires at %v", last.GetExpireTime())
	}
}

func TestWritingAnewIsBounded(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.availability.first = start().Add(-time.Hour) // a calendar that offers what has passed
	w.putOff(start())
	e := w.enroll(w.lead(), w.sequence(sms("How about {availability}?", 0, 0), sms("Later", 1, 0)))
	for range 10 {
		w.tick()
		w.clock.Advance(2 * time.Second)
	}
	w.expect(e, active, "", 2)
	if w.sync.callCount() != 4 || len(w.sync.sent) != 0 {
		t.Errorf("asked %d times, %d left", w.sync.callCount(), len(w.sync.sent))
	}
	if tasks := w.tasks(); len(tasks) != 1 || tasks[0].GetReason() != "MESSAGE_EXPIRED" {
		t.Errorf("%v", tasks)
	}
}

// An approval holds for the text that was read: the new one is approved anew.
func TestApprovedTextWithPassedTimesIsApprovedAnew(t *testing.T) {
	t.Parallel()
	w := setup(t)
	first := start().Add(3 * time.Hour)
	w.availability.first = first
	w.putOff(start())
	step := sms("How about {availability}?", 0, 0)
	step.RequiresApproval = true
	e := w.enroll(w.lead(), w.sequence(step))
	complete := func(task *followupsv1.Task) {
		t.Helper()
		if _, err := w.admin.CompleteTask(t.Context(), &followupsv1.CompleteTaskRequest{Name: task.GetName()}); err != nil {
			t.Fatal(err)
		}
	}
	w.tick()
	w.clock.Set(first.Add(time.Minute))
	w.availability.first = first.AddDate(0, 0, 1)
	complete(w.tasks()[0])
	w.tick()
	w.clock.Advance(2 * time.Second)
	w.tick()
	w.expect(e, paused, "awaiting_approval", 1)
	pending := w.tasks()[len(w.tasks())-1]
	if len(w.sync.sent) != 0 || pending.GetState() != followupsv1.TaskState_TASK_STATE_PENDING || !strings.Contains(pending.GetSuggestedBody(), "slot A2") {
		t.Fatalf("%d left; task %v", len(w.sync.sent), pending)
	}
	complete(pending)
	w.tick()
	w.expect(e, completed, "", 2)
	w.theOneSent()
}

// sync may learn later that a text never left, and tell by event that it expired.
func TestTextThatExpiredInSyncIsWrittenAnew(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.availability.first = start().Add(3 * time.Hour)
	w.sync.answerWith(func(*syncv1.SendMessageRequest) (*syncv1.Message, error) {
		return &syncv1.Message{State: syncv1.MessageState_MESSAGE_STATE_UNKNOWN}, nil
	})
	lead := w.lead()
	e := w.enroll(lead, w.sequence(sms("How about {availability}?", 0, 0), sms("Later", 1, 0)))
	w.tick()
	w.expect(e, awaiting, "awaiting_outcome", 1)
	w.clock.Set(start().Add(3 * time.Hour))
	w.availability.first = start().AddDate(0, 0, 1)
	event := w.event(lead, followupsv1.LeadEventType_LEAD_EVENT_TYPE_MESSAGE_SETTLED, w.clock.Now())
	event.RequestId, event.Outcome = w.sync.calls[0].GetRequestId(), "MESSAGE_EXPIRED"
	w.handle(event)
	w.sync.answerWith(nil)
	w.clock.Advance(2 * time.Second)
	w.tick()
	w.expect(e, active, "", 2)
	if sent := w.theOneSent(); !strings.Contains(sent.GetBody(), "slot A2") {
		t.Errorf("sent %v", sent)
	}
}
