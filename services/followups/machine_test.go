package followups_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/relance/relance/platform/postgres"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// machine drives the service on a real database and keeps a model of what must be true: which messages may have been
// sent, in what state each enrollment may be.
type machine struct {
	*world
	leads       []string
	enrollments map[string]string
	sequences   []string
	model       map[string]*modelled
}

// modelled is what is known for certain of one enrollment.
type modelled struct {
	lead  string
	ended bool
	// paused by a person: nothing may be sent until it is resumed.
	manual bool
}

func newMachine(w *world) *machine {
	m := &machine{world: w, enrollments: map[string]string{}, model: map[string]*modelled{}}
	for range 3 {
		m.leads = append(m.leads, w.lead())
	}
	m.sequences = []string{
		w.sequence(sms("A", 0, 0), email("S", "B", 1), sms("C", 2, 0)), w.oldSequence(email("S", "D", 0), sms("{senderName}", 0, 30), email("S", "E", 3)),
	}
	w.sync.answerWith(w.sync.gate)
	return m
}

func (m *machine) step(rt *rapid.T) {
	lead := rapid.SampledFrom(m.leads).Draw(rt, "lead")
	switch rapid.IntRange(0, 17).Draw(rt, "action") {
	case 0, 1, 12:
		m.enrollOne(lead, rapid.SampledFrom(m.sequences).Draw(rt, "sequence"))
	case 2, 3, 4, 13, 14, 15, 16, 17:
		m.clock.Advance(time.Duration(rapid.IntRange(1, 30).Draw(rt, "hours")) * time.Hour)
		m.tick()
	case 5:
		m.replied(lead)
	case 6:
		m.tell(lead, typeHuman, m.clock.Now(), nil)
	case 7:
		m.end(lead, typeBooked, rapid.Bool().Draw(rt, "twice"))
	case 8:
		m.end(lead, typeBlocked, false)
	case 9:
		m.byHand(rt, true)
	case 10:
		m.byHand(rt, false)
	case 11:
		m.flag(lead, rapid.Bool().Draw(rt, "dnd"))
	}
	m.check(rt)
}

func (m *machine) enrollOne(lead, sequence string) {
	resp, err := m.admin.EnrollLead(m.t.Context(), &followupsv1.EnrollLeadRequest{
		Parent: m.workspace, Enrollment: &followupsv1.Enrollment{Lead: lead, Sequence: sequence},
	})
	if err == nil {
		m.model[resp.GetEnrollment().GetName()] = &modelled{lead: lead}
	}
}

func (m *machine) replied(lead string) {
	m.sync.mu.Lock()
	m.sync.leads[lead].LastInboundTime = timestamppb.New(m.clock.Now())
	m.sync.mu.Unlock()
	m.tell(lead, typeReplied, m.clock.Now(), nil)
}

// end tells of what ends all enrollments of the lead.
func (m *machine) end(lead string, kind followupsv1.LeadEventType, twice bool) {
	event := m.event(lead, kind, m.clock.Now())
	event.BookingId, event.BookingTime = "b", timestamppb.New(m.clock.Now().Add(time.Hour))
	m.handle(event)
	if twice {
		m.handle(event)
	}
	for _, e := range m.model {
		e.ended = e.ended || e.lead == lead
	}
}

func (m *machine) byHand(rt *rapid.T, pause bool) {
	names := make([]string, 0, len(m.model))
	for name := range m.model {
		names = append(names, name)
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	name := rapid.SampledFrom(names).Draw(rt, "enrollment")
	if pause {
		if _, err := m.admin.PauseEnrollment(m.t.Context(), &followupsv1.PauseEnrollmentRequest{Name: name}); err == nil {
			m.model[name].manual = true
		}
		return
	}
	if _, err := m.admin.ResumeEnrollment(m.t.Context(), &followupsv1.ResumeEnrollmentRequest{Name: name}); err == nil {
		m.model[name].manual = false
	}
}

func (m *machine) flag(lead string, dnd bool) {
	m.sync.mu.Lock()
	m.sync.leads[lead].Channels = nil
	if dnd {
		m.sync.leads[lead].Channels = []*syncv1.ChannelState{{Channel: syncv1.Channel_CHANNEL_SMS, Status: syncv1.ChannelStatus_CHANNEL_STATUS_DND}}
	}
	m.sync.mu.Unlock()
	m.tell(lead, typeDND, m.clock.Now(), func(event *followupsv1.LeadEvent) { event.DndActive = dnd })
}

// check compares the service with the model and looks at what must always hold.
func (m *machine) check(rt *rapid.T) {
	seen := map[string]bool{}
	for _, call := range m.sync.calls {
		if seen[call.GetRequestId()] && m.sync.sent[call.GetRequestId()] == nil {
			continue // refused before
		}
		seen[call.GetRequestId()] = true
	}
	for name, want := range m.model {
		got := m.enrollment(name)
		ended := got.GetState() == completed || got.GetState() == cancelled
		switch {
		case want.ended && !ended:
			rt.Fatalf("%s should have ended and is %s", name, got.GetState())
		case want.manual && !ended && got.GetReason() != "paused_by_hand":
			rt.Fatalf("%s was paused by a person and is %s %s", name, got.GetState(), got.GetReason())
		case ended != (got.GetEndTime() != nil):
			rt.Fatalf("%s is %s and ends at %v", name, got.GetState(), got.GetEndTime())
		case got.GetState() == paused && got.GetReason() == "":
			rt.Fatalf("%s is paused without a reason", name)
		case got.GetState() == active && got.GetNextStepTime() == nil:
			rt.Fatalf("%s is active without a when", name)
		}
		want.ended = want.ended || ended // final is final
	}
	m.oncePerStep(rt)
}

// oncePerStep: no step of an enrollment was accepted twice, and every sent step has its record.
func (m *machine) oncePerStep(rt *rapid.T) {
	var doubled, unrecorded int
	err := postgres.InTx(m.t.Context(), m.pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(m.t.Context(), `SELECT count(*) FROM (SELECT 1 FROM run_item WHERE outcome = 'succeeded'
			GROUP BY enrollment_id, position HAVING count(*) > 1) AS d`).Scan(&doubled)
		if err != nil {
			return err
		}
		return tx.QueryRow(m.t.Context(), `SELECT count(*) FROM run_item AS i WHERE NOT EXISTS (SELECT FROM decision AS d
			WHERE d.enrollment_id = i.enrollment_id AND d.position = i.position AND d.reason = i.reason)`).Scan(&unrecorded)
	})
	if err != nil || doubled > 0 || unrecorded > 0 {
		rt.Fatalf("%d steps sent twice, %d outcomes without a decision record, %v", doubled, unrecorded, err)
	}
}

func TestLifeFollowsTheModel(t *testing.T) {
	t.Parallel()
	w := setup(t)
	m := newMachine(w)
	steps := 0
	rapid.Check(t, func(rt *rapid.T) {
		for range 12 {
			m.step(rt)
			steps++
		}
		// Leads that ended are replaced, so that the machine does not run dry.
		m.leads[rapid.IntRange(0, len(m.leads)-1).Draw(rt, "fresh")] = m.lead()
	})
	if len(m.sync.sent) == 0 {
		t.Fatal("nothing was ever sent: the machine proves nothing")
	}
	t.Logf("0 violations in %d steps, %d enrollments, %d messages", steps, len(m.model), len(m.sync.sent))
}
