package followups_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/relance/relance/platform/rpctest"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

func named(id string, step *followupsv1.SequenceStep) *followupsv1.SequenceStep {
	step.StepId = id
	return step
}

func (w *world) update(req *followupsv1.UpdateSequenceRequest, paths ...string) (*followupsv1.UpdateSequenceResponse, error) {
	w.t.Helper()
	req.UpdateMask = &fieldmaskpb.FieldMask{Paths: paths}
	return w.admin.UpdateSequence(w.t.Context(), req)
}

func moveOf(from, to string, count int32) *followupsv1.EnrollmentMove {
	return &followupsv1.EnrollmentMove{FromVersion: 1, FromStepId: from, ToVersion: 2, ToStepId: to, Count: count}
}

func TestMigrationMovesEveryoneOnceAndPreviewsIt(t *testing.T) {
	t.Parallel()
	w := setup(t)
	seq := w.sequence(named("a", sms("A", 0, 0)), named("b", sms("B", 2, 0)), named("c", sms("C", 2, 0)))
	first, second := w.enroll(w.lead(), seq), w.enroll(w.lead(), seq)
	w.tick()
	w.expect(first, active, "", 2)
	late := w.enroll(w.lead(), seq) // still at a
	ahead := w.enroll(w.lead(), seq)
	w.tick()
	w.clock.Advance(48 * time.Hour)
	w.tick() // everyone at c but nobody is at b
	w.expect(ahead, active, "", 3)
	atB := w.enroll(w.lead(), seq)
	w.tick()
	w.expect(atB, active, "", 2)
	atA := w.enroll(w.lead(), seq)

	steps := []*followupsv1.SequenceStep{named("new", sms("N", 0, 0)), named("a", sms("A2", 0, 0)), named("c", sms("C2", 5, 0))}
	ask := func(dry bool) *followupsv1.UpdateSequenceResponse {
		resp, err := w.update(&followupsv1.UpdateSequenceRequest{
			Sequence: &followupsv1.Sequence{Name: seq, Steps: steps}, MigrateEnrollments: true, ValidateOnly: dry,
		}, "steps")
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	preview := ask(true)
	want := []*followupsv1.EnrollmentMove{moveOf("c", "c", 4), moveOf("b", "c", 1), moveOf("a", "a", 1)}
	ignore := protocmp.IgnoreFields(&followupsv1.EnrollmentMove{}, "sample_enrollments")
	if diff := cmp.Diff(want, preview.GetMoves(), protocmp.Transform(), ignore); diff != "" {
		t.Fatal(diff)
	}
	if e := w.enrollment(atB); e.GetSequenceVersion() != 1 || e.GetNextStepPosition() != 2 {
		t.Fatalf("the preview moved: %v", e)
	}
	if got, _ := w.admin.GetSequence(t.Context(), &followupsv1.GetSequenceRequest{Name: seq}); got.GetSequence().GetVersion() != 1 {
		t.Fatalf("the preview was stored: %v", got)
	}
	done := ask(false)
	if diff := cmp.Diff(preview, done, protocmp.Transform(), protocmp.IgnoreFields(&followupsv1.Sequence{}, "update_time")); diff != "" {
		t.Fatalf("the preview promised otherwise: %s", diff)
	}
	for name, position := range map[string]int32{first: 3, second: 3, late: 3, ahead: 3, atB: 3, atA: 2} {
		if e := w.enrollment(name); e.GetSequenceVersion() != 2 || e.GetNextStepPosition() != position {
			t.Errorf("%v", e)
		}
	}
	calls := w.sync.callCount()
	w.tick() // A2 for atA; c has another delay now, counted anew from when b was done: 5 days
	w.clock.Advance(5*24*time.Hour - time.Minute)
	w.tick()
	if got := w.sync.callCount() - calls; got != 1 {
		t.Fatalf("%d messages before the new delay was over", got)
	}
	w.clock.Advance(12 * 24 * time.Hour)
	w.tick()
	w.expect(first, completed, "", 4)
	seen := map[string]bool{}
	for _, call := range w.sync.calls {
		key := call.GetLead() + call.GetBody()[:1]
		if seen[key] {
			t.Errorf("%s was sent twice", key)
		}
		seen[key] = true
	}
}

func TestMigrationHoldsBackWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	w := setup(t)
	seq := w.sequence(named("a", sms("A", 0, 0)), named("b", sms("B", 1, 0)))
	w.sync.answerWith(func(*syncv1.SendMessageRequest) (*syncv1.Message, error) {
		return &syncv1.Message{Name: w.workspace + "/messages/" + uuid.NewString(), State: syncv1.MessageState_MESSAGE_STATE_UNKNOWN}, nil
	})
	waiting := w.enroll(w.lead(), seq)
	w.tick()
	w.expect(waiting, awaiting, "awaiting_outcome", 1)
	free := w.enroll(w.lead(), seq)
	steps := []*followupsv1.SequenceStep{named("b", sms("B", 1, 0))}
	resp, err := w.update(&followupsv1.UpdateSequenceRequest{
		Sequence: &followupsv1.Sequence{Name: seq, Steps: steps}, MigrateEnrollments: true, StepMoves: map[string]string{"a": ""},
	}, "steps")
	if err != nil || len(resp.GetMoves()) != 2 {
		t.Fatalf("%v, %v", resp, err)
	}
	held := resp.GetMoves()[0]
	if held.GetHeldBackReason() != "send_in_progress" || held.GetToVersion() != 1 || held.GetSampleEnrollments()[0] != waiting {
		t.Fatalf("%v", held)
	}
	w.expect(waiting, awaiting, "awaiting_outcome", 1)
	w.expect(free, completed, "migrated_to_the_end", 1)

	_, err = w.update(&followupsv1.UpdateSequenceRequest{
		Sequence: &followupsv1.Sequence{Name: seq}, MigrateEnrollments: true, StepMoves: map[string]string{"zz": "b", "a": "nope"},
	})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 2 {
		t.Fatalf("%+v", e.Violations)
	}
	_, err = w.update(&followupsv1.UpdateSequenceRequest{Sequence: &followupsv1.Sequence{Name: seq}, StepMoves: map[string]string{"a": ""}}, "steps")
	rpctest.RequireError(t, err, codes.InvalidArgument, "")
}

// A version is sealed by the database: no statement changes it, whoever writes it.
func TestVersionsAreSealed(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.sequence(sms("A", 0, 0))
	const scope = `SELECT set_config('relance.scope', 'system', true);`
	for name, statement := range map[string]string{
		"change a step":        `UPDATE sequence_step SET body_template = 'x'`,
		"delete a step":        `DELETE FROM sequence_step`,
		"add a step":           `INSERT INTO sequence_step SELECT workspace_id, sequence_id, version, 2, channel, delay_days, delay_minutes, subject_template, body_template, 'x' FROM sequence_step`,
		"open a version":       `UPDATE sequence_version SET sealed = false`,
		"delete a version":     `DELETE FROM sequence_version`,
		"leave a version open": `INSERT INTO sequence_version SELECT workspace_id, sequence_id, 2, false, create_time FROM sequence_version`,
	} {
		_, err := w.pool.Exec(t.Context(), scope+statement)
		if err == nil || !strings.Contains(err.Error(), "version") {
			t.Errorf("%s: %v", name, err)
		}
	}
	var steps int
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), scope); err != nil {
		t.Fatal(err)
	}
	if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM sequence_step`).Scan(&steps); err != nil || steps != 1 {
		t.Fatalf("%d steps, %v", steps, err)
	}
}

func TestSequenceRoundTrip(t *testing.T) {
	t.Parallel()
	w := setup(t)
	in := &followupsv1.Sequence{
		DisplayName: "Whole", Description: "All fields", Active: true, Trigger: followupsv1.Trigger_TRIGGER_NO_RESPONSE,
		TriggerOptions: &followupsv1.TriggerOptions{
			NoResponseMinutes: 90, Channel: followupsv1.StepChannel_STEP_CHANNEL_SMS, ReEnroll: followupsv1.ReEnroll_RE_ENROLL_AFTER,
			ReEnrollAfterDays: 30,
		},
		RefusalRules: []*followupsv1.RefusalRule{{Reason: "DND_ACTIVE", Action: followupsv1.RefusalAction_REFUSAL_ACTION_PAUSE}},
		Steps: []*followupsv1.SequenceStep{{
			Position: 1, StepId: "one", Channel: followupsv1.StepChannel_STEP_CHANNEL_EMAIL, DelayDays: 2, DelayMinutes: 3,
			Anchor: followupsv1.StepAnchor_STEP_ANCHOR_START, Condition: followupsv1.StepCondition_STEP_CONDITION_NO_RESPONSE,
			Expression: "lead.replied", RequiresApproval: true, SendWithinMinutes: 600, SubjectTemplate: "S", BodyTemplate: "B",
			RefusalRules: []*followupsv1.RefusalRule{{Reason: "NO_EMAIL", Action: followupsv1.RefusalAction_REFUSAL_ACTION_STOP}},
		}},
	}
	created, err := w.admin.CreateSequence(t.Context(), &followupsv1.CreateSequenceRequest{Parent: w.workspace, Sequence: in})
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.admin.GetSequence(t.Context(), &followupsv1.GetSequenceRequest{Name: created.GetSequence().GetName()})
	if err != nil {
		t.Fatal(err)
	}
	output := protocmp.IgnoreFields(&followupsv1.Sequence{}, "name", "version", "create_time", "update_time")
	if diff := cmp.Diff(in, got.GetSequence(), protocmp.Transform(), output); diff != "" {
		t.Fatal(diff)
	}
	// The same steps again are no new version; other ones are.
	resp, err := w.update(&followupsv1.UpdateSequenceRequest{Sequence: got.GetSequence()}, "steps", "refusal_rules")
	if err != nil || resp.GetSequence().GetVersion() != 1 {
		t.Fatalf("%v, %v", resp, err)
	}
	changed := &followupsv1.Sequence{Name: got.GetSequence().GetName(), Trigger: followupsv1.Trigger_TRIGGER_MANUAL}
	resp, err = w.update(&followupsv1.UpdateSequenceRequest{Sequence: changed}, "trigger")
	if err != nil || resp.GetSequence().GetTriggerOptions() != nil || resp.GetSequence().GetVersion() != 1 {
		t.Fatalf("another trigger has other options: %v, %v", resp, err)
	}
}
