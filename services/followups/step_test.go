package followups_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/relance/relance/platform/rpctest"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

func (w *world) task(channel followupsv1.StepChannel) *followupsv1.Task {
	w.t.Helper()
	for _, task := range w.tasks() {
		if task.GetChannel() == channel {
			return task
		}
	}
	w.t.Fatalf("no task on %s among %v", channel, w.tasks())
	return nil
}

func TestStepsOfEveryKind(t *testing.T) {
	t.Parallel()
	w := setup(t)
	e := w.enroll(w.lead(), w.sequence(
		&followupsv1.SequenceStep{Channel: followupsv1.StepChannel_STEP_CHANNEL_LINKEDIN, BodyTemplate: "Connect with {firstName}"},
		&followupsv1.SequenceStep{Channel: followupsv1.StepChannel_STEP_CHANNEL_WAIT, DelayMinutes: 10},
		sms("[[Hi|Hi]] {lastName|friend}", 0, 0),
		&followupsv1.SequenceStep{
			Channel: followupsv1.StepChannel_STEP_CHANNEL_SMS, BodyTemplate: "never", Expression: "lead.company == 'Nobody'",
		},
		&followupsv1.SequenceStep{
			Channel: followupsv1.StepChannel_STEP_CHANNEL_SMS, BodyTemplate: "never",
			Condition: followupsv1.StepCondition_STEP_CONDITION_LINKEDIN_CONNECTED,
		},
		&followupsv1.SequenceStep{
			Channel: followupsv1.StepChannel_STEP_CHANNEL_CALL, BodyTemplate: "Call {firstName}", RequiresApproval: true,
			Anchor: followupsv1.StepAnchor_STEP_ANCHOR_START, DelayMinutes: 30,
		},
	))
	w.tick()
	if task := w.task(followupsv1.StepChannel_STEP_CHANNEL_LINKEDIN); task.GetState() != followupsv1.TaskState_TASK_STATE_PENDING ||
		task.GetSuggestedBody() != "Connect with Ada" {
		t.Fatalf("%v", task)
	}
	w.expect(e, active, "", 2)
	w.clock.Advance(10 * time.Minute)
	w.tick()
	w.expect(e, active, "", 6)
	if len(w.sync.calls) != 1 || w.sync.calls[0].GetBody() != "Hi friend" {
		t.Fatalf("%v", w.sync.calls)
	}
	if due := w.enrollment(e).GetNextStepTime().AsTime(); !due.Equal(start().Add(30 * time.Minute)) {
		t.Fatalf("a step anchored to the start is due at %v", due)
	}
	w.clock.Advance(20 * time.Minute)
	w.tick()
	w.expect(e, paused, "awaiting_approval", 6)
	if task := w.task(followupsv1.StepChannel_STEP_CHANNEL_CALL); task.GetSuggestedBody() != "Call Ada" {
		t.Fatalf("%v", task)
	}
}

func TestMessageThatNeedsApprovalIsNotSent(t *testing.T) {
	t.Parallel()
	w := setup(t)
	step := email("For {firstName}", "Hi", 0)
	step.RequiresApproval = true
	e := w.enroll(w.lead(), w.sequence(step))
	w.tick()
	w.expect(e, paused, "awaiting_approval", 1)
	task := w.task(followupsv1.StepChannel_STEP_CHANNEL_EMAIL)
	if task.GetSuggestedSubject() != "For Ada" || len(w.sync.calls) != 0 {
		t.Fatalf("%v, %d calls", task, len(w.sync.calls))
	}
}

func TestLateStepIsSkipped(t *testing.T) {
	t.Parallel()
	w := setup(t)
	late := sms("Good morning", 0, 0)
	late.SendWithinMinutes = 60
	e := w.enroll(w.lead(), w.sequence(late, sms("B", 0, 0)))
	w.clock.Advance(61 * time.Minute)
	w.tick()
	w.tick()
	w.expect(e, completed, "", 3)
	if len(w.sync.calls) != 1 || w.sync.calls[0].GetBody() != "B" {
		t.Fatalf("%v", w.sync.calls)
	}
	w.enroll(w.lead(), w.sequence(late)) // in time
	w.tick()
	if len(w.sync.calls) != 2 {
		t.Fatal("the control was not sent")
	}
}

// A policy of hold waits for the event without asking anybody, and goes on without the step when its maximum has come.
func TestHoldForAnEventHasAMaximum(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.sync.answerWith(func(*syncv1.SendMessageRequest) (*syncv1.Message, error) { return nil, refusal("DND_ACTIVE") })
	step := sms("Hi", 0, 0)
	step.RefusalRules = []*followupsv1.RefusalRule{{
		Reason: "DND_ACTIVE", Action: followupsv1.RefusalAction_REFUSAL_ACTION_HOLD, MaxHold: durationpb.New(48 * time.Hour),
	}}
	e := w.enroll(w.lead(), w.sequence(step, email("S", "B", 30)))
	w.tick()
	w.expect(e, active, "DND_ACTIVE", 1)
	for range 47 {
		w.clock.Advance(time.Hour)
		w.tick()
	}
	if w.sync.callCount() != 1 {
		t.Fatalf("%d calls while holding", w.sync.callCount())
	}
	w.clock.Advance(time.Hour)
	w.tick()
	w.expect(e, active, "", 2)
	if task := w.tasks()[0]; w.sync.callCount() != 1 || task.GetReason() != "DND_ACTIVE" || task.GetState() != followupsv1.TaskState_TASK_STATE_SKIPPED {
		t.Fatalf("%d calls, %v", w.sync.callCount(), task)
	}
}

func TestRefusalPolicyByLayer(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.sync.answerWith(func(*syncv1.SendMessageRequest) (*syncv1.Message, error) { return nil, refusal("NO_PHONE") })
	rule := func(action followupsv1.RefusalAction) []*followupsv1.RefusalRule {
		return []*followupsv1.RefusalRule{{Reason: "NO_PHONE", Action: action}}
	}
	settings := func(rules []*followupsv1.RefusalRule) error {
		_, err := w.admin.UpdateSettings(t.Context(), &followupsv1.UpdateSettingsRequest{
			Parent: w.workspace, Settings: &followupsv1.Settings{RefusalRules: rules},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"refusal_rules"}},
		})
		return err
	}
	plain := w.enroll(w.lead(), w.sequence(sms("Hi", 0, 0), sms("Hi", 1, 0)))
	w.tick()
	w.expect(plain, active, "", 2) // the default: skip and go on
	if err := settings(rule(followupsv1.RefusalAction_REFUSAL_ACTION_PAUSE)); err != nil {
		t.Fatal(err)
	}
	stopping := sms("Hi", 0, 0)
	stopping.RefusalRules = rule(followupsv1.RefusalAction_REFUSAL_ACTION_STOP)
	byWorkspace, byStep := w.enroll(w.lead(), w.sequence(sms("Hi", 0, 0))), w.enroll(w.lead(), w.sequence(stopping))
	w.tick()
	w.expect(byWorkspace, paused, "NO_PHONE", 1)
	w.expect(byStep, cancelled, "NO_PHONE", 1)

	err := settings(append(rule(followupsv1.RefusalAction_REFUSAL_ACTION_DEFER), &followupsv1.RefusalRule{Reason: "OPTED_OUT", Action: 1},
		&followupsv1.RefusalRule{Reason: "NOPE", Action: 1}, &followupsv1.RefusalRule{Reason: "DND_ACTIVE", Action: 2, MaxHold: durationpb.New(time.Minute)}))
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 4 {
		t.Fatalf("a lasting refusal may not be deferred, an opt-out not be overridden: %+v", e.Violations)
	}
}

func TestValidateSequenceTellsPolicyAndOrigin(t *testing.T) {
	t.Parallel()
	w := setup(t)
	step := sms("{nope} [[a|", 0, 0)
	step.RefusalRules = []*followupsv1.RefusalRule{{Reason: "DND_ACTIVE", Action: followupsv1.RefusalAction_REFUSAL_ACTION_HOLD}}
	resp, err := w.admin.ValidateSequence(t.Context(), &followupsv1.ValidateSequenceRequest{
		Parent: w.workspace, Sequence: &followupsv1.Sequence{DisplayName: "x", Steps: []*followupsv1.SequenceStep{step}},
	})
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]bool{}
	for _, v := range resp.GetViolations() {
		if v.GetRemedy() == "" || v.GetStepId() != "step-1" {
			t.Errorf("%v", v)
		}
		codes[v.GetCode()] = true
	}
	if !codes["unknown_token"] || !codes["spintax_error"] {
		t.Errorf("%v", resp.GetViolations())
	}
	for _, rule := range resp.GetPolicies()[0].GetRules() {
		held := rule.GetReason() == "DND_ACTIVE"
		if held && (rule.GetOrigin() != followupsv1.PolicyOrigin_POLICY_ORIGIN_STEP || rule.GetMaxHold().AsDuration() != 72*time.Hour) {
			t.Errorf("%v", rule)
		}
		if !held && rule.GetOrigin() != followupsv1.PolicyOrigin_POLICY_ORIGIN_DEFAULT {
			t.Errorf("%v", rule)
		}
	}
}
