package followups_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/rpctest"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// TestChannelSwitch switches texts off between two steps: the text waits, an email of another lead leaves, and the text goes
// on when the switch is back.
func TestChannelSwitch(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := planted{world: w}
	texts, emails := w.enroll(w.lead(), w.sequence(sms("Hi", 0, 0), sms("Again", 1, 0))), w.enroll(w.lead(), w.sequence(email("S", "B", 1)))
	w.tick()
	w.expect(texts, active, "", 2)
	off := []followupsv1.StepChannel{followupsv1.StepChannel_STEP_CHANNEL_SMS}
	p.settings(&followupsv1.Settings{PausedChannels: off}, "paused_channels")
	w.clock.Set(start().AddDate(0, 0, 1))
	if got := w.tick().GetResults(); got.GetSucceeded() != 1 || got.GetDeferred() != 1 {
		t.Fatalf("%v", got)
	}
	w.expect(texts, active, "channel_paused", 2)
	w.expect(emails, completed, "", 2)
	if w.tick().GetResults().GetProcessed() != 0 {
		t.Error("looked at again at once")
	}
	settings, err := w.admin.GetSettings(t.Context(), &followupsv1.GetSettingsRequest{Parent: w.workspace})
	if err != nil || len(settings.GetSettings().GetPausedChannels()) != 1 {
		t.Fatalf("%v, %v", settings, err)
	}
	p.settings(&followupsv1.Settings{}, "paused_channels")
	if got := w.tick().GetResults(); got.GetSucceeded() != 1 {
		t.Fatalf("switched on again: %v", got)
	}
	w.expect(texts, completed, "", 3)
	_, err = w.admin.UpdateSettings(t.Context(), &followupsv1.UpdateSettingsRequest{
		Parent:     w.workspace,
		Settings:   &followupsv1.Settings{PausedChannels: []followupsv1.StepChannel{followupsv1.StepChannel_STEP_CHANNEL_WAIT}, GhostAfterDays: 91},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"paused_channels", "ghost_after_days"}},
	})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 2 {
		t.Fatalf("%+v", e.Violations)
	}
}

// TestReplyPausesUnlessTheSequenceGoesOn tells a reply to a lead in two sequences, of which one goes on.
func TestReplyPausesUnlessTheSequenceGoesOn(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead := w.lead()
	pauses, goesOn := w.sequence(sms("Hi", 0, 0), sms("Again", 1, 0)), w.sequence(email("S", "B", 0), email("S", "C", 1))
	updated, err := w.admin.UpdateSequence(t.Context(), &followupsv1.UpdateSequenceRequest{
		Sequence: &followupsv1.Sequence{Name: goesOn, ContinueOnReply: true}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"continue_on_reply"}},
	})
	if err != nil || !updated.GetSequence().GetContinueOnReply() || updated.GetSequence().GetVersion() != 1 {
		t.Fatalf("%v, %v", updated, err)
	}
	one, other := w.enroll(lead, pauses), w.enroll(lead, goesOn)
	w.tick()
	reply := start().Add(time.Hour)
	w.sync.mu.Lock()
	w.sync.leads[lead].LastInboundTime = timestamppb.New(reply)
	w.sync.mu.Unlock()
	w.tell(lead, typeReplied, reply, nil)
	w.clock.Set(start().AddDate(0, 0, 1).Add(time.Minute))
	w.tick()
	w.expect(one, paused, "lead_replied", 2)
	w.expect(other, completed, "", 3)
	for _, call := range w.sync.calls {
		if guarded := call.GetUnlessRepliedSince() != nil; guarded != (call.GetChannel() == syncv1.Channel_CHANNEL_SMS) {
			t.Errorf("%v", call)
		}
	}
}

func TestGhostDaysAreASetting(t *testing.T) {
	t.Parallel()
	w := setup(t)
	planted{world: w}.settings(&followupsv1.Settings{GhostAfterDays: 2}, "ghost_after_days")
	lead := w.lead()
	e := w.enroll(lead, w.sequence(sms("Hi", 0, 0), sms("Again", 1, 0)))
	w.tick()
	reply := start().Add(time.Hour)
	w.wrote(lead, reply, reply.Add(time.Minute))
	w.tell(lead, typeReplied, reply, nil)
	w.clock.Set(reply.AddDate(0, 0, 1))
	w.tick()
	if got := w.expect(e, paused, "lead_replied", 2); !got.GetNextStepTime().AsTime().Equal(reply.AddDate(0, 0, 2)) {
		t.Fatalf("looked at next at %v", got.GetNextStepTime().AsTime())
	}
	plans, _, err := w.simulate(&followupsv1.SimulateSequenceRequest{Name: w.enrollment(e).GetSequence()})
	if err != nil || len(plans) != 1 || !plans[0].GetEnds() {
		t.Errorf("the end of the silence is not foretold: %v, %v", plans, err)
	}
	w.clock.Set(reply.AddDate(0, 0, 2).Add(-time.Minute))
	if w.tick().GetPauses().GetChecked() != 0 {
		t.Error("looked at early")
	}
	w.clock.Set(reply.AddDate(0, 0, 2))
	w.tick()
	w.expect(e, completed, "", 3)
}
