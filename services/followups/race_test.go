package followups_test

import (
	"context"
	"testing"
	"time"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/run"
)

// What happens to a lead while a run works on it: the run has read the lead already, and has not recorded yet.

// during lets an event arrive while the next message is asked for.
func (w *world) during(event *followupsv1.LeadEvent) {
	told := false
	w.sync.before = func(*syncv1.SendMessageRequest) {
		if told {
			return
		}
		told = true
		if _, err := w.events.HandleLeadEvents(context.Background(), &followupsv1.HandleLeadEventsRequest{Events: []*followupsv1.LeadEvent{event}}); err != nil {
			w.t.Error(err)
		}
	}
}

// A look asks sync for an outcome that comes by event in the same moment: the sequence goes on by one step, not by two.
func TestOutcomeToldDuringItsLookMovesOneStep(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead := w.lead()
	e := w.enroll(lead, w.sequence(sms("A", 0, 0), sms("B", 1, 0), sms("C", 1, 0)))
	w.sync.answerWith(func(*syncv1.SendMessageRequest) (*syncv1.Message, error) {
		return &syncv1.Message{State: syncv1.MessageState_MESSAGE_STATE_UNKNOWN}, nil
	})
	w.tick()
	w.expect(e, awaiting, "awaiting_outcome", 1)
	w.sync.answerWith(nil)
	w.clock.Advance(6 * time.Hour)
	event := w.event(lead, followupsv1.LeadEventType_LEAD_EVENT_TYPE_MESSAGE_SETTLED, w.clock.Now())
	event.RequestId, event.Outcome = w.sync.calls[0].GetRequestId(), followup.OutcomeAccepted
	w.during(event)
	w.tick()
	w.expect(e, active, "", 2)
	for range 2 {
		w.clock.Advance(24 * time.Hour)
		w.tick()
	}
	w.expect(e, completed, "", 4)
	for _, body := range []string{"A", "B", "C"} {
		sent := 0
		for _, message := range w.sync.sent {
			if message.GetBody() == body {
				sent++
			}
		}
		if sent != 1 {
			t.Errorf("%q was sent %d times", body, sent)
		}
	}
}

// A hold begins while the event that ends it is handled: the step is not held for what has happened already.
func TestHoldDoesNotMissItsEvent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		refusal string
		kind    followupsv1.LeadEventType
		dnd     bool
		held    bool
	}{
		{"DND_ACTIVE", typeDND, false, false},
		{"INVALID_PHONE", typeUpdated, false, false},
		{"NO_PHONE", typeUpdated, false, false},
		{"DND_ACTIVE", typeDND, true, true}, // the control: it was set, not cleared
		{"DND_ACTIVE", typeUpdated, false, true},
	} {
		t.Run(tt.refusal+tt.kind.String(), func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			lead, step := w.lead(), sms("Hi", 0, 0)
			step.RefusalRules = []*followupsv1.RefusalRule{{Reason: tt.refusal, Action: followupsv1.RefusalAction_REFUSAL_ACTION_HOLD}}
			e := w.enroll(lead, w.sequence(step))
			w.sync.answerWith(func(*syncv1.SendMessageRequest) (*syncv1.Message, error) { return nil, refusal(tt.refusal) })
			event := w.event(lead, tt.kind, w.clock.Now())
			event.DndActive = tt.dnd
			w.during(event)
			w.tick()
			w.sync.answerWith(nil)
			w.clock.Advance(time.Minute)
			w.tick()
			if got := w.enrollment(e); (got.GetState() == completed) == tt.held {
				t.Fatalf("%s %q after the event, next at %v", got.GetState(), got.GetReason(), got.GetNextStepTime().AsTime())
			}
		})
	}
}

// A silence has lasted, and in the moment in which the sequence goes on a reply is told that is a little older: it is not
// taken for one that has been answered.
func TestReplyToldWhileItsSilenceEndsPauses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead := w.lead()
	e := w.enroll(lead, w.sequence(sms("Hi", 0, 0), sms("Again", 1, 0)))
	w.tick()
	reply := start().Add(time.Hour)
	w.wrote(lead, reply, reply.Add(time.Minute))
	w.tell(lead, typeReplied, reply, nil)
	w.clock.Set(reply.Add(8 * 24 * time.Hour))
	late := w.clock.Now().Add(-30 * time.Second)
	told := false
	r := w.runner(func(cfg *run.Config) {
		cfg.BeforeCommit = func(ctx context.Context) error {
			if told {
				return nil
			}
			told = true
			w.wrote(lead, late, reply.Add(time.Minute))
			_, err := w.events.HandleLeadEvents(ctx, &followupsv1.HandleLeadEventsRequest{Events: []*followupsv1.LeadEvent{w.event(lead, typeReplied, late)}})
			return err
		}
	})
	if _, err := r.Run(t.Context(), run.Request{}); err != nil {
		t.Fatal(err)
	}
	if w.expect(e, paused, "lead_replied", 2); w.sync.callCount() != 1 {
		t.Fatal("wrote to a lead that had just replied")
	}
}

// Asking for the outcome of a message is no new message: it neither needs a place of the day nor gives its own up.
func TestOutcomeIsAskedForWithoutAPlace(t *testing.T) {
	t.Parallel()
	w := setup(t)
	planted{world: w}.settings(&followupsv1.Settings{DailyCapPerChannel: 1}, "daily_cap_per_channel")
	lead := w.lead()
	e := w.enroll(lead, w.sequence(sms("A", 0, 0), sms("B", 3, 0)))
	w.sync.answerWith(func(*syncv1.SendMessageRequest) (*syncv1.Message, error) {
		return &syncv1.Message{State: syncv1.MessageState_MESSAGE_STATE_UNKNOWN}, nil
	})
	w.tick()
	w.clock.Set(start().AddDate(0, 0, 1))
	w.sync.answerWith(func(req *syncv1.SendMessageRequest) (*syncv1.Message, error) {
		if req.GetBody() == "A" {
			return &syncv1.Message{State: syncv1.MessageState_MESSAGE_STATE_UNKNOWN}, nil
		}
		return nil, nil
	})
	other := w.enroll(lead, w.sequence(sms("C", 0, 0)))
	w.tick()
	w.expect(other, completed, "", 2)
	w.expect(e, awaiting, "awaiting_outcome", 1)
	w.clock.Advance(7 * time.Hour)
	w.tick()
	w.expect(e, awaiting, "awaiting_outcome", 1)
}

// What an enrollment asks of people ends with it, however it ends; what it had asked for when it ran to its end stays.
func TestTasksEndWithTheirEnrollment(t *testing.T) {
	t.Parallel()
	approved := sms("Hi", 0, 0)
	approved.RequiresApproval = true
	for _, tt := range []struct {
		name string
		end  func(w *world, lead, enrollment string)
		want followupsv1.TaskState
	}{
		{"nothing", func(*world, string, string) {}, followupsv1.TaskState_TASK_STATE_PENDING},
		{"by hand", func(w *world, _, enrollment string) {
			if _, err := w.admin.CancelEnrollment(w.t.Context(), &followupsv1.CancelEnrollmentRequest{Name: enrollment}); err != nil {
				w.t.Fatal(err)
			}
		}, followupsv1.TaskState_TASK_STATE_CANCELLED},
		{"a booking", func(w *world, lead, _ string) {
			w.tell(lead, typeBooked, w.clock.Now(), func(event *followupsv1.LeadEvent) { event.BookingId = "b" })
		}, followupsv1.TaskState_TASK_STATE_CANCELLED},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			lead := w.lead()
			e := w.enroll(lead, w.sequence(approved, sms("B", 1, 0)))
			w.tick()
			tt.end(w, lead, e)
			if tasks := w.tasks(); len(tasks) != 1 || tasks[0].GetState() != tt.want {
				t.Fatalf("%v", tasks)
			}
		})
	}
	w := setup(t)
	call := &followupsv1.SequenceStep{Channel: followupsv1.StepChannel_STEP_CHANNEL_CALL, BodyTemplate: "Call"}
	e := w.enroll(w.lead(), w.sequence(call))
	w.tick()
	if w.expect(e, completed, "", 2); w.tasks()[0].GetState() != followupsv1.TaskState_TASK_STATE_PENDING {
		t.Fatal("the last step's task ended with the sequence")
	}
}

// A lead is enrolled in the moment in which its booking comes, so that neither saw the other: the next look completes it.
func TestBookingThatMissedAnEnrollmentEndsIt(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead, other := w.lead(), w.lead()
	sequence := w.sequence(sms("Hi", 0, 0))
	e, control := w.enroll(lead, sequence), w.enroll(other, sequence)
	after := w.enroll(lead, w.triggered(followupsv1.Trigger_TRIGGER_MEETING_SELECTED, nil, sms("Booked", 0, 0)))
	for name, at := range map[string]time.Time{lead: start().AddDate(0, 0, 3), other: start().AddDate(0, 0, -3)} {
		w.exec(`INSERT INTO booking (workspace_id, lead_id, booking_id, state, booking_time, event_time) SELECT workspace_id, lead_id, 'b',
			'booked', '` + at.Format(time.RFC3339) + `', now() FROM enrollment WHERE lead_id = '` + name[len(name)-36:] + `' LIMIT 1`)
	}
	if got := w.explain(e); got.GetSteps()[0].GetDecisions()[0].GetReason() != "meeting_booked" {
		t.Errorf("the explanation foresees %v", got.GetSteps()[0].GetDecisions()[0])
	}
	w.tick()
	w.expect(e, completed, "meeting_booked", 1)
	w.expect(control, completed, "", 2) // its appointment is over
	w.expect(after, completed, "", 2)
	if w.sync.callCount() != 2 {
		t.Fatalf("%d messages", w.sync.callCount())
	}
}
