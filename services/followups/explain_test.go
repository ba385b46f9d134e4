package followups_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/rpctest"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups/internal/store"
)

// situation is one reason for which a step is not sent, planted into a world with a two-step enrollment whose first
// step is due.
type situation struct {
	name string
	// plant makes it so; the default is a tick afterwards.
	plant func(p planted)
	// untried asks without a tick: what was never attempted is explained too.
	untried bool
	// body of the first step; default "Hi {firstName}".
	body string
	// reason and rule are what the explanation of the first step must name.
	reason, rule string
}

type planted struct {
	*world
	lead, sequence, enrollment string
}

func (p planted) refuse(err error) {
	p.sync.answerWith(func(*syncv1.SendMessageRequest) (*syncv1.Message, error) { return nil, err })
}

func (p planted) change(fn func(*syncv1.Lead)) {
	p.sync.mu.Lock()
	defer p.sync.mu.Unlock()
	fn(p.sync.leads[p.lead])
}

func (p planted) settings(in *followupsv1.Settings, paths ...string) {
	p.t.Helper()
	_, err := p.admin.UpdateSettings(p.t.Context(), &followupsv1.UpdateSettingsRequest{
		Parent: p.workspace, Settings: in, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths},
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p planted) deactivate() {
	p.t.Helper()
	_, err := p.admin.UpdateSequence(p.t.Context(), &followupsv1.UpdateSequenceRequest{
		Sequence: &followupsv1.Sequence{Name: p.sequence}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"active"}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

func situations() []situation {
	refused := func(name string, err error, reason string) situation {
		return situation{name: name, plant: func(p planted) { p.refuse(err) }, reason: reason, rule: "send"}
	}
	dnd := func(p planted) {
		p.change(func(l *syncv1.Lead) {
			l.Channels = []*syncv1.ChannelState{{Channel: syncv1.Channel_CHANNEL_SMS, Status: syncv1.ChannelStatus_CHANNEL_STATUS_DND}}
		})
	}
	noPhone := func(p planted) { p.change(func(l *syncv1.Lead) { l.Phone = "" }) }
	replied := func(p planted) {
		p.change(func(l *syncv1.Lead) { l.LastInboundTime = timestamppb.New(start().Add(time.Minute)) })
	}
	quiet := typed(refusal("QUIET_HOURS")).With("next_allowed_time", "2026-01-08T13:00:00Z").With("rule", "us-tcpa")
	frequent := typed(refusal("FREQUENCY_CAP")).With("cap", "3 in 24 h").With("resets_at", "2026-01-08T15:00:00Z")
	return []situation{
		refused("dnd", refusal("DND_ACTIVE"), "DND_ACTIVE"),
		{name: "dnd, never tried", plant: dnd, untried: true, reason: "DND_ACTIVE", rule: "send"},
		refused("quiet hours", quiet, "QUIET_HOURS"),
		refused("frequency cap", frequent, "FREQUENCY_CAP"),
		refused("opted out", refusal("OPTED_OUT"), "OPTED_OUT"),
		refused("replied in the last moment", refusal("LEAD_REPLIED"), "lead_replied"),
		refused("invalid phone", refusal("INVALID_PHONE"), "INVALID_PHONE"),
		refused("provider not connected", refusal("PROVIDER_NOT_CONNECTED"), "provider_not_connected"),
		refused("token revoked", refusal("PROVIDER_AUTH_REVOKED"), "PROVIDER_AUTH_REVOKED"),
		refused("provider away", apierr.New(codes.Unavailable, "sync.relance.dev", "PROVIDER_UNAVAILABLE", "x"), "PROVIDER_UNAVAILABLE"),
		refused("unknown words", refusal("REFUSED_UNCLASSIFIED"), "REFUSED_UNCLASSIFIED"),
		{name: "no phone, never tried", plant: noPhone, untried: true, reason: "NO_PHONE", rule: "send"},
		{name: "replied", plant: replied, reason: "lead_replied", rule: "no_reply_since"},
		{name: "replied, never tried", plant: replied, untried: true, reason: "lead_replied", rule: "no_reply_since"},
		{
			name: "workspace paused", reason: "workspace_paused", rule: "workspace_not_paused",
			plant: func(p planted) {
				p.settings(&followupsv1.Settings{PausedUntilTime: timestamppb.New(start().AddDate(0, 0, 3))}, "paused_until_time")
			},
		},
		{
			name: "business hours", untried: true, reason: "outside_business_hours", rule: "business_hours",
			plant: func(p planted) { p.clock.Set(time.Date(2026, 1, 10, 3, 0, 0, 0, time.UTC)) },
		},
		{name: "sequence off", plant: planted.deactivate, reason: "sequence_inactive", rule: "sequence_active"},
		{name: "blocked", plant: func(p planted) { p.change(func(l *syncv1.Lead) { l.Blocked = true }) }, reason: "LEAD_BLOCKED", rule: "lead_not_blocked"},
		{
			name: "sending switched off", reason: "sending_disabled", rule: "sending_enabled",
			plant: func(p planted) { p.sync.mu.Lock(); p.sync.disabled = true; p.sync.mu.Unlock() },
		},
		{name: "token missing", body: "Hi {firstName}, {senderName} here", plant: func(planted) {}, reason: "missing_value: {senderName}", rule: "content"},
		{
			name: "no calendar", body: "When? {availability}", reason: "missing_availability", rule: "content",
			plant: func(p planted) {
				p.availability.err = apierr.New(codes.FailedPrecondition, "availability.relance.dev", "NO_DEFAULT_CALENDAR", "none")
			},
		},
		{
			name: "zone unknown", reason: "unknown_zone", rule: "zone_known",
			plant: func(p planted) { p.sync.mu.Lock(); p.sync.zone = "Mars/X"; p.sync.mu.Unlock() },
		},
		{
			name: "lead gone", reason: "lead_gone", rule: "lead_exists",
			plant: func(p planted) { p.sync.mu.Lock(); delete(p.sync.leads, p.lead); p.sync.mu.Unlock() },
		},
		{
			name: "sync away", reason: "sync_unavailable", rule: "services_answer",
			plant: func(p planted) { p.sync.down.Store(true); p.tick(); p.sync.down.Store(false) },
		},
	}
}

func TestExplanationNamesEverySituation(t *testing.T) {
	t.Parallel()
	if len(situations()) < 20 {
		t.Fatal("too few situations")
	}
	for _, s := range situations() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			if s.body == "" {
				s.body = "Hi {firstName}"
			}
			p := planted{world: w, lead: w.lead(), sequence: w.oldSequence(sms(s.body, 0, 0), email("S", "B", 2))}
			p.enrollment = w.enroll(p.lead, p.sequence)
			s.plant(p)
			if !s.untried {
				w.tick()
			}
			sent := w.sync.callCount()
			got := w.explain(p.enrollment)
			if w.sync.callCount() != sent {
				t.Fatal("an explanation sent something")
			}
			first := got.GetSteps()[0]
			if !names(first, s, s.untried) {
				t.Fatalf("step 1 does not name %s by %s: %v", s.reason, s.rule, first)
			}
			if got.GetEnrollment().GetNextStepPosition() == 1 && !strings.Contains(got.GetSummary(), s.reason) &&
				got.GetEnrollment().GetState() != cancelled {
				t.Fatalf("summary: %s", got.GetSummary())
			}
			if len(got.GetSteps()) != 2 {
				t.Fatalf("%d steps explained", len(got.GetSteps()))
			}
		})
	}
}

// names tells whether a decision of the step has the reason, with the rule as its last check.
func names(step *followupsv1.StepExplanation, s situation, foreseen bool) bool {
	for _, d := range step.GetDecisions() {
		last := d.GetChecks()[len(d.GetChecks())-1]
		if d.GetForeseen() == foreseen && d.GetReason() == s.reason && last.GetRule() == s.rule && !last.GetPassed() {
			return true
		}
	}
	return false
}

func (w *world) explain(enrollment string) *followupsv1.EnrollmentExplanation {
	w.t.Helper()
	resp, err := w.admin.ExplainEnrollment(w.t.Context(), &followupsv1.ExplainEnrollmentRequest{Name: enrollment})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.GetExplanation()
}

func TestExplanationOfPastPresentAndFuture(t *testing.T) {
	t.Parallel()
	w := setup(t)
	e := w.enroll(w.lead(), w.sequence(sms("Hi", 0, 0), sms("Again", 1, 0), email("S", "B", 2)))
	w.tick()
	got := w.explain(e)
	phases := []followupsv1.StepPhase{
		followupsv1.StepPhase_STEP_PHASE_PAST, followupsv1.StepPhase_STEP_PHASE_PRESENT, followupsv1.StepPhase_STEP_PHASE_FUTURE,
	}
	for i, step := range got.GetSteps() {
		last := step.GetDecisions()[len(step.GetDecisions())-1]
		if step.GetPhase() != phases[i] || last.GetOutcome() != "succeeded" || last.GetForeseen() != (i > 0) || len(last.GetChecks()) < 8 {
			t.Fatalf("step %d: %v", i+1, step)
		}
	}
	// The future is what then happens: same days, same outcomes.
	for _, step := range got.GetSteps()[1:] {
		at := step.GetDecisions()[len(step.GetDecisions())-1].GetTime().AsTime()
		w.clock.Set(at.Add(-time.Second))
		if w.tick().GetResults().GetSucceeded() != 0 {
			t.Fatal("earlier than foreseen")
		}
		w.clock.Set(at)
		if w.tick().GetResults().GetSucceeded() != 1 {
			t.Fatalf("step %d was not sent when foreseen", step.GetPosition())
		}
	}
	w.expect(e, completed, "", 4)
	if got := w.explain(e); got.GetSummary() != "Completed: every step is decided" || got.GetNextLookTime() != nil {
		t.Fatalf("%v", got)
	}
}

// What a refusal means is data, and the explanation tells which rule of it decided, in the past and ahead.
func TestExplanationShowsTheRefusalPolicy(t *testing.T) {
	t.Parallel()
	w := setup(t)
	held := sms("Again", 1, 0)
	held.RefusalRules = []*followupsv1.RefusalRule{{Reason: "DND_ACTIVE", Action: followupsv1.RefusalAction_REFUSAL_ACTION_HOLD}}
	lead := w.lead()
	e := w.enroll(lead, w.sequence(sms("Hi", 0, 0), held, email("S", "B", 1)))
	w.sync.leads[lead].Channels = []*syncv1.ChannelState{{Channel: syncv1.Channel_CHANNEL_SMS}}
	w.sync.answerWith(w.sync.gate)
	w.tick()
	for i, want := range []string{"skip by default", "hold by step", " by "} {
		decisions := w.explain(e).GetSteps()[i].GetDecisions()
		checks := decisions[0].GetChecks()
		said := map[string]string{}
		for _, input := range checks[len(checks)-1].GetInputs() {
			said[input.GetName()] = input.GetValue()
		}
		if got := said["policy_action"] + " by " + said["policy_origin"]; got != want {
			t.Errorf("step %d: %q, want %q: %v", i+1, got, want, decisions)
		}
	}
}

// Decision records are kept by policy: what was last confirmed before the time goes, in parts, and what came later stays.
func TestOldDecisionsAreRemoved(t *testing.T) {
	t.Parallel()
	w := setup(t)
	old := w.enroll(w.lead(), w.sequence(sms("Hi", 0, 0), sms("Again", 30, 0), sms("Bye", 30, 0)))
	w.tick()
	w.clock.Advance(33 * 24 * time.Hour) // a Monday
	w.tick()
	rows := store.New(w.pool)
	before := w.clock.Now().Add(-24 * time.Hour)
	for _, want := range []int{1, 0} {
		if got, err := rows.DeleteOldDecisions(t.Context(), before, 10); err != nil || got != want {
			t.Fatalf("%d removed, want %d: %v", got, want, err)
		}
	}
	steps := w.explain(old).GetSteps()
	if len(steps[0].GetDecisions()) != 0 || len(steps[1].GetDecisions()) != 1 || steps[1].GetDecisions()[0].GetForeseen() {
		t.Fatalf("%v", steps)
	}
}

func TestRepeatedDecisionKeepsOneRecord(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.sync.answerWith(func(*syncv1.SendMessageRequest) (*syncv1.Message, error) { return nil, refusal("LOCATION_INACTIVE") })
	e := w.enroll(w.lead(), w.sequence(sms("Hi", 0, 0)))
	for range 4 {
		w.tick()
		w.clock.Advance(time.Hour)
	}
	decisions := w.explain(e).GetSteps()[0].GetDecisions()
	if decisions[0].GetTimes() != 4 || decisions[0].GetReason() != "LOCATION_INACTIVE" || decisions[1].GetForeseen() != true {
		t.Fatalf("%v", decisions)
	}
}

func TestExplainRefusesStrangers(t *testing.T) {
	t.Parallel()
	w := setup(t)
	_, err := w.admin.ExplainEnrollment(t.Context(), &followupsv1.ExplainEnrollmentRequest{Name: w.workspace + "/enrollments/x"})
	rpctest.RequireError(t, err, codes.InvalidArgument, "")
	_, err = w.admin.ExplainEnrollment(t.Context(), &followupsv1.ExplainEnrollmentRequest{
		Name: w.workspace + "/enrollments/00000000-0000-0000-0000-000000000001",
	})
	rpctest.RequireError(t, err, codes.NotFound, "")
}

// typed is the typed error behind err.
func typed(err error) *apierr.Error {
	e, _ := apierr.From(err)
	return e
}
