package followups_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups/sequencefile"
)

// journey is one lead's way through a sequence, on a clock that jumps from look to look.
type journey struct {
	*world
	zone *time.Location
	lead string
	name string
	// plan are the messages and tasks, as "Mon 01-12 09:00 email".
	plan []string
}

func newJourney(t *testing.T, begin string, days int) *journey {
	t.Helper()
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04", begin, zone)
	if err != nil {
		t.Fatal(err)
	}
	j := &journey{world: setup(t), zone: zone}
	j.clock.Set(at)
	planted{world: j.world}.settings(&followupsv1.Settings{
		SenderName: "Grace", CompanyName: "Acme", TargetResult: "more bookings", WorkDays: weekdays(days),
	}, "sender_name", "company_name", "target_result", "work_days")
	j.lead = j.world.lead()
	j.sync.before = func(req *syncv1.SendMessageRequest) {
		j.note(strings.ToLower(strings.TrimPrefix(req.GetChannel().String(), "CHANNEL_")))
	}
	return j
}

// weekdays are the first days of the week, from Monday.
func weekdays(n int) (days []followupsv1.Weekday) {
	for day := range n {
		days = append(days, followupsv1.Weekday(day+1))
	}
	return days
}

func (j *journey) note(what string) {
	j.plan = append(j.plan, j.clock.Now().In(j.zone).Format("Mon 01-02 15:04 ")+what)
}

// enrollIn enrolls the lead in one of the default sequences, as its file has it.
func (j *journey) enrollIn(file string) {
	j.t.Helper()
	j.name = j.enroll(j.lead, j.install(file))
}

// install makes one of the default sequences active.
func (j *journey) install(file string) string {
	j.t.Helper()
	text, err := sequencefile.Default(file)
	if err != nil {
		j.t.Fatal(err)
	}
	parsed, err := sequencefile.Parse(text)
	if err != nil {
		j.t.Fatal(err)
	}
	parsed[0].Active = true
	made, err := j.admin.CreateSequence(j.t.Context(), &followupsv1.CreateSequenceRequest{Parent: j.workspace, Sequence: parsed[0]})
	if err != nil {
		j.t.Fatal(err)
	}
	return made.GetSequence().GetName()
}

// until goes from look to look up to the time, which it stops at.
func (j *journey) until(text string) {
	j.t.Helper()
	end, err := time.ParseInLocation("2006-01-02 15:04", text, j.zone)
	if err != nil {
		j.t.Fatal(err)
	}
	for range 200 {
		e := j.enrollment(j.name)
		next := e.GetNextStepTime()
		if next == nil || next.AsTime().After(end) {
			j.clock.Set(end)
			return
		}
		if next.AsTime().After(j.clock.Now()) {
			j.clock.Set(next.AsTime())
		}
		before := len(j.tasks())
		j.tick()
		for _, task := range j.tasks()[before:] {
			if task.GetState() == followupsv1.TaskState_TASK_STATE_PENDING {
				j.note("task")
			}
		}
	}
	j.t.Fatalf("never comes to %v: %v", end, j.plan)
}

func (j *journey) want(plan ...string) {
	j.t.Helper()
	if !slices.Equal(j.plan, plan) {
		j.t.Fatalf("plan:\n%s\nwant:\n%s", strings.Join(j.plan, "\n"), strings.Join(plan, "\n"))
	}
}

// said is what the lead wrote and was answered, as sync knows it.
func (j *journey) said(inbound, outbound time.Time) {
	j.sync.mu.Lock()
	defer j.sync.mu.Unlock()
	j.sync.leads[j.lead].LastInboundTime = timestamppb.New(inbound)
	if !outbound.IsZero() {
		j.sync.leads[j.lead].LastOutboundTime = timestamppb.New(outbound)
	}
}

// A weekend in between: what falls due on Saturday waits for Monday, and what was late together keeps four hours apart.
func TestJourneyOverAWeekend(t *testing.T) {
	t.Parallel()
	j := newJourney(t, "2026-01-07 10:00", 5)
	j.enrollIn("no-response")
	j.until("2026-02-28 12:00")
	j.want("Wed 01-07 10:00 email", "Wed 01-07 10:10 sms", "Mon 01-12 09:00 email", "Mon 01-12 13:00 sms", "Mon 01-12 17:00 email",
		"Tue 01-13 09:00 sms")
}

// The clocks go forward on Sunday, 8 March: three days after Thursday 10:00 is Sunday 10:00 by the new clock.
func TestJourneyOverTheChangeOfClocks(t *testing.T) {
	t.Parallel()
	j := newJourney(t, "2026-03-05 10:00", 7)
	j.enrollIn("no-response")
	j.until("2026-04-30 12:00")
	j.want("Thu 03-05 10:00 email", "Thu 03-05 10:10 sms", "Sun 03-08 10:00 email", "Sun 03-08 10:10 sms", "Tue 03-10 10:00 email",
		"Tue 03-10 10:10 sms")
}

// A lead who wants to meet, over the turn of the year; they write in between, are answered, fall silent, and it goes on
// after a week.
func TestJourneyOverTheYearWithAReply(t *testing.T) {
	t.Parallel()
	j := newJourney(t, "2026-12-29 16:30", 5)
	j.enrollIn("meeting-requested")
	j.until("2027-01-01 12:00")
	wrote := j.clock.Now()
	j.said(wrote, time.Time{})
	j.tell(j.lead, typeReplied, wrote, nil)
	j.until("2027-01-01 15:00")
	j.said(wrote, j.clock.Now())
	j.until("2027-03-31 12:00")
	j.want("Tue 12-29 16:32 sms", "Wed 12-30 09:00 task", "Wed 12-30 16:30 email", "Wed 12-30 16:40 sms",
		"Fri 01-08 12:00 email", "Fri 01-08 16:00 sms", "Mon 01-11 09:00 email", "Mon 01-11 13:00 sms")
}

// Re-engagement over the end of summer time; the lead books a meeting before the last email, which is then not said.
func TestJourneyEndsWithABooking(t *testing.T) {
	t.Parallel()
	j := newJourney(t, "2026-10-28 11:00", 5)
	j.enrollIn("re-engagement")
	j.until("2026-11-05 12:00")
	j.tell(j.lead, typeBooked, j.clock.Now(), func(event *followupsv1.LeadEvent) {
		event.BookingId, event.BookingTime = "b1", timestamppb.New(j.clock.Now().AddDate(0, 0, 3))
	})
	j.expect(j.name, completed, "meeting_booked", 3)
	j.until("2027-01-31 12:00")
	j.want("Wed 10-28 11:00 email", "Mon 11-02 09:00 sms")
}

// Re-engagement to its end: the lead answers nothing, and each step keeps its time of day over the weekends.
func TestJourneyOfASilentLead(t *testing.T) {
	t.Parallel()
	j := newJourney(t, "2026-01-07 11:00", 5)
	j.enrollIn("re-engagement")
	j.until("2026-03-31 12:00")
	j.want("Wed 01-07 11:00 email", "Mon 01-12 09:00 sms", "Mon 01-19 09:00 email")
	j.expect(j.name, completed, "", 5)
}

// bookedAs tells of an appointment, takes the running enrollment of the lead as the journey's, and reports whether there is one.
func (j *journey) bookedAs(id string, in time.Duration) bool {
	j.t.Helper()
	j.tell(j.lead, typeBooked, j.clock.Now(), func(event *followupsv1.LeadEvent) {
		event.BookingId, event.BookingTime = id, timestamppb.New(j.clock.Now().Add(in))
	})
	return j.running()
}

func (j *journey) unbooked(id string) {
	j.t.Helper()
	j.tell(j.lead, typeUnbooked, j.clock.Now(), func(event *followupsv1.LeadEvent) { event.BookingId = id })
}

func (j *journey) running() bool {
	j.t.Helper()
	resp, err := j.admin.ListEnrollments(j.t.Context(), &followupsv1.ListEnrollmentsRequest{Parent: j.workspace, Lead: j.lead, PageSize: 500})
	if err != nil {
		j.t.Fatal(err)
	}
	for _, e := range resp.GetEnrollments() {
		if e.GetEndTime() == nil {
			j.name = e.GetName()
			return true
		}
	}
	return false
}

// Appointments over six weeks: one is booked on a Friday evening and confirmed on Monday; it is given another time, which
// starts nothing; it is called off, which asks a person; the lead books anew, and that is confirmed too; the third is called
// off before its confirmation was said, which then stays unsaid.
func TestJourneyOfAppointments(t *testing.T) {
	t.Parallel()
	j := newJourney(t, "2026-02-27 17:30", 5)
	planted{world: j.world}.settings(&followupsv1.Settings{QualificationQuestions: []string{"How many?", "Since when?"}}, "qualification_questions")
	j.install("post-booking")
	const week = 7 * 24 * time.Hour
	if !j.bookedAs("first", 2*week) {
		t.Fatal("a booking starts nothing")
	}
	j.until("2026-03-04 10:00")
	j.expect(j.name, completed, "", 2)
	if j.bookedAs("first", 3*week) {
		t.Fatal("another time of a known appointment starts its sequence again")
	}
	j.until("2026-03-11 10:00")
	j.unbooked("first")
	j.note("called off, tasks " + strconv.Itoa(j.pending()))
	j.tell(j.lead, typeBooked, j.clock.Now().Add(-time.Minute), func(event *followupsv1.LeadEvent) { // an old word, late
		event.BookingId, event.BookingTime = "first", timestamppb.New(j.clock.Now().Add(week))
	})
	if j.running() {
		t.Fatal("an old word of an appointment that was called off starts its sequence")
	}
	j.until("2026-03-25 15:00")
	if !j.bookedAs("second", week) {
		t.Fatal("a new appointment starts nothing")
	}
	j.until("2026-04-07 18:00")
	if !j.bookedAs("third", week) {
		t.Fatal("the next appointment starts nothing")
	}
	j.unbooked("third")
	j.expect(j.name, cancelled, "meeting_cancelled", 1)
	j.until("2026-04-15 12:00")
	j.want("Mon 03-02 09:00 email", "Wed 03-11 10:00 called off, tasks 1", "Wed 03-25 15:05 email")
}

// pending counts the tasks that wait for a person.
func (j *journey) pending() (n int) {
	for _, task := range j.tasks() {
		if task.GetState() == followupsv1.TaskState_TASK_STATE_PENDING {
			n++
		}
	}
	return n
}
