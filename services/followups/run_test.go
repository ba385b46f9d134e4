package followups_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/postgres"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/name"
	"github.com/relance/relance/services/followups/internal/run"
)

func TestSequenceRunsToItsEnd(t *testing.T) {
	t.Parallel()
	w := setup(t)
	e := w.enroll(w.lead(), w.sequence(sms("Hi {firstName}", 0, 0), email("For {firstName}", "{availability}? {calendarLink}", 2), sms("Bye", 0, 30)))
	if got := w.tick().GetResults(); got.GetSucceeded() != 1 || got.GetProcessed() != 1 {
		t.Fatalf("first tick: %v", got)
	}
	after := w.expect(e, active, "", 2)
	if want := start().AddDate(0, 0, 2); !after.GetNextStepTime().AsTime().Equal(want) {
		t.Fatalf("second step at %v, want %v", after.GetNextStepTime().AsTime(), want)
	}
	if got := w.tick().GetResults(); got.GetProcessed() != 0 {
		t.Fatalf("nothing was due: %v", got)
	}
	w.clock.Set(start().AddDate(0, 0, 2))
	w.tick()
	w.clock.Advance(30 * time.Minute)
	receipt := w.tick()
	w.expect(e, completed, "", 4)
	if len(w.sync.calls) != 3 || w.sync.calls[0].GetBody() != "Hi Ada" ||
		w.sync.calls[1].GetHtml() != "<p>slot A1 or slot B? https://book.example.com/acme</p>" || w.sync.calls[1].GetSubject() != "For Ada" {
		t.Fatalf("calls: %v", w.sync.calls)
	}
	tasks := w.tasks()
	if len(tasks) != 3 || tasks[2].GetState() != followupsv1.TaskState_TASK_STATE_COMPLETED || tasks[2].GetMessage() == "" {
		t.Fatalf("tasks: %v", tasks)
	}
	read, err := w.cron.GetRun(t.Context(), &followupsv1.GetRunRequest{Name: receipt.GetName()})
	if err != nil || !read.GetRun().GetFinished() || len(read.GetRun().GetWorkspaces()) != 1 {
		t.Fatalf("GetRun: %v, %v", read, err)
	}
}

func TestRefusalsMoveTheEnrollment(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		err      error
		outcome  string
		state    followupsv1.EnrollmentState
		reason   string
		position int32
		tasks    int
	}{
		{"dnd", refusal("DND_ACTIVE"), "skipped", active, "", 2, 1},
		{"no phone", refusal("NO_PHONE"), "skipped", active, "", 2, 1},
		{"unclassified", refusal("REFUSED_UNCLASSIFIED"), "skipped", active, "", 2, 1},
		{"opted out", refusal("OPTED_OUT"), "skipped", cancelled, "OPTED_OUT", 1, 1},
		{"blocked", refusal("LEAD_BLOCKED"), "skipped", cancelled, "LEAD_BLOCKED", 1, 0},
		{"replied", refusal("LEAD_REPLIED"), "skipped", paused, "lead_replied", 1, 0},
		{"nothing to say", refusal("EMPTY_CONTENT"), "skipped", paused, "missing_content", 1, 0},
		{"not connected", refusal("PROVIDER_NOT_CONNECTED"), "skipped", paused, "provider_not_connected", 1, 0},
		{"unresolved", refusal("PREVIOUS_SEND_UNRESOLVED"), "deferred", active, "PREVIOUS_SEND_UNRESOLVED", 1, 0},
		{"long name", apierr.Invalid(apierr.FieldViolation{Field: "subject", Description: "x"}), "failed", active, "internal_error", 1, 0},
		{"auth revoked", refusal("PROVIDER_AUTH_REVOKED"), "deferred", active, "PROVIDER_AUTH_REVOKED", 1, 0},
		{"id reused", apierr.New(codes.AlreadyExists, "sync.relance.dev", "REQUEST_ID_REUSED", "x"), "failed", paused, "REQUEST_ID_REUSED", 1, 0},
		{
			"rate limited", apierr.New(codes.ResourceExhausted, "sync.relance.dev", "PROVIDER_RATE_LIMITED", "x").WithRetryAfter(9 * time.Second),
			"deferred", active, "PROVIDER_RATE_LIMITED", 1, 0,
		},
		{"sync away", apierr.Unavailable("x", nil), "deferred", active, "sync_unavailable", 1, 0},
		{"lead not found", apierr.NotFound("lead", "x"), "skipped", cancelled, "lead_gone", 1, 0},
		{"a bug", apierr.Internal(errors.New("x")), "failed", active, "internal_error", 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.sync.answerWith(func(*syncv1.SendMessageRequest) (*syncv1.Message, error) { return nil, tt.err })
			e := w.enroll(w.lead(), w.sequence(sms("Hi", 0, 0), email("S", "B", 1)))
			receipt := w.tick()
			if len(receipt.GetReasons()) != 1 || receipt.GetReasons()[0].GetOutcome() != tt.outcome {
				t.Fatalf("receipt: %v", receipt)
			}
			after := w.expect(e, tt.state, tt.reason, tt.position)
			if tt.state == active && !after.GetNextStepTime().AsTime().After(w.clock.Now()) {
				t.Fatal("due again at once")
			}
			if got := w.tasks(); len(got) != tt.tasks || (tt.tasks == 1 && got[0].GetState() != followupsv1.TaskState_TASK_STATE_SKIPPED) {
				t.Fatalf("tasks: %v", got)
			}
			if w.tick().GetResults().GetProcessed() != 0 || w.sync.callCount() != 1 {
				t.Fatal("asked again at once")
			}
		})
	}
}

func TestUnavailableProviderIsRetriedThenParked(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.sync.answerWith(func(*syncv1.SendMessageRequest) (*syncv1.Message, error) {
		return nil, apierr.New(codes.Unavailable, "sync.relance.dev", "PROVIDER_UNAVAILABLE", "x")
	})
	e := w.enroll(w.lead(), w.sequence(sms("Hi", 0, 0)))
	for range 3 {
		w.tick()
		w.clock.Advance(10 * time.Minute)
	}
	w.expect(e, paused, "attempts_exhausted", 1)
	if w.sync.callCount() != 3 || w.sync.calls[0].GetRequestId() != w.sync.calls[2].GetRequestId() {
		t.Fatalf("%d calls", w.sync.callCount())
	}
	w.sync.answerWith(nil)
	if _, err := w.admin.ResumeEnrollment(t.Context(), &followupsv1.ResumeEnrollmentRequest{Name: e}); err != nil {
		t.Fatal(err)
	}
	w.tick()
	w.expect(e, completed, "", 2)
}

// An open breaker is no failed try: the step waits as long as sync asks for, more often than a step may fail, and is parked
// with a reason of its own when that goes on for a day.
func TestHeldBackByTheBreakerWaitsThenParks(t *testing.T) {
	t.Parallel()
	w := setup(t)
	planted{world: w}.settings(&followupsv1.Settings{WorkStart: "00:00", WorkEnd: "23:59"}, "work_start", "work_end")
	w.sync.answerWith(func(*syncv1.SendMessageRequest) (*syncv1.Message, error) {
		err := apierr.New(codes.Unavailable, "sync.relance.dev", "PROVIDER_UNAVAILABLE", "x").WithRetryAfter(5 * time.Minute)
		err.Metadata = map[string]string{"provider": "ghl", "cause": "breaker_open"}
		return nil, err
	})
	e := w.enroll(w.lead(), w.sequence(sms("Hi", 0, 0)))
	asked := 0
	for ; asked < 6; asked++ { // twice as often as the three tries of this service
		if got := w.tick().GetResults(); got.GetDeferred() != 1 || got.GetFailed() != 0 {
			t.Fatalf("ask %d: %v", asked, got)
		}
		after := w.expect(e, active, "PROVIDER_UNAVAILABLE", 1).GetNextStepTime().AsTime()
		if wait := after.Sub(w.clock.Now()); wait < 5*time.Minute || wait > 15*time.Minute {
			t.Fatalf("asked again after %v", wait)
		}
		w.clock.Set(after)
	}
	w.exec(`UPDATE enrollment SET held_back = 99`)
	w.tick()
	w.expect(e, paused, "provider_away", 1)
	w.clock.Advance(25 * time.Hour) // looked at daily; nothing is asked for in between
	w.tick()
	w.expect(e, paused, "provider_away", 1)
	if w.sync.callCount() != asked+2 || w.sync.calls[0].GetRequestId() != w.sync.calls[asked+1].GetRequestId() {
		t.Fatalf("%d calls", w.sync.callCount())
	}
	w.sync.answerWith(nil)
	w.clock.Advance(25 * time.Hour)
	w.tick()
	w.expect(e, completed, "", 2)
}

func TestMessageThatSyncSentByItselfIsRecorded(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead := w.lead()
	e := w.enroll(lead, w.sequence(sms("Hi", 0, 0), sms("Again", 0, 5)))
	w.sync.answerWith(func(*syncv1.SendMessageRequest) (*syncv1.Message, error) {
		return nil, refusal("PROVIDER_AUTH_REVOKED")
	})
	w.tick()
	w.expect(e, active, "PROVIDER_AUTH_REVOKED", 1)
	if _, err := w.admin.PauseEnrollment(t.Context(), &followupsv1.PauseEnrollmentRequest{Name: e}); err != nil {
		t.Fatal(err)
	}
	event := w.event(lead, followupsv1.LeadEventType_LEAD_EVENT_TYPE_MESSAGE_SETTLED, start())
	event.RequestId, event.Outcome = w.sync.calls[0].GetRequestId(), "ACCEPTED"
	w.handle(event)
	w.expect(e, paused, "paused_by_hand", 2)
	if got := w.tasks(); len(got) != 1 || got[0].GetState() != followupsv1.TaskState_TASK_STATE_COMPLETED {
		t.Fatalf("tasks: %v", got)
	}
}

func TestOverlappingRunsShareTheWork(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const due, runs = 200, 20
	sequence := w.sequence(sms("Hi {firstName}", 0, 0))
	for range due {
		w.enroll(w.lead(), sequence)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	var succeeded, processed int32
	for range runs {
		group.Go(func() {
			resp, err := w.cron.RunDueFollowUps(t.Context(), &followupsv1.RunDueFollowUpsRequest{})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			succeeded += resp.GetRun().GetResults().GetSucceeded()
			processed += resp.GetRun().GetResults().GetProcessed()
		})
	}
	group.Wait()
	ids := map[string]bool{}
	for _, call := range w.sync.calls {
		ids[call.GetRequestId()] = true
	}
	if len(w.sync.calls) != due || len(ids) != due || succeeded != due || processed != due {
		t.Fatalf("%d calls, %d ids, %d succeeded of %d", len(w.sync.calls), len(ids), succeeded, processed)
	}
}

func TestKilledRunIsContinuedWithTheSameMessage(t *testing.T) {
	t.Parallel()
	w := setup(t)
	e := w.enroll(w.lead(), w.sequence(sms("Hi {firstName}: {availability}", 0, 0)))
	killed := errors.New("killed")
	crashing := w.runner(func(c *run.Config) { c.BeforeCommit = func(context.Context) error { return killed } })
	if _, err := crashing.Run(t.Context(), run.Request{}); !errors.Is(err, killed) {
		t.Fatalf("run: %v", err)
	}
	w.expect(e, active, "", 1)
	if got := w.tick().GetResults().GetProcessed(); got != 0 {
		t.Fatalf("the lease does not hold: %d", got)
	}
	w.expireLeases()
	if got := w.tick().GetResults().GetSucceeded(); got != 1 {
		t.Fatalf("%d succeeded", got)
	}
	w.expect(e, completed, "", 2)
	// The slots had changed in between; what is asked for again is the same message all the same.
	if len(w.sync.calls) != 2 || w.sync.calls[0].GetRequestId() != w.sync.calls[1].GetRequestId() ||
		w.sync.calls[0].GetBody() != w.sync.calls[1].GetBody() {
		t.Fatalf("calls: %v", w.sync.calls)
	}
	if len(w.tasks()) != 1 {
		t.Fatalf("tasks: %v", w.tasks())
	}
}

// expireLeases moves the leases into the past of the database's clock.
func (w *world) expireLeases() {
	w.t.Helper()
	w.exec(`UPDATE enrollment SET lease_until = clock_timestamp() - interval '1 second' WHERE lease_until IS NOT NULL`)
}

func TestPoisonedEnrollmentDoesNotStopItsBatch(t *testing.T) {
	t.Parallel()
	w := setup(t)
	sequence := w.sequence(sms("Hi {firstName}", 0, 0))
	poisoned := w.lead()
	w.sync.answerWith(func(req *syncv1.SendMessageRequest) (*syncv1.Message, error) {
		if req.GetLead() == poisoned {
			return &syncv1.Message{State: 99}, nil
		}
		return nil, nil
	})
	bad := w.enroll(poisoned, sequence)
	for range 5 {
		w.enroll(w.lead(), sequence)
	}
	receipt := w.tick()
	if c := receipt.GetResults(); c.GetSucceeded() != 5 || c.GetFailed() != 1 || len(receipt.GetErrors()) != 1 {
		t.Fatalf("receipt: %v", receipt)
	}
	for range 2 {
		w.clock.Advance(time.Hour)
		w.tick()
	}
	w.expect(bad, paused, "attempts_exhausted", 1)
}

func TestUnknownOutcomeWaitsForItsEvent(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{false, true} {
		w := setup(t)
		lead := w.lead()
		e := w.enroll(lead, w.sequence(sms("Hi", 0, 0), sms("Again", 0, 5)))
		settled := func(outcome string) {
			resp, err := w.events.HandleLeadEvents(t.Context(), &followupsv1.HandleLeadEventsRequest{Events: []*followupsv1.LeadEvent{{
				EventId: uuid.NewString(), Lead: lead, Type: followupsv1.LeadEventType_LEAD_EVENT_TYPE_MESSAGE_SETTLED,
				EventTime: timestamppb.New(w.clock.Now()), RequestId: w.sync.calls[0].GetRequestId(), Outcome: outcome,
			}}})
			if err != nil || resp.GetHandled() != 1 {
				t.Fatalf("%v, %v", resp, err)
			}
		}
		w.sync.answerWith(func(*syncv1.SendMessageRequest) (*syncv1.Message, error) {
			return &syncv1.Message{Name: w.workspace + "/messages/" + uuid.NewString(), State: syncv1.MessageState_MESSAGE_STATE_UNKNOWN}, nil
		})
		if early { // the event overtakes the commit
			racing := w.runner(func(c *run.Config) {
				c.BeforeCommit = func(context.Context) error { settled("ACCEPTED"); return nil }
			})
			receipt, err := racing.Run(t.Context(), run.Request{})
			if err != nil || receipt.Counts["succeeded"] != 1 {
				t.Fatalf("%v, %v", receipt, err)
			}
		} else {
			if got := w.tick().GetResults(); got.GetUnknown() != 1 {
				t.Fatalf("receipt: %v", got)
			}
			w.expect(e, awaiting, "awaiting_outcome", 1)
			w.clock.Advance(time.Hour)
			if w.tick().GetResults().GetProcessed() != 0 {
				t.Fatal("an unknown outcome was taken up again")
			}
			settled("ACCEPTED")
		}
		w.expect(e, active, "", 2)
		if got := w.tasks(); len(got) != 1 || got[0].GetState() != followupsv1.TaskState_TASK_STATE_COMPLETED {
			t.Fatalf("tasks: %v", got)
		}
	}
}

func TestNotNowHasAWhen(t *testing.T) {
	t.Parallel()
	w := setup(t)
	e := w.enroll(w.lead(), w.sequence(sms("Hi", 0, 0)))
	w.clock.Set(time.Date(2026, 1, 9, 23, 0, 0, 0, time.UTC))
	if got := w.tick().GetResults(); got.GetDeferred() != 1 {
		t.Fatalf("%v", got)
	}
	after := w.expect(e, active, "outside_business_hours", 1)
	if want := time.Date(2026, 1, 12, 14, 0, 0, 0, time.UTC); !after.GetNextStepTime().AsTime().Equal(want) {
		t.Fatalf("next at %v", after.GetNextStepTime().AsTime())
	}
	w.clock.Set(time.Date(2026, 1, 12, 14, 0, 0, 0, time.UTC))
	w.sync.mu.Lock()
	w.sync.zone = "Mars/X"
	w.sync.mu.Unlock()
	w.tick()
	w.expect(e, active, "unknown_zone", 1)
	w.sync.mu.Lock()
	w.sync.zone = "America/New_York"
	w.sync.mu.Unlock()
	w.clock.Advance(time.Hour)
	w.sync.down.Store(true)
	w.tick()
	w.expect(e, active, "sync_unavailable", 1)
	w.sync.down.Store(false)
	w.clock.Advance(time.Hour)
	w.tick()
	w.expect(e, completed, "", 2)
}

// What a message offers is what availability offered the lead under the step's own request id, in the lead's zone. A link
// alone uses up no times. An offer that a dead run made in another zone is not said in the wrong one.
func TestTimesAreOfferedUnderTheStepsRequest(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead := w.lead()
	w.enroll(lead, w.sequence(sms("When? {availability}", 0, 0)))
	w.enroll(w.lead(), w.sequence(sms("Book: {calendarLink}", 0, 0)))
	if got := w.tick().GetResults().GetSucceeded(); got != 2 {
		t.Fatalf("%d succeeded", got)
	}
	for _, call := range w.sync.calls {
		made := w.availability.offers[call.GetRequestId()]
		if made == nil || made.asked.GetLead() != call.GetLead() {
			t.Fatalf("%v was not offered under its own id", call)
		}
		times := made.asked.GetLead() == lead
		if made.asked.GetLinkOnly() == times || times && !strings.Contains(call.GetBody(), "slot A1 or slot B") {
			t.Fatalf("%v says %q", made.asked, call.GetBody())
		}
	}
	if w.availability.offered != 1 {
		t.Fatalf("times were offered %d times", w.availability.offered)
	}
}

func TestOfferOfADeadRunInAnotherZoneIsNotSaid(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead := w.lead()
	e := w.enroll(lead, w.sequence(sms("When? {availability}", 0, 0)))
	_, id, err := name.ParseChild(e, "enrollments")
	if err != nil {
		t.Fatal(err)
	}
	key := followup.StepKey{Workspace: uuid.MustParse(strings.TrimPrefix(w.workspace, "workspaces/")), Enrollment: id, Version: 1, Position: 1, Channel: followup.SMS}
	_, err = w.availability.OfferSlots(t.Context(), &availabilityv1.OfferSlotsRequest{
		Lead: lead, RequestId: key.RequestID().String(), TimeZone: "America/New_York",
	})
	if err != nil {
		t.Fatal(err)
	}
	w.sync.mu.Lock()
	w.sync.leads[lead].TimeZone = "America/Chicago"
	w.sync.mu.Unlock()
	if got := w.tick().GetResults().GetSucceeded(); got != 1 || w.sync.calls[0].GetRequestId() != key.RequestID().String() {
		t.Fatalf("%d succeeded; %v", got, w.sync.calls)
	}
	if body := w.sync.calls[0].GetBody(); !strings.Contains(body, "America/Chicago") {
		t.Fatalf("says %q", body)
	}
}

func TestCedarHasNoCalendar(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.availability.err = apierr.New(codes.FailedPrecondition, "availability.relance.dev", "NO_DEFAULT_CALENDAR", "none")
	sequence := w.oldSequence(sms("When? {availability}", 0, 0))
	e := w.enroll(w.lead(), sequence)
	w.enroll(w.lead(), sequence)
	if got := w.tick().GetResults(); got.GetSkipped() != 2 || w.availability.calls != 1 {
		t.Fatalf("%v after %d calls", got, w.availability.calls)
	}
	w.expect(e, paused, "missing_availability", 1)
}

func TestSameRequestIDAnswersTheSameReceipt(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.enroll(w.lead(), w.sequence(sms("Hi", 0, 0)))
	req := &followupsv1.RunDueFollowUpsRequest{RequestId: uuid.NewString()}
	first, err := w.cron.RunDueFollowUps(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.cron.RunDueFollowUps(t.Context(), req)
	if err != nil || again.GetRun().GetName() != first.GetRun().GetName() || again.GetRun().GetResults().GetSucceeded() != 1 {
		t.Fatalf("%v, %v", again, err)
	}
}

// TestFiftyTriggersMakeOneIntentPerStep: 1,000 due steps, 50 simultaneous triggers, 1,000 intents.
func TestFiftyTriggersMakeOneIntentPerStep(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const due, triggers = 1000, 50
	w.plant(w.sequence(sms("Hi {firstName}", 0, 0)), due)
	var group sync.WaitGroup
	var processed atomic.Int32
	for range triggers {
		group.Go(func() {
			resp, err := w.cron.RunDueFollowUps(t.Context(), &followupsv1.RunDueFollowUpsRequest{})
			if err != nil {
				t.Error(err)
				return
			}
			processed.Add(resp.GetRun().GetResults().GetProcessed())
		})
	}
	group.Wait()
	for w.tick().GetResults().GetProcessed() > 0 { // what a budget left over
	}
	ids := map[string]bool{}
	for _, call := range w.sync.calls {
		ids[call.GetRequestId()] = true
	}
	if len(w.sync.calls) != due || len(ids) != due {
		t.Fatalf("%d calls, %d ids of %d due steps", len(w.sync.calls), len(ids), due)
	}
}

// plant enrolls many leads at once, in the database, since a thousand calls would prove nothing more.
func (w *world) plant(sequence string, leads int) {
	w.t.Helper()
	workspace, id := uuid.MustParse(sequence[11:47]), uuid.MustParse(sequence[len(sequence)-36:])
	ids := make([]uuid.UUID, leads)
	w.sync.mu.Lock()
	for i := range ids {
		ids[i] = uuid.New()
		name := fmt.Sprintf("workspaces/%s/leads/%s", workspace, ids[i])
		w.sync.leads[name] = &syncv1.Lead{Name: name, FirstName: "Ada", Email: "ada@example.com", Phone: "+12025550123"}
	}
	w.sync.mu.Unlock()
	err := postgres.InTx(w.t.Context(), w.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(w.t.Context(), `INSERT INTO enrollment (workspace_id, id, lead_id, sequence_id, sequence_version, state, position,
				base_time, due_time, next_time, start_time, replied_since, create_time, update_time)
			SELECT $1, gen_random_uuid(), lead, $2, 1, 'active', 1, $4, $4, $4, $4, $4, $4, $4 FROM unnest($3::uuid[]) AS lead`,
			workspace, id, ids, w.clock.Now())
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestWorkspacesTakeTurns: one workspace with 700 due steps and forty with older ones delay one with 10 by the batches
// of one round, counted in messages and not in time.
func TestWorkspacesTakeTurns(t *testing.T) {
	t.Parallel()
	w := setup(t)
	small, own := "", w.workspace
	for i := range 42 {
		w.workspace = "workspaces/" + uuid.NewString()
		sequence := w.sequence(sms("Hi", 0, 0))
		switch i {
		case 20:
			w.plant(sequence, 700)
		case 41:
			small = w.workspace
			w.clock.Advance(time.Minute) // due after all others
			w.plant(sequence, 10)
		default:
			w.plant(sequence, 14)
		}
	}
	w.workspace = own
	for w.tick().GetResults().GetProcessed() > 0 {
	}
	last := 0
	for i, call := range w.sync.calls {
		if strings.HasPrefix(call.GetLead(), small) {
			last = i + 1
		}
	}
	// 42 workspaces at 20 a batch share one step each per round of 42; ten rounds, and the batch under way.
	if most := 10*42 + 3*20; last == 0 || last > most {
		t.Fatalf("the small workspace was done after %d of %d messages, want at most %d", last, len(w.sync.calls), most)
	}
	if len(w.sync.calls) != 700+40*14+10 {
		t.Fatalf("%d messages", len(w.sync.calls))
	}
}
