package followups_test

import (
	"strings"
	"testing"
	"time"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

// TestContactPendingIsHeld: a message whose lead gets its contact first waits for the lead's event, and asks nobody meanwhile.
func TestContactPendingIsHeld(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead := w.lead()
	e := w.enroll(lead, w.sequence(sms("Hi", 0, 0)))
	w.sync.answerWith(func(*syncv1.SendMessageRequest) (*syncv1.Message, error) { return nil, refusal("CONTACT_PENDING") })
	w.tick()
	w.clock.Advance(24 * time.Hour) // the same hour of the next day
	w.tick()
	w.expect(e, active, "CONTACT_PENDING", 1)
	if n := w.sync.callCount(); n != 1 {
		t.Fatalf("asked %d times", n)
	}
	if says := w.explain(e).GetSummary(); !strings.Contains(says, "the lead's contact at the provider is being found or made") {
		t.Errorf("explained as %q", says)
	}
	w.sync.answerWith(nil)
	w.tell(lead, typeUpdated, w.clock.Now(), nil)
	w.clock.Advance(time.Minute)
	w.tick()
	if w.expect(e, completed, "", 2); w.sync.callCount() != 2 {
		t.Errorf("asked %d times", w.sync.callCount())
	}
}
