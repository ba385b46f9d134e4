package followups_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
)

// says tells a reply at a time whose text may be away.
func (w *world) says(lead, text string, at time.Time) {
	w.t.Helper()
	message := w.workspace + "/messages/" + uuid.NewString()
	w.sync.mu.Lock()
	w.sync.texts[message] = text
	w.sync.leads[lead].LastInboundTime = timestamppb.New(at)
	w.sync.mu.Unlock()
	w.tell(lead, typeReplied, at, func(event *followupsv1.LeadEvent) { event.Message = message })
}

func (w *world) resume(enrollment string) {
	w.t.Helper()
	if _, err := w.admin.ResumeEnrollment(w.t.Context(), &followupsv1.ResumeEnrollmentRequest{Name: enrollment}); err != nil {
		w.t.Fatal(err)
	}
}

const later = "Not now. Reach out after Jan 21st, please"

// A reply stops the sequences also when its text cannot be read; its date is taken when it can.
func TestTheDateOfAReplyIsTakenWhenItsTextArrives(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead := w.lead()
	e := w.enroll(lead, w.sequence(sms("Hi", 0, 0), sms("Again", 1, 0)))
	w.tick()
	w.sync.textsAway.Store(true)
	w.clock.Set(start().Add(time.Hour))
	w.says(lead, later, w.clock.Now())
	w.expect(e, paused, "lead_replied", 2)
	w.tick()
	w.expect(e, paused, "lead_replied", 2)
	w.sync.textsAway.Store(false)
	w.tick() // asked again not at once
	w.expect(e, paused, "lead_replied", 2)
	w.clock.Advance(time.Minute)
	w.tick()
	until := time.Date(2026, 1, 21, 14, 0, 0, 0, time.UTC)
	if got := w.expect(e, paused, "lead_snoozed", 2); !got.GetNextStepTime().AsTime().Equal(until) {
		t.Fatalf("snoozed until %v", got.GetNextStepTime().AsTime())
	}
	w.clock.Set(until)
	if got := w.tick(); got.GetPauses().GetResumed() != 1 || got.GetResults().GetSucceeded() != 1 {
		t.Fatalf("at the date: %v", got)
	}
}

// What happened since the reply stands: a person went on, or the lead wrote again without a date.
func TestALateDateChangesNothingThatHappenedSince(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		since  func(w *world, lead, enrollment string)
		state  followupsv1.EnrollmentState
		reason string
	}{
		"nothing": {func(*world, string, string) {}, paused, "lead_snoozed"}, // the control
		"resumed": {func(w *world, _, e string) { w.resume(e) }, active, ""},
		"wrote again": {func(w *world, lead, _ string) {
			w.sync.textsAway.Store(false)
			w.says(lead, "Wait, call me now", w.clock.Now())
		}, paused, "lead_replied"},
		"answered": {func(w *world, lead, _ string) {
			w.tell(lead, followupsv1.LeadEventType_LEAD_EVENT_TYPE_HUMAN_OUTBOUND, w.clock.Now(), nil)
		}, active, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			lead := w.lead()
			e := w.enroll(lead, w.sequence(sms("Hi", 0, 0), sms("Again", 1, 0)))
			w.tick()
			w.sync.textsAway.Store(true)
			w.clock.Set(start().Add(time.Hour))
			w.says(lead, later, w.clock.Now())
			w.clock.Advance(time.Minute)
			c.since(w, lead, e)
			w.sync.textsAway.Store(false)
			w.clock.Advance(time.Minute)
			w.tick()
			w.expect(e, c.state, c.reason, 2)
		})
	}
}

// A text that never comes is not asked for for ever, and a message that is gone only once.
func TestATextThatNeverComes(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead := w.lead()
	e := w.enroll(lead, w.sequence(sms("Hi", 0, 0), sms("Again", 1, 0)))
	w.tick()
	w.sync.textsAway.Store(true)
	w.says(lead, later, start().Add(time.Minute))
	waiting := func() int { return w.count(`SELECT count(*) FROM unread_reply`) }
	w.clock.Set(start().Add(6 * 24 * time.Hour))
	w.tick()
	if waiting() != 1 {
		t.Fatal("given up before its time")
	}
	w.clock.Set(start().Add(8 * 24 * time.Hour))
	w.tick()
	w.expect(e, paused, "lead_replied", 2)
	if waiting() != 0 {
		t.Fatal("asked for for ever")
	}
}

// A reply that is told seconds after a person resumed was not known to that person: it pauses again. One that had been told does not.
func TestAReplyToldAfterTheResumption(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead := w.lead()
	e := w.enroll(lead, w.sequence(sms("Hi", 0, 0), sms("Again", 1, 0)))
	w.tick()
	w.clock.Set(start().Add(time.Hour))
	w.says(lead, "Who is this?", w.clock.Now())
	w.expect(e, paused, "lead_replied", 2)
	w.clock.Advance(time.Minute)
	w.resume(e)
	w.clock.Advance(time.Minute)
	w.tick() // the control: what the person knew of holds nothing
	w.expect(e, active, "", 2)
	wrote := w.clock.Now()
	if _, err := w.admin.PauseEnrollment(t.Context(), &followupsv1.PauseEnrollmentRequest{Name: e}); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(5 * time.Second)
	w.resume(e)
	w.clock.Advance(5 * time.Second)
	w.says(lead, "Stop that, call me", wrote)
	w.expect(e, paused, "lead_replied", 2)
}
