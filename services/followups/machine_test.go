package followups_test

import (
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/relance/relance/platform/postgres"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// machineSteps is the length of a long life; most are short. The number of lives is -rapid.checks. `make lives` makes both
// large.
var machineSteps = flag.Int("machine-steps", 40, "actions of a long example of the state machine")

// machine drives the service on a real database and keeps a model of what must be true: which enrollment may write, and
// in what state each may be. Examples share the service and its database; each has a workspace of its own.
type machine struct {
	*world
	zone        *time.Location
	leads       []string
	sequences   []string
	delays      map[string][]delay
	enrollments map[string]*modelled
	sent        int
}

// delay is the wait of one step of a sequence.
type delay struct{ days, minutes int }

// modelled is what is known for certain of one enrollment.
type modelled struct {
	lead, sequence string
	// end is the final state, once it is known.
	end followupsv1.EnrollmentState
	// manual: paused by a person, so that nothing may be sent until it is resumed.
	manual bool
	// replied: paused because the lead wrote after since, until a person writes or resumes it.
	replied bool
	since   time.Time
	// position is the next step, and base the earliest time from which its wait counts.
	position int32
	base     time.Time
}

func (e *modelled) mayWrite() bool { return e.end == 0 && !e.manual && !e.replied }

func newMachine(w *world) *machine {
	m := &machine{world: w, enrollments: map[string]*modelled{}}
	m.zone, _ = time.LoadLocation("America/New_York")
	m.workspace = "workspaces/" + uuid.NewString()
	m.clock.Set(start())
	for range 3 {
		m.leads = append(m.leads, w.lead())
	}
	first := w.sequence(sms("A", 0, 0), email("S", "B", 1), sms("C", 2, 0))
	second := w.oldSequence(email("S", "D", 0), sms("{senderName}", 0, 30), email("S", "E", 3))
	m.sequences = []string{first, second}
	m.delays = map[string][]delay{first: {{}, {days: 1}, {days: 2}}, second: {{}, {minutes: 30}, {days: 3}}}
	return m
}

// close ends what is left, so that the next example's runs do not take it up.
func (m *machine) close() {
	m.exec(`UPDATE enrollment SET state = 'cancelled', end_time = update_time, next_time = NULL WHERE end_time IS NULL`)
}

// actions are what can happen, each as often as it is to be drawn.
func actions() (out []func(*machine, *rapid.T, string)) {
	for _, action := range []struct {
		weight int
		do     func(*machine, *rapid.T, string)
	}{
		{3, func(m *machine, rt *rapid.T, lead string) {
			m.enrollOne(lead, rapid.SampledFrom(m.sequences).Draw(rt, "sequence"))
		}},
		{8, func(m *machine, rt *rapid.T, _ string) {
			m.clock.Advance(time.Duration(rapid.SampledFrom([]int{1, 7, 16, 24, 30, 49}).Draw(rt, "hours")) * time.Hour)
			m.checkRun(rt, m.tick())
		}},
		{1, func(m *machine, _ *rapid.T, lead string) { m.replied(lead) }},
		{2, func(m *machine, _ *rapid.T, lead string) { m.human(lead) }},
		{1, func(m *machine, rt *rapid.T, lead string) {
			m.end(lead, typeBooked, completed, rapid.Bool().Draw(rt, "twice"))
		}},
		{1, func(m *machine, _ *rapid.T, lead string) { m.end(lead, typeBlocked, cancelled, false) }},
		{2, func(m *machine, rt *rapid.T, _ string) { m.byHand(rt, true) }},
		{1, func(m *machine, rt *rapid.T, _ string) { m.byHand(rt, false) }},
		{1, func(m *machine, rt *rapid.T, lead string) { m.flag(lead, rapid.Bool().Draw(rt, "dnd")) }},
	} {
		out = append(out, slices.Repeat([]func(*machine, *rapid.T, string){action.do}, action.weight)...)
	}
	return out
}

func (m *machine) step(rt *rapid.T) {
	lead := rapid.SampledFrom(m.leads).Draw(rt, "lead")
	rapid.SampledFrom(actions()).Draw(rt, "action")(m, rt, lead)
	m.check(rt)
}

func (m *machine) enrollOne(lead, sequence string) {
	resp, err := m.admin.EnrollLead(m.t.Context(), &followupsv1.EnrollLeadRequest{
		Parent: m.workspace, Enrollment: &followupsv1.Enrollment{Lead: lead, Sequence: sequence},
	})
	if err == nil {
		now := m.clock.Now()
		m.enrollments[resp.GetEnrollment().GetName()] = &modelled{lead: lead, sequence: sequence, since: now, base: now, position: 1}
	}
}

// each visits the enrollments of a lead that have not ended.
func (m *machine) each(lead string, visit func(*modelled)) {
	for _, e := range m.enrollments {
		if e.lead == lead && e.end == 0 {
			visit(e)
		}
	}
}

func (m *machine) replied(lead string) {
	now := m.clock.Now()
	m.sync.mu.Lock()
	m.sync.leads[lead].LastInboundTime = timestamppb.New(now)
	m.sync.mu.Unlock()
	m.tell(lead, typeReplied, now, nil)
	m.each(lead, func(e *modelled) { e.replied = e.replied || !e.manual && now.After(e.since) })
}

// human is a message that a person wrote: it answers a reply, and what comes next counts from it.
func (m *machine) human(lead string) {
	now := m.clock.Now()
	m.tell(lead, typeHuman, now, nil)
	m.each(lead, func(e *modelled) {
		if e.replied && now.After(e.since) {
			e.replied, e.since = false, now
		}
	})
}

// end tells of what ends all enrollments of the lead.
func (m *machine) end(lead string, kind followupsv1.LeadEventType, state followupsv1.EnrollmentState, twice bool) {
	event := m.event(lead, kind, m.clock.Now())
	event.BookingId, event.BookingTime = "b", timestamppb.New(m.clock.Now().Add(time.Hour))
	m.handle(event)
	if twice {
		m.handle(event)
	}
	m.each(lead, func(e *modelled) { e.end = state })
}

func (m *machine) byHand(rt *rapid.T, pause bool) {
	if len(m.enrollments) == 0 {
		return
	}
	names := make([]string, 0, len(m.enrollments))
	for name := range m.enrollments {
		names = append(names, name)
	}
	slices.Sort(names) // ids sort by creation, so the draw means the same in every run
	name := rapid.SampledFrom(names).Draw(rt, "enrollment")
	if pause {
		if _, err := m.admin.PauseEnrollment(m.t.Context(), &followupsv1.PauseEnrollmentRequest{Name: name}); err == nil {
			m.enrollments[name].manual = true
		}
		return
	}
	if _, err := m.admin.ResumeEnrollment(m.t.Context(), &followupsv1.ResumeEnrollmentRequest{Name: name}); err == nil {
		e := m.enrollments[name]
		e.manual, e.replied, e.since = false, false, m.clock.Now()
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

// check compares every enrollment with the model and looks at what must always hold.
func (m *machine) check(rt *rapid.T) {
	resp, err := m.admin.ListEnrollments(m.t.Context(), &followupsv1.ListEnrollmentsRequest{Parent: m.workspace, PageSize: 500})
	if err != nil || len(resp.GetEnrollments()) != len(m.enrollments) {
		rt.Fatalf("%d enrollments, want %d: %v", len(resp.GetEnrollments()), len(m.enrollments), err)
	}
	for _, got := range resp.GetEnrollments() {
		want := m.enrollments[got.GetName()]
		if want == nil {
			rt.Fatalf("nobody made %v", got)
		}
		ended := got.GetState() == completed || got.GetState() == cancelled
		if ended && want.end == 0 {
			want.end = got.GetState() // by its last step
		}
		m.checkOrder(rt, got, want)
		switch {
		case want.end != 0 && got.GetState() != want.end: // final is final
			rt.Fatalf("%s should have ended as %s and is %s", got.GetName(), want.end, got.GetState())
		case ended != (got.GetEndTime() != nil):
			rt.Fatalf("%s is %s and ends at %v", got.GetName(), got.GetState(), got.GetEndTime())
		case ended:
		case want.manual && got.GetReason() != "paused_by_hand", want.replied && got.GetReason() != "lead_replied":
			rt.Fatalf("%+v is %s %q", *want, got.GetState(), got.GetReason())
		case got.GetState() == paused && got.GetReason() == "":
			rt.Fatalf("%s is paused without a reason", got.GetName())
		case got.GetState() == active && got.GetNextStepTime() == nil:
			rt.Fatalf("%s is active without a when", got.GetName())
		}
	}
}

// checkOrder: positions only rise, and no step is over before its wait was.
func (m *machine) checkOrder(rt *rapid.T, got *followupsv1.Enrollment, want *modelled) {
	now := m.clock.Now()
	if got.GetNextStepPosition() < want.position {
		rt.Fatalf("%s went back from step %d to %d", got.GetName(), want.position, got.GetNextStepPosition())
	}
	for ; want.position < got.GetNextStepPosition(); want.position++ {
		wait := m.delays[want.sequence][want.position-1]
		due := want.base.In(m.zone).AddDate(0, 0, wait.days).Add(time.Duration(wait.minutes) * time.Minute)
		if now.Before(due) {
			rt.Fatalf("step %d of %s was over at %v, due at %v", want.position, got.GetName(), now, due)
		}
		want.base = now
	}
}

// item is one outcome of a run.
type item struct {
	enrollment, outcome string
	position            int
	again, recorded     bool
}

// checkRun looks at a run: only who may write wrote, inside business hours, no step twice, every outcome with its
// decision record, and nothing that could be done was left.
func (m *machine) checkRun(rt *rapid.T, run *followupsv1.Run) {
	items, err := m.items(strings.TrimPrefix(run.GetName(), "runs/"))
	if err != nil || len(items) != int(run.GetResults().GetProcessed()+run.GetPauses().GetChecked()) {
		rt.Fatalf("%d items in %v: %v", len(items), run, err)
	}
	local := m.clock.Now().In(m.zone)
	open := local.Weekday()%6 != 0 && local.Hour() >= 9 && (local.Hour() < 17 || local.Hour() == 17 && local.Minute() == 0)
	for _, i := range items {
		e := m.enrollments[m.workspace+"/enrollments/"+i.enrollment]
		switch {
		case !i.recorded:
			rt.Fatalf("%+v has no decision record", i)
		case i.outcome == "failed":
			rt.Fatalf("%+v failed, and nothing here can", i)
		case i.outcome != "succeeded":
		case e == nil || !e.mayWrite() || !open || i.again:
			rt.Fatalf("%+v was sent at %v for %+v", i, local, e)
		default:
			m.sent++
		}
	}
	var left int
	err = postgres.InTx(m.t.Context(), m.pool, func(tx pgx.Tx) error {
		return tx.QueryRow(m.t.Context(), `SELECT count(*) FROM enrollment WHERE next_time <= $1`, m.clock.Now()).Scan(&left)
	})
	if err != nil || left > 0 {
		rt.Fatalf("%d are due after the run, %v", left, err)
	}
}

func (m *machine) items(run string) (out []item, err error) {
	err = postgres.InTx(m.t.Context(), m.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(m.t.Context(), `SELECT i.enrollment_id::text, i.position, i.outcome,
			(SELECT count(*) > 1 FROM run_item AS o WHERE o.workspace_id = i.workspace_id AND o.enrollment_id = i.enrollment_id
				AND o.position = i.position AND o.outcome = 'succeeded'),
			EXISTS (SELECT FROM decision AS d WHERE d.workspace_id = i.workspace_id AND d.enrollment_id = i.enrollment_id
				AND d.position = i.position AND d.reason = i.reason)
			FROM run_item AS i WHERE i.run_id = $1`, run)
		if err != nil {
			return err
		}
		var i item
		_, err = pgx.ForEachRow(rows, []any{&i.enrollment, &i.position, &i.outcome, &i.again, &i.recorded}, func() error {
			out = append(out, i)
			return nil
		})
		return err
	})
	return out, err
}

func TestLifeFollowsTheModel(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.sync.answerWith(w.sync.gate)
	steps, enrollments, sent := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		m := newMachine(w)
		defer m.close()
		for range rapid.SampledFrom([]int{*machineSteps / 5, *machineSteps / 5, *machineSteps}).Draw(rt, "steps") {
			m.step(rt)
			steps++
		}
		enrollments, sent = enrollments+len(m.enrollments), sent+m.sent
	})
	if sent == 0 {
		t.Fatal("nothing was ever sent: the machine proves nothing")
	}
	t.Logf("0 violations in %d steps, %d enrollments, %d messages", steps, enrollments, sent)
}
