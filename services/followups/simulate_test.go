package followups_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/rpctest"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// simulate reads the whole stream.
func (w *world) simulate(req *followupsv1.SimulateSequenceRequest) (plans []*followupsv1.LeadPlan, counts *followupsv1.SimulationCounts, err error) {
	w.t.Helper()
	stream, err := w.admin.SimulateSequence(w.t.Context(), req)
	if err != nil {
		return nil, nil, err
	}
	for done := int32(0); ; {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return plans, counts, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if part.GetDone() < done || part.GetDone() > part.GetTotal() {
			w.t.Fatalf("progress %d of %d after %d", part.GetDone(), part.GetTotal(), done)
		}
		done = part.GetDone()
		plans, counts = append(plans, part.GetPlans()...), part.GetCounts()
	}
}

// mixedLead makes the leads of a cohort differ: phone, do-not-disturb, name, earlier reply.
func (w *world) mixedLead(i int) string {
	name := w.lead()
	w.sync.mu.Lock()
	defer w.sync.mu.Unlock()
	lead := w.sync.leads[name]
	switch i % 7 {
	case 1:
		lead.Phone = ""
	case 2:
		lead.Channels = []*syncv1.ChannelState{{Channel: syncv1.Channel_CHANNEL_SMS, Status: syncv1.ChannelStatus_CHANNEL_STATUS_DND}}
	case 3:
		lead.FirstName = ""
	case 4:
		lead.Channels = []*syncv1.ChannelState{{Channel: syncv1.Channel_CHANNEL_EMAIL, Status: syncv1.ChannelStatus_CHANNEL_STATUS_DND_PERMANENT}}
	case 5:
		lead.Email = ""
	}
	return name
}

// gate answers as sync does: from the flags that it publishes with the lead.
func (f *fakeSync) gate(req *syncv1.SendMessageRequest) (*syncv1.Message, error) {
	lead := f.leads[req.GetLead()]
	for _, channel := range lead.GetChannels() {
		if channel.GetChannel() == req.GetChannel() {
			return nil, refusal("DND_ACTIVE")
		}
	}
	if req.GetChannel() == syncv1.Channel_CHANNEL_SMS && lead.GetPhone() == "" {
		return nil, refusal("NO_PHONE")
	}
	if req.GetChannel() == syncv1.Channel_CHANNEL_EMAIL && lead.GetEmail() == "" {
		return nil, refusal("NO_EMAIL")
	}
	return nil, nil
}

func TestSimulationIsWhatThenHappens(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.sync.answerWith(w.sync.gate)
	condition := sms("{availability}?", 1, 30)
	condition.Condition = followupsv1.StepCondition_STEP_CONDITION_PHONE_PROVIDED
	within := sms("Late", 2, 0)
	within.SendWithinMinutes = 60
	sequence := w.sequence(sms("Hi {firstName}", 0, 2), email("For you", "B {calendarLink}", 1), condition, within, email("Bye", "B", 3))
	const leads = 140
	req := &followupsv1.SimulateSequenceRequest{Name: sequence, ToTime: timestamppb.New(start().AddDate(0, 0, 30))}
	for i := range leads {
		req.Leads = append(req.Leads, w.mixedLead(i))
	}
	plans, counts, err := w.simulate(req)
	if err != nil || len(plans) != leads || counts.GetLeads() != leads {
		t.Fatalf("%d plans, %v, %v", len(plans), counts, err)
	}
	if w.sync.callCount() != 0 {
		t.Fatal("a simulation sent something")
	}
	names := map[string]string{}
	for _, lead := range req.GetLeads() {
		names[lead] = w.enroll(lead, sequence)
	}
	again, _, err := w.simulate(&followupsv1.SimulateSequenceRequest{Name: sequence, ToTime: req.GetToTime()})
	if err != nil || len(again) != leads {
		t.Fatalf("the running ones: %d plans, %v", len(again), err)
	}
	w.toEnd(start().AddDate(0, 0, 30))
	w.compare(plans, names)
}

// toEnd lets time pass from look to look, half an hour at least, as a scheduler would that had nothing to do in between.
func (w *world) toEnd(end time.Time) {
	w.t.Helper()
	for w.clock.Now().Before(end) {
		w.tick()
		w.clock.Advance(30 * time.Minute)
		var next *time.Time
		err := postgres.InTx(w.t.Context(), w.pool, func(tx pgx.Tx) error {
			return tx.QueryRow(w.t.Context(), `SELECT min(next_time) FROM enrollment`).Scan(&next)
		})
		switch {
		case err != nil:
			w.t.Fatal(err)
		case next == nil:
			return
		case next.After(w.clock.Now()):
			w.clock.Set(*next)
		}
	}
}

// compare counts how many foretold steps came as foretold: same outcome, same reason, at the next tick.
func (w *world) compare(plans []*followupsv1.LeadPlan, names map[string]string) {
	w.t.Helper()
	total, right := 0, 0
	for _, plan := range plans {
		happened := map[string]time.Time{}
		for _, step := range w.explain(names[plan.GetLead()]).GetSteps() {
			for _, d := range step.GetDecisions() {
				if !d.GetForeseen() {
					happened[fmt.Sprintf("%d %s %s", step.GetPosition(), d.GetOutcome(), d.GetReason())] = d.GetFirstTime().AsTime()
				}
			}
		}
		for _, touch := range plan.GetTouches() {
			total++
			at, ok := happened[fmt.Sprintf("%d %s %s", touch.GetStepPosition(), touch.GetOutcome(), touch.GetReason())]
			if late := at.Sub(touch.GetTime().AsTime()); ok && late >= 0 && late <= time.Hour {
				right++
			} else if total-right < 5 {
				w.t.Logf("%v; happened: %v", touch, happened)
			}
		}
	}
	w.t.Logf("%d of %d steps of %d leads came as foretold", right, total, len(plans))
	if total < 2*len(plans) || right*100 < total*99 {
		w.t.Fatalf("only %d of %d steps came as foretold", right, total)
	}
}

func TestSimulateRefusesBadRequests(t *testing.T) {
	t.Parallel()
	w := setup(t)
	sequence := w.sequence(sms("Hi", 0, 0))
	_, _, err := w.simulate(&followupsv1.SimulateSequenceRequest{
		Name: sequence, Leads: []string{"x", "workspaces/y"}, ToTime: timestamppb.New(start().AddDate(-1, 0, 0)),
	})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 3 {
		t.Fatalf("%+v", e.Violations)
	}
	_, _, err = w.simulate(&followupsv1.SimulateSequenceRequest{Name: w.workspace + "/sequences/00000000-0000-0000-0000-000000000001"})
	rpctest.RequireError(t, err, codes.NotFound, "")
}

// The messages of a lead's other sequences count for its caps, foretold as they then happen: with a cap of one text a day,
// sequences push each other aside.
func TestSimulationKnowsTheOtherSequences(t *testing.T) {
	t.Parallel()
	w := setup(t)
	planted{world: w}.settings(&followupsv1.Settings{DailyCapPerChannel: 1}, "daily_cap_per_channel")
	w.sync.answerWith(w.sync.gate)
	other := w.sequence(sms("A", 1, 0), sms("B", 1, 0), email("S", "C", 1), sms("D", 2, 0))
	sequence := w.sequence(sms("E", 1, 60), sms("F", 1, 0), sms("G", 1, 0))
	req := &followupsv1.SimulateSequenceRequest{Name: sequence, ToTime: timestamppb.New(start().AddDate(0, 0, 30))}
	const leads = 12
	for i := range leads {
		lead := w.lead()
		req.Leads = append(req.Leads, lead)
		if i%3 == 0 {
			continue // the control: nothing beside
		}
		e := w.enroll(lead, other)
		if i%3 == 1 { // one that is paused writes nothing
			if _, err := w.admin.PauseEnrollment(t.Context(), &followupsv1.PauseEnrollmentRequest{Name: e}); err != nil {
				t.Fatal(err)
			}
		}
	}
	plans, counts, err := w.simulate(req)
	if err != nil || counts.GetLeads() != leads || counts.GetEnded() != leads || counts.GetLeadsInOtherSequences() != leads*2/3 {
		t.Fatalf("%v, %v", counts, err)
	}
	opening := time.Date(2026, 1, 9, 14, 0, 0, 0, time.UTC) // Friday, since A has Thursday
	for i, plan := range plans {
		if at := plan.GetTouches()[0].GetTime().AsTime(); at.Equal(opening) != (i%3 == 2) {
			t.Errorf("lead %d has its first text at %v", i, at)
		}
	}
	names := map[string]string{}
	for _, lead := range req.GetLeads() {
		names[lead] = w.enroll(lead, sequence)
	}
	again, counts, err := w.simulate(&followupsv1.SimulateSequenceRequest{Name: sequence, ToTime: req.GetToTime()})
	if err != nil || len(again) != leads || counts.GetLeadsInOtherSequences() != leads*2/3 {
		t.Fatalf("the running ones: %d plans, %v, %v", len(again), counts, err)
	}
	foreseen := w.explain(names[req.GetLeads()[2]]).GetSteps()[0].GetDecisions()
	if last := foreseen[len(foreseen)-1]; !last.GetTime().AsTime().Equal(opening) {
		t.Errorf("the explanation foresees %v", last)
	}
	w.toEnd(start().AddDate(0, 0, 30))
	w.compare(plans, names)
	w.compare(again, names)
}
