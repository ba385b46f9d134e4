package followups_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
)

func (w *world) triggered(trigger followupsv1.Trigger, options *followupsv1.TriggerOptions, steps ...*followupsv1.SequenceStep) string {
	w.t.Helper()
	if len(steps) == 0 {
		steps = []*followupsv1.SequenceStep{sms("Hi", 1, 0)}
	}
	resp, err := w.admin.CreateSequence(w.t.Context(), &followupsv1.CreateSequenceRequest{
		Parent: w.workspace, Sequence: &followupsv1.Sequence{
			DisplayName: "s" + uuid.NewString(), Active: true, Trigger: trigger, TriggerOptions: options, Steps: steps,
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.GetSequence().GetName()
}

// enrolled counts the lead's enrollments by sequence.
func (w *world) enrolled(lead string) map[string]int {
	w.t.Helper()
	resp, err := w.admin.ListEnrollments(w.t.Context(), &followupsv1.ListEnrollmentsRequest{Parent: w.workspace, Lead: lead, PageSize: 500})
	if err != nil {
		w.t.Fatal(err)
	}
	counts := map[string]int{}
	for _, e := range resp.GetEnrollments() {
		counts[e.GetSequence()]++
	}
	return counts
}

func (w *world) cancelAll(lead string) {
	w.t.Helper()
	resp, err := w.admin.ListEnrollments(w.t.Context(), &followupsv1.ListEnrollmentsRequest{Parent: w.workspace, Lead: lead, PageSize: 500})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range resp.GetEnrollments() {
		if e.GetEndTime() == nil {
			if _, err := w.admin.CancelEnrollment(w.t.Context(), &followupsv1.CancelEnrollmentRequest{Name: e.GetName()}); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

func TestEventsPullTriggers(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const smsChannel, emailChannel = followupsv1.StepChannel_STEP_CHANNEL_SMS, followupsv1.StepChannel_STEP_CHANNEL_EMAIL
	manual := w.triggered(followupsv1.Trigger_TRIGGER_MANUAL, nil)
	created := w.triggered(followupsv1.Trigger_TRIGGER_LEAD_CREATED, nil)
	setter := w.triggered(followupsv1.Trigger_TRIGGER_SETTER_REPLY, nil)
	tagged := w.triggered(followupsv1.Trigger_TRIGGER_TAG_ADDED, &followupsv1.TriggerOptions{Tag: "Hot Lead"})
	dndSMS := w.triggered(followupsv1.Trigger_TRIGGER_DND_SET, &followupsv1.TriggerOptions{Channel: smsChannel}, email("S", "B", 1))
	dndEmail := w.triggered(followupsv1.Trigger_TRIGGER_DND_SET, &followupsv1.TriggerOptions{Channel: emailChannel})
	cleared := w.triggered(followupsv1.Trigger_TRIGGER_DND_CLEARED, nil)
	booked := w.triggered(followupsv1.Trigger_TRIGGER_MEETING_SELECTED, nil)
	lead := w.lead()
	now := start()
	send := func(kind followupsv1.LeadEventType, change func(*followupsv1.LeadEvent)) {
		now = now.Add(time.Second)
		event := w.event(lead, kind, now)
		change(event)
		w.handle(event)
	}
	none := func(*followupsv1.LeadEvent) {}
	steps := []struct {
		name string
		do   func()
		want string
	}{
		{"created", func() { send(followupsv1.LeadEventType_LEAD_EVENT_TYPE_CREATED, none) }, created},
		{"other tag", func() {
			send(followupsv1.LeadEventType_LEAD_EVENT_TYPE_TAGS_CHANGED, func(e *followupsv1.LeadEvent) { e.AddedTags = []string{"cold"} })
		}, ""},
		{"tag", func() {
			send(followupsv1.LeadEventType_LEAD_EVENT_TYPE_TAGS_CHANGED, func(e *followupsv1.LeadEvent) { e.AddedTags = []string{"x", "hot lead "} })
		}, tagged},
		{"a person's first message", func() { send(followupsv1.LeadEventType_LEAD_EVENT_TYPE_HUMAN_OUTBOUND, none) }, setter},
		{"SMS DND", func() {
			send(followupsv1.LeadEventType_LEAD_EVENT_TYPE_DND_CHANGED, func(e *followupsv1.LeadEvent) { e.Channel, e.DndActive = smsChannel, true })
		}, dndSMS},
		{"DND cleared", func() {
			send(followupsv1.LeadEventType_LEAD_EVENT_TYPE_DND_CHANGED, func(e *followupsv1.LeadEvent) { e.Channel = smsChannel })
		}, cleared},
		{"booked", func() {
			send(followupsv1.LeadEventType_LEAD_EVENT_TYPE_BOOKED, func(e *followupsv1.LeadEvent) { e.BookingId = "b1"; e.BookingTime = e.GetEventTime() })
		}, booked},
	}
	before := map[string]int{}
	for _, step := range steps {
		step.do()
		after := w.enrolled(lead)
		for _, sequence := range []string{manual, created, setter, tagged, dndSMS, dndEmail, cleared, booked} {
			if got := after[sequence] - before[sequence]; (got == 1) != (sequence == step.want) || got > 1 {
				t.Errorf("%s: sequence %s got %d enrollments", step.name, sequence, got)
			}
		}
		before = after
	}
	// A second message of a person is not the first, though no rule of re-enrollment stands in its way.
	w.cancelAll(lead)
	always := w.triggered(followupsv1.Trigger_TRIGGER_SETTER_REPLY, &followupsv1.TriggerOptions{ReEnroll: followupsv1.ReEnroll_RE_ENROLL_ALWAYS})
	send(followupsv1.LeadEventType_LEAD_EVENT_TYPE_HUMAN_OUTBOUND, none)
	if got := w.enrolled(lead)[always]; got != 0 {
		t.Errorf("%d", got)
	}
}

func TestReEnrollRules(t *testing.T) {
	t.Parallel()
	w := setup(t)
	tag := func(rule followupsv1.ReEnroll, days int32) string {
		return w.triggered(followupsv1.Trigger_TRIGGER_TAG_ADDED, &followupsv1.TriggerOptions{Tag: "t", ReEnroll: rule, ReEnrollAfterDays: days})
	}
	never, always := tag(followupsv1.ReEnroll_RE_ENROLL_NEVER, 0), tag(followupsv1.ReEnroll_RE_ENROLL_ALWAYS, 0)
	after := tag(followupsv1.ReEnroll_RE_ENROLL_AFTER, 7)
	lead := w.lead()
	pull := func() map[string]int {
		event := w.event(lead, followupsv1.LeadEventType_LEAD_EVENT_TYPE_TAGS_CHANGED, w.clock.Now())
		event.AddedTags = []string{"t"}
		w.handle(event)
		return w.enrolled(lead)
	}
	check := func(got map[string]int, wantNever, wantAlways, wantAfter int) {
		t.Helper()
		if got[never] != wantNever || got[always] != wantAlways || got[after] != wantAfter {
			t.Fatalf("%d, %d, %d; want %d, %d, %d", got[never], got[always], got[after], wantNever, wantAlways, wantAfter)
		}
	}
	check(pull(), 1, 1, 1)
	check(pull(), 1, 1, 1) // all run
	w.cancelAll(lead)
	check(pull(), 1, 2, 1)
	w.cancelAll(lead)
	w.clock.Advance(7 * 24 * time.Hour)
	check(pull(), 1, 3, 2)
}

func TestSilenceStartsASequenceOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	seq := w.triggered(followupsv1.Trigger_TRIGGER_NO_RESPONSE, &followupsv1.TriggerOptions{
		NoResponseMinutes: 60, ReEnroll: followupsv1.ReEnroll_RE_ENROLL_ALWAYS,
	}, sms("Still there?", 0, 0))
	outbound := func(lead string) {
		w.handle(w.event(lead, followupsv1.LeadEventType_LEAD_EVENT_TYPE_HUMAN_OUTBOUND, w.clock.Now()))
	}
	silent, answered, again, busy := w.lead(), w.lead(), w.lead(), w.lead()
	w.enroll(busy, w.triggered(followupsv1.Trigger_TRIGGER_MANUAL, nil))
	for _, lead := range []string{silent, answered, again, busy} {
		outbound(lead)
	}
	w.clock.Advance(30 * time.Minute)
	w.handle(w.event(answered, followupsv1.LeadEventType_LEAD_EVENT_TYPE_REPLIED, w.clock.Now()))
	outbound(again) // counts anew
	w.clock.Advance(29 * time.Minute)
	w.tick()
	if got := w.enrolled(silent)[seq]; got != 0 {
		t.Fatalf("%d enrollments too early", got)
	}
	w.clock.Advance(time.Minute)
	var all sync.WaitGroup
	for range 8 { // overlapping ticks share the watches
		all.Go(func() {
			if _, err := w.cron.RunDueFollowUps(t.Context(), &followupsv1.RunDueFollowUpsRequest{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	w.clock.Advance(30 * time.Minute)
	w.tick()
	w.tick()
	for lead, want := range map[string]int{silent: 1, answered: 0, again: 1, busy: 0} {
		if got := w.enrolled(lead)[seq]; got != want {
			t.Errorf("%d enrollments, want %d (silent %v, answered %v, again %v, busy %v)", got, want,
				lead == silent, lead == answered, lead == again, lead == busy)
		}
	}
	if w.sync.callCount() != 2 {
		t.Errorf("%d messages", w.sync.callCount())
	}
	outbound(silent) // a new message, a new silence
	w.clock.Advance(time.Hour)
	w.tick()
	if got := w.enrolled(silent)[seq]; got != 2 {
		t.Errorf("%d enrollments after the second silence", got)
	}
}

// A reply that was known only after the watch had fired still pauses: the lead was silent only as far as we knew.
func TestReplyBeforeTheSilenceFiredPauses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.triggered(followupsv1.Trigger_TRIGGER_NO_RESPONSE, &followupsv1.TriggerOptions{NoResponseMinutes: 60}, sms("Still there?", 0, 5))
	lead := w.lead()
	w.handle(w.event(lead, followupsv1.LeadEventType_LEAD_EVENT_TYPE_HUMAN_OUTBOUND, w.clock.Now()))
	w.clock.Advance(time.Hour)
	w.tick()
	w.handle(w.event(lead, followupsv1.LeadEventType_LEAD_EVENT_TYPE_REPLIED, w.clock.Now().Add(-time.Minute)))
	w.clock.Advance(5 * time.Minute)
	w.tick()
	resp, err := w.admin.ListEnrollments(t.Context(), &followupsv1.ListEnrollmentsRequest{Parent: w.workspace, Lead: lead})
	if err != nil || len(resp.GetEnrollments()) != 1 || w.sync.callCount() != 0 {
		t.Fatalf("%v, %v, %d messages", resp, err, w.sync.callCount())
	}
	w.expect(resp.GetEnrollments()[0].GetName(), paused, "lead_replied", 1)
}

func TestReactivationCountsFromTheLastWordOfEitherSide(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const days = 60
	seq := w.triggered(followupsv1.Trigger_TRIGGER_REACTIVATION, &followupsv1.TriggerOptions{NoResponseMinutes: days * 24 * 60}, sms("Long time", 0, 0))
	other := w.triggered(followupsv1.Trigger_TRIGGER_MANUAL, nil, sms("A", 0, 0), sms("B", 30, 0))
	lead := w.lead()
	w.handle(w.event(lead, followupsv1.LeadEventType_LEAD_EVENT_TYPE_REPLIED, w.clock.Now()))
	w.enroll(lead, other)
	w.tick()
	w.clock.Advance(30 * 24 * time.Hour)
	w.tick() // B, and the other sequence ends
	for _, step := range []struct{ advance, want int }{{30, 0}, {30, 1}, {days, 1}} {
		w.clock.Advance(time.Duration(step.advance) * 24 * time.Hour)
		w.tick()
		if got := w.enrolled(lead)[seq]; got != step.want {
			t.Fatalf("%s: %d enrollments, want %d", fmt.Sprint(w.clock.Now()), got, step.want)
		}
	}
}
