package followups_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/rpctest"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups/internal/followup"
)

const (
	typeReplied   = followupsv1.LeadEventType_LEAD_EVENT_TYPE_REPLIED
	typeBooked    = followupsv1.LeadEventType_LEAD_EVENT_TYPE_BOOKED
	typeUnbooked  = followupsv1.LeadEventType_LEAD_EVENT_TYPE_BOOKING_CANCELLED
	typeHuman     = followupsv1.LeadEventType_LEAD_EVENT_TYPE_HUMAN_OUTBOUND
	typeDND       = followupsv1.LeadEventType_LEAD_EVENT_TYPE_DND_CHANGED
	typeUpdated   = followupsv1.LeadEventType_LEAD_EVENT_TYPE_UPDATED
	typeBlocked   = followupsv1.LeadEventType_LEAD_EVENT_TYPE_BLOCKED
	typeDelivered = followupsv1.LeadEventType_LEAD_EVENT_TYPE_DELIVERY_CHANGED
)

func TestDatabaseAllowsTheTransitionsOfTheDomain(t *testing.T) {
	t.Parallel()
	w := setup(t)
	sequence := w.sequence(sms("Hi", 1, 0))
	put := func(id string, state followup.State) error {
		return postgres.InTx(t.Context(), w.pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), `UPDATE enrollment SET state = $2,
				end_time = CASE WHEN $2 IN ('completed', 'cancelled') THEN update_time END,
				next_time = CASE WHEN $2 = 'active' THEN update_time END WHERE id = $1`, id, string(state))
			return err
		})
	}
	reach := map[followup.State][]followup.State{
		followup.Active: nil, followup.Paused: {followup.Paused}, followup.Awaiting: {followup.Awaiting},
		followup.Completed: {followup.Completed}, followup.Cancelled: {followup.Cancelled},
	}
	for _, from := range followup.States() {
		for _, to := range followup.States() {
			name := w.enroll(w.lead(), sequence)
			id := name[len(name)-36:]
			for _, step := range reach[from] {
				if err := put(id, step); err != nil {
					t.Fatal(err)
				}
			}
			if err := put(id, to); (err == nil) != from.CanBecome(to) {
				t.Errorf("%s to %s: the domain says %v, the database %v", from, to, from.CanBecome(to), err)
			}
		}
	}
}

func (w *world) tell(lead string, kind followupsv1.LeadEventType, at time.Time, change func(*followupsv1.LeadEvent)) {
	w.t.Helper()
	event := w.event(lead, kind, at)
	if change != nil {
		change(event)
	}
	w.handle(event)
}

func TestReplySnoozesUntilItsDate(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead := w.lead()
	e := w.enroll(lead, w.sequence(sms("Hi", 0, 0), sms("Again", 1, 0)))
	w.tick()
	message := w.workspace + "/messages/" + uuid.NewString()
	w.sync.mu.Lock()
	w.sync.texts[message] = "Not now. Reach out after Jan 21st, please"
	w.sync.leads[lead].LastInboundTime = timestamppb.New(start().Add(time.Hour))
	w.sync.mu.Unlock()
	w.tell(lead, typeReplied, start().Add(time.Hour), func(event *followupsv1.LeadEvent) { event.Message = message })
	until := time.Date(2026, 1, 21, 14, 0, 0, 0, time.UTC)
	if got := w.expect(e, paused, "lead_snoozed", 2); !got.GetNextStepTime().AsTime().Equal(until) {
		t.Fatalf("snoozed until %v", got.GetNextStepTime().AsTime())
	}
	w.clock.Set(until.Add(-time.Second))
	if got := w.tick(); got.GetResults().GetProcessed() != 0 || got.GetPauses().GetChecked() != 0 {
		t.Fatalf("looked at before the date: %v", got)
	}
	w.clock.Set(until)
	if got := w.tick(); got.GetPauses().GetResumed() != 1 || got.GetResults().GetSucceeded() != 1 {
		t.Fatalf("at the date: %v", got)
	}
	w.expect(e, completed, "", 3)
}

// wrote is what sync knows of who wrote last.
func (w *world) wrote(lead string, inbound, outbound time.Time) {
	w.sync.mu.Lock()
	defer w.sync.mu.Unlock()
	w.sync.leads[lead].LastInboundTime, w.sync.leads[lead].LastOutboundTime = timestamppb.New(inbound), timestamppb.New(outbound)
}

func TestGhostIsFollowedUpAfterAnAnswer(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead := w.lead()
	e := w.enroll(lead, w.sequence(sms("Hi", 0, 0), sms("Again", 1, 0)))
	w.tick()
	reply := start().Add(time.Hour)
	w.wrote(lead, reply, start())
	w.tell(lead, typeReplied, reply, nil)
	w.clock.Set(reply.Add(followup.GhostAfter))
	if got := w.tick().GetPauses(); got.GetChecked() != 1 || got.GetWaiting() != 1 {
		t.Fatalf("nobody answered the lead: %v", got)
	}
	w.expect(e, paused, "lead_replied", 2)
	if w.tick().GetPauses().GetChecked() != 0 {
		t.Fatal("looked at again at once")
	}
	w.wrote(lead, reply, reply.Add(time.Minute)) // a person has answered, and the lead stays silent
	w.clock.Set(reply.Add(2 * followup.GhostAfter).Add(time.Hour))
	if got := w.tick(); got.GetPauses().GetResumed() != 1 || got.GetResults().GetSucceeded() != 1 {
		t.Fatalf("%v", got)
	}
	w.expect(e, completed, "", 3)
}

func TestHumanOutboundCountsTheWaitAnew(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead := w.lead()
	e := w.enroll(lead, w.sequence(sms("Hi", 0, 0), sms("Again", 2, 0)))
	w.tick()
	wrote := start().Add(20 * time.Hour)
	w.tell(lead, typeHuman, wrote, nil)
	want := wrote.AddDate(0, 0, 2)
	if got := w.expect(e, active, "", 2); !got.GetNextStepTime().AsTime().Equal(want) {
		t.Fatalf("next at %v, want %v", got.GetNextStepTime().AsTime(), want)
	}
	w.tell(lead, typeHuman, wrote.Add(-19*time.Hour), nil) // an older one brings nothing forward
	w.tell(lead, typeReplied, wrote.Add(time.Hour), nil)
	w.expect(e, paused, "lead_replied", 2)
	answered := wrote.Add(2 * time.Hour)
	w.tell(lead, typeHuman, answered, nil)
	if got := w.expect(e, active, "", 2); !got.GetNextStepTime().AsTime().Equal(answered.AddDate(0, 0, 2)) {
		t.Fatalf("next at %v", got.GetNextStepTime().AsTime())
	}
}

func TestBookingCompletesAndBlockedCancels(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead, other := w.lead(), w.lead()
	sequence := w.sequence(sms("Hi", 1, 0))
	e, second, third := w.enroll(lead, sequence), w.enroll(lead, w.sequence(sms("B", 1, 0))), w.enroll(other, sequence)
	if _, err := w.admin.PauseEnrollment(t.Context(), &followupsv1.PauseEnrollmentRequest{Name: second}); err != nil {
		t.Fatal(err)
	}
	longest := strings.Repeat("a", 300) // as long as sync keeps them
	booking := func(event *followupsv1.LeadEvent) {
		event.BookingId, event.BookingTime = longest, timestamppb.New(start().AddDate(0, 0, 5))
	}
	w.tell(lead, typeBooked, start().Add(time.Minute), booking)
	w.expect(e, completed, "meeting_booked", 1)
	w.expect(second, completed, "meeting_booked", 1)
	w.expect(third, active, "", 1)
	enroll := &followupsv1.EnrollLeadRequest{Parent: w.workspace, Enrollment: &followupsv1.Enrollment{Lead: lead, Sequence: sequence}}
	_, err := w.admin.EnrollLead(t.Context(), enroll)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "LEAD_NOT_ELIGIBLE")
	// Moved to it from another, whose end nobody told.
	w.tell(lead, typeBooked, start(), func(event *followupsv1.LeadEvent) {
		event.BookingId, event.BookingTime = "moved", timestamppb.New(start().AddDate(0, 0, 4))
	})
	w.tell(lead, typeUnbooked, start().Add(2*time.Minute), booking)
	w.tell(lead, typeBooked, start().Add(time.Minute), booking) // late news of the same appointment
	w.expect(e, completed, "meeting_booked", 1)
	if _, err := w.admin.EnrollLead(t.Context(), enroll); err != nil {
		t.Fatalf("after the cancellation: %v", err)
	}
	w.tell(other, typeDelivered, start(), nil)
	w.expect(third, active, "", 1)
	w.tell(other, typeBlocked, start(), nil)
	w.expect(third, cancelled, "LEAD_BLOCKED", 1)
}

func TestHeldStepWakesOnItsEvent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		refusal string
		kind    followupsv1.LeadEventType
	}{{"DND_ACTIVE", typeDND}, {"INVALID_PHONE", typeUpdated}} {
		t.Run(tt.refusal, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			lead := w.lead()
			step := sms("Hi", 0, 0)
			step.RefusalRules = []*followupsv1.RefusalRule{{Reason: tt.refusal, Action: followupsv1.RefusalAction_REFUSAL_ACTION_HOLD}}
			e := w.enroll(lead, w.sequence(step))
			w.sync.answerWith(func(*syncv1.SendMessageRequest) (*syncv1.Message, error) { return nil, refusal(tt.refusal) })
			w.tick()
			w.sync.answerWith(nil)
			w.expect(e, active, tt.refusal, 1)
			w.clock.Advance(time.Hour)
			if w.tick(); w.sync.callCount() != 1 {
				t.Fatal("asked again without the event")
			}
			w.tell(lead, tt.kind, start(), func(event *followupsv1.LeadEvent) { event.DndActive = tt.kind == typeDND })
			if tt.kind == typeDND {
				w.expect(e, active, tt.refusal, 1) // set, not cleared
				w.tell(lead, tt.kind, start(), nil)
			}
			w.tick()
			w.expect(e, completed, "", 2)
		})
	}
}

func TestMissingValueIsLookedAtDailyAndOnceMended(t *testing.T) {
	t.Parallel()
	w := setup(t)
	e := w.enroll(w.lead(), w.oldSequence(sms("{senderName} here", 0, 0)))
	w.tick()
	w.expect(e, paused, "missing_value: {senderName}", 1)
	for day := 1; day <= 2; day++ {
		w.clock.Set(start().AddDate(0, 0, day))
		if got := w.tick(); got.GetPauses().GetWaiting() != 1 || got.GetResults().GetProcessed() != 0 {
			t.Fatalf("day %d: %v", day, got)
		}
	}
	planted{world: w}.settings(&followupsv1.Settings{SenderName: "Sam"}, "sender_name")
	if got := w.tick(); got.GetResults().GetSucceeded() != 1 {
		t.Fatalf("%v", got)
	}
	w.expect(e, completed, "", 2)
}

// A pause that is looked at when nothing may be said stays that pause until it can be told whether its cause is mended.
func TestPauseIsNotOverByNight(t *testing.T) {
	t.Parallel()
	w := setup(t)
	e := w.enroll(w.lead(), w.oldSequence(sms("{senderName} here", 0, 0)))
	w.tick()
	night := time.Date(2026, 1, 9, 8, 0, 0, 0, time.UTC)
	w.clock.Set(night)
	if got := w.tick(); got.GetPauses().GetWaiting() != 1 || got.GetResults().GetProcessed() != 0 {
		t.Fatalf("by night: %v", got)
	}
	opening := night.Add(6 * time.Hour)
	if got := w.expect(e, paused, "missing_value: {senderName}", 1); !got.GetNextStepTime().AsTime().Equal(opening) {
		t.Fatalf("looked at again at %v", got.GetNextStepTime().AsTime())
	}
	planted{world: w}.settings(&followupsv1.Settings{SenderName: "Sam"}, "sender_name")
	w.tick()
	w.expect(e, paused, "missing_value: {senderName}", 1)
	w.clock.Set(opening)
	w.tick()
	w.expect(e, completed, "", 2)
}

func TestLostOutcomeEventIsMadeUpFor(t *testing.T) {
	t.Parallel()
	w := setup(t)
	e := w.enroll(w.lead(), w.sequence(sms("Hi", 0, 0), sms("Again", 3, 0)))
	state := syncv1.MessageState_MESSAGE_STATE_UNKNOWN
	w.sync.answerWith(func(*syncv1.SendMessageRequest) (*syncv1.Message, error) { return &syncv1.Message{State: state}, nil })
	w.tick()
	w.clock.Advance(7 * time.Hour)
	if got := w.tick().GetPauses(); got.GetWaiting() != 1 {
		t.Fatalf("%v", got)
	}
	w.expect(e, awaiting, "awaiting_outcome", 1)
	state = syncv1.MessageState_MESSAGE_STATE_ACCEPTED
	w.clock.Advance(7 * time.Hour)
	w.tick()
	w.expect(e, active, "", 2)
	ids := map[string]bool{}
	for _, call := range w.sync.calls {
		ids[call.GetRequestId()] = true
	}
	if len(w.sync.calls) != 3 || len(ids) != 1 {
		t.Fatal(fmt.Sprint("the outcome was asked for as a new message: ", ids))
	}
}
