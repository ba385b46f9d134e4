package followups_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups/internal/run"
)

// administer runs a statement as the owner of the tables.
func (w *world) administer(statement string) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.db.AdminDSN)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.Close(w.t.Context()) }()
	if _, err := conn.Exec(w.t.Context(), statement); err != nil {
		w.t.Fatal(err)
	}
}

// One outcome that the database does not take fails its batch's commit. The others are then recorded one by one, that one
// counts as failed and is parked when it goes on; nobody gets a message twice, and the receipt adds up.
func TestOutcomeThatCannotBeRecordedIsIsolated(t *testing.T) {
	t.Parallel()
	w := setup(t)
	sequence := w.sequence(sms("Hi {firstName}", 0, 0))
	cursed := w.lead()
	bad := w.enroll(cursed, sequence)
	var others []string
	for range 5 {
		others = append(others, w.enroll(w.lead(), sequence))
	}
	w.administer(`CREATE FUNCTION followups.refuse_task() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = 'check_violation'; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON followups.task FOR EACH ROW WHEN (NEW.lead_id = '` + cursed[len(cursed)-36:] + `')
			EXECUTE FUNCTION followups.refuse_task()`)
	receipt := w.tick()
	if c := receipt.GetResults(); c.GetSucceeded() != 5 || c.GetFailed() != 1 || len(receipt.GetErrors()) != 1 {
		t.Fatalf("receipt: %v", receipt)
	}
	for _, e := range others {
		w.expect(e, completed, "", 2)
	}
	w.expect(bad, active, "internal_error", 1)
	for range 2 {
		w.clock.Advance(time.Hour)
		if c := w.tick().GetResults(); c.GetFailed() != 1 || c.GetProcessed() != 1 {
			t.Fatalf("receipt: %v", c)
		}
	}
	w.expect(bad, paused, "attempts_exhausted", 1)
	w.administer(`DROP TRIGGER refuse ON followups.task`)
	if _, err := w.admin.ResumeEnrollment(t.Context(), &followupsv1.ResumeEnrollmentRequest{Name: bad}); err != nil {
		t.Fatal(err)
	}
	w.tick()
	w.expect(bad, completed, "", 2)
	ids := map[string]bool{}
	for _, call := range w.sync.calls {
		ids[call.GetRequestId()] = true
	}
	if len(ids) != 6 || len(w.sync.sent) != 6 {
		t.Fatalf("%d messages of 6 leads", len(ids))
	}
}

// Two enrollments of one lead that are due in one batch are worked on one after the other, each under an id of its own,
// while other leads are worked on beside them.
func TestTwoEnrollmentsOfALeadInOneBatch(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead := w.lead()
	one, two := w.enroll(lead, w.sequence(sms("One", 0, 0))), w.enroll(lead, w.sequence(email("S", "Two", 0)))
	other := w.enroll(w.lead(), w.sequence(sms("Beside", 0, 0)))
	var mu sync.Mutex
	underWay, beside := 0, make(chan struct{})
	w.sync.before = func(req *syncv1.SendMessageRequest) {
		if req.GetLead() != lead {
			close(beside)
			return
		}
		mu.Lock()
		underWay++
		if underWay > 1 {
			t.Error("two messages to one lead at once")
		}
		mu.Unlock()
		select {
		case <-beside: // the first of the lead waits for the other lead's, which must not wait for it
		case <-time.After(time.Minute):
			t.Error("another lead waits for this one")
		}
		mu.Lock()
		underWay--
		mu.Unlock()
	}
	if c := w.tick().GetResults(); c.GetSucceeded() != 3 || c.GetProcessed() != 3 {
		t.Fatalf("receipt: %v", c)
	}
	for _, e := range []string{one, two, other} {
		w.expect(e, completed, "", 2)
	}
	if len(w.sync.calls) != 3 || len(w.sync.sent) != 3 {
		t.Fatalf("%d calls, %d messages", len(w.sync.calls), len(w.sync.sent))
	}
}

// After five days of downtime everything is late at once. The steps of a lead come in order, inside the business hours, four
// hours apart, and what had to be said in its time is left out.
func TestDowntimeIsCaughtUp(t *testing.T) {
	t.Parallel()
	w := setup(t)
	fromStart := func(body string, days, within int32) *followupsv1.SequenceStep {
		step := sms(body, days, 0)
		step.Anchor, step.SendWithinMinutes = followupsv1.StepAnchor_STEP_ANCHOR_START, within
		return step
	}
	sequence := w.sequence(fromStart("A", 0, 24*60), fromStart("B", 1, 0), fromStart("C", 2, 0), fromStart("D", 3, 0))
	const leads = 60
	enrollments := map[string]string{}
	for range leads {
		lead := w.lead()
		enrollments[lead] = w.enroll(lead, sequence)
	}
	at := map[string]time.Time{} // of the nth message of a lead
	count := map[string]int{}
	w.sync.before = func(req *syncv1.SendMessageRequest) {
		w.sync.mu.Lock()
		defer w.sync.mu.Unlock()
		key := req.GetLead()
		if last := at[key]; !last.IsZero() && w.clock.Now().Sub(last) < 4*time.Hour {
			t.Errorf("two steps of a lead within %v", w.clock.Now().Sub(last))
		}
		if want := []string{"B", "C", "D"}[min(count[key], 2)]; req.GetBody() != want {
			t.Errorf("message %d is %q, want %q", count[key], req.GetBody(), want)
		}
		at[key], count[key] = w.clock.Now(), count[key]+1
	}
	w.clock.Set(time.Date(2026, 1, 12, 8, 0, 0, 0, time.UTC)) // back on Monday, 03:00 in New York
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	for range 4 * 24 * 3 { // three days by the quarter of an hour
		before := w.sync.callCount()
		w.tick()
		local := w.clock.Now().In(newYork)
		if w.sync.callCount() > before && (local.Hour() < 9 || local.Hour() > 17) {
			t.Fatalf("sent at %v", local)
		}
		w.clock.Advance(15 * time.Minute)
	}
	for lead, e := range enrollments {
		w.expect(e, completed, "", 5)
		if count[lead] != 3 {
			t.Fatalf("%d messages to a lead, want 3: A was too late", count[lead])
		}
	}
}

// The receipts of simultaneous triggers together count every step once.
func TestReceiptsOfSimultaneousTriggersCountEachStepOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const due, triggers = 300, 12
	w.plant(w.sequence(sms("Hi {firstName}", 0, 0)), due)
	var group sync.WaitGroup
	var mu sync.Mutex
	counted, names := 0, map[string]bool{}
	for range triggers {
		group.Go(func() {
			resp, err := w.cron.RunDueFollowUps(t.Context(), &followupsv1.RunDueFollowUpsRequest{RequestId: uuid.NewString()})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			c := resp.GetRun().GetResults()
			if c.GetProcessed() != c.GetSucceeded()+c.GetFailed()+c.GetSkipped()+c.GetDeferred()+c.GetUnknown() {
				t.Errorf("the receipt does not add up: %v", c)
			}
			counted += int(c.GetSucceeded())
			names[resp.GetRun().GetName()] = true
		})
	}
	group.Wait()
	for left := w.tick(); left.GetResults().GetProcessed() > 0; left = w.tick() {
		counted += int(left.GetResults().GetSucceeded())
	}
	if counted != due || len(names) != triggers || len(w.sync.calls) != due {
		t.Fatalf("%d counted in %d receipts, %d calls, want %d", counted, len(names), len(w.sync.calls), due)
	}
}

// TestNoLeaseOutlivesItsRun: wherever a budget ends, in the claim's commit too, nothing stays leased: the next run has it.
func TestNoLeaseOutlivesItsRun(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const due = 600
	w.plant(w.sequence(sms("Hi {firstName}", 0, 0)), due)
	runner := w.runner(func(*run.Config) {})
	runs, processed := 0, 0
	for ; processed < due && runs < 1000; runs++ {
		receipt, err := runner.Run(t.Context(), run.Request{Budget: time.Duration(1+runs%100) * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		processed += receipt.Counts.Processed()
		leased := 0
		if err := w.pool.QueryRow(t.Context(), `SELECT count(*) FROM enrollment WHERE lease_until IS NOT NULL`).Scan(&leased); err != nil {
			t.Fatal(err)
		}
		if leased > 0 {
			t.Fatalf("%d leases were left by run %d", leased, runs)
		}
	}
	if len(w.sync.calls) != due {
		t.Fatalf("%d messages of %d due steps in %d runs", len(w.sync.calls), due, runs)
	}
	t.Logf("%d runs", runs)
}
