package followups_test

import (
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

func (w *world) cap(n int32) {
	w.t.Helper()
	_, err := w.admin.UpdateSettings(w.t.Context(), &followupsv1.UpdateSettingsRequest{
		Parent: w.workspace, Settings: &followupsv1.Settings{DailyCapPerChannel: n},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"daily_cap_per_channel"}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// Five sequences are due for one lead at once, taken up by overlapping runs: the day has room for two, the next day of
// the workspace's zone for two more.
func TestDailyCapHoldsAcrossSequences(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.cap(2)
	lead := w.lead()
	var enrollments []string
	for range 5 {
		enrollments = append(enrollments, w.enroll(lead, w.sequence(sms("Hi", 0, 0))))
	}
	mail := w.enroll(lead, w.sequence(email("S", "B", 0)))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := w.cron.RunDueFollowUps(t.Context(), &followupsv1.RunDueFollowUpsRequest{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	w.tick()
	texts := func() (n int) {
		for _, call := range w.sync.calls {
			if call.GetChannel() == syncv1.Channel_CHANNEL_SMS {
				n++
			}
		}
		return n
	}
	if got := texts(); got != 2 {
		t.Fatalf("%d texts on the first day", got)
	}
	w.expect(mail, completed, "", 2) // another channel has a day of its own
	waiting := 0
	for _, name := range enrollments {
		if e := w.enrollment(name); e.GetState() == active {
			waiting++
			if want := time.Date(2026, 1, 8, 14, 0, 0, 0, time.UTC); e.GetReason() != "daily_cap" || !e.GetNextStepTime().AsTime().Equal(want) {
				t.Errorf("%v, want %v", e, want)
			}
		}
	}
	if waiting != 3 {
		t.Errorf("%d wait", waiting)
	}
	for want := 4; want <= 5; want++ {
		w.clock.Advance(24 * time.Hour)
		w.tick()
		if got := texts(); got != want {
			t.Fatalf("%d texts, want %d", got, want)
		}
	}
}

// A message that was refused takes no place of the day.
func TestRefusedMessageLeavesItsPlace(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.cap(1)
	refuse := true
	w.sync.answerWith(func(*syncv1.SendMessageRequest) (*syncv1.Message, error) {
		if refuse {
			refuse = false
			return nil, refusal("NO_PHONE")
		}
		return nil, nil
	})
	e := w.enroll(w.lead(), w.sequence(sms("A", 0, 0), sms("B", 0, 0), sms("C", 0, 0)))
	w.tick()
	w.tick()
	w.expect(e, active, "daily_cap", 3)
	if w.sync.callCount() != 2 {
		t.Fatalf("%d calls", w.sync.callCount())
	}
}
