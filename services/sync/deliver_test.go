package sync_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/simulator"
)

const human = followupsv1.LeadEventType_LEAD_EVENT_TYPE_HUMAN_OUTBOUND

// happen puts two events of each lead into the outbox, in turn.
func (w tenant) happen(leads ...string) {
	w.Helper()
	w.eventually("months made", func() bool {
		return w.count(`SELECT count(to_regclass('outbox_2026_01'))`) > 0
	})
	for _, kind := range []string{"REPLIED", "HUMAN_OUTBOUND"} {
		for _, lead := range leads {
			w.exec(`INSERT INTO outbox (id, workspace_id, lead_id, type, payload, create_time)
				SELECT gen_random_uuid(), workspace_id, id, $2, '{"at":"2026-01-07T15:00:00Z"}', $3 FROM lead WHERE id = $1`,
				lead[len(lead)-36:], kind, w.clock.Now())
		}
	}
}

// TestEventsPassOneThatFails: an event that followups fails at holds up the later ones of its own lead, and nobody else's.
func TestEventsPassOneThatFails(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	ill, _ := w.lead(simulator.Contact{Phone: "+12025550181"})
	well, _ := w.lead(simulator.Contact{Phone: "+12025550182"})
	broken := func(e *followupsv1.LeadEvent) bool { return e.GetLead() == ill && e.GetType() == replied }
	w.events.refusing(func(events []*followupsv1.LeadEvent) error {
		if slices.ContainsFunc(events, broken) {
			return errors.New("a bug")
		}
		return nil
	})
	w.happen(ill, well)
	both := []followupsv1.LeadEventType{replied, human}
	w.eventually("the well lead's events delivered", func() bool { return slices.Equal(w.events.of(well), both) })
	if got := w.events.of(ill); len(got) != 0 {
		t.Errorf("%v came before the event that failed", got)
	}
	w.events.refusing(nil)
	w.eventually("the ill lead's events delivered", func() bool { return slices.Equal(w.events.of(ill), both) })
}

// TestEventsThatTakeTooLongTogether are delivered one by one: the repetition of a whole batch would take as long again.
func TestEventsThatTakeTooLongTogether(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, _ := w.lead(simulator.Contact{Phone: "+12025550183"})
	w.events.refusing(func(events []*followupsv1.LeadEvent) error {
		if len(events) > 1 {
			return apierr.New(codes.DeadlineExceeded, apierr.PlatformDomain, "TOO_SLOW", "more than there is time for")
		}
		return nil
	})
	w.happen(lead)
	w.eventually("events delivered", func() bool { return len(w.events.of(lead)) == 2 })
}

// TestAPersonsMessageIsToldOnceWhoeverStoredIt: a message that a person wrote at the provider starts the waits of sequences anew, be it
// that the import of history was faster than its webhook; a message of ours does not.
func TestAPersonsMessageIsToldOnceWhoeverStoredIt(t *testing.T) {
	t.Parallel()
	h := newRig(t).tenant(location).thread()
	message := h.add("outbound", "Shall we say Monday?", time.Minute)
	if got := h.sync("sms", false); got.GetImported() != 1 {
		t.Fatalf("imported %d", got.GetImported())
	}
	told := func(id string) simulator.Payload {
		p, err := h.sim.MessageWebhook(id)
		if err != nil {
			t.Fatal(err)
		}
		h.accept(p)
		return p
	}
	first := told(message)
	h.eventually("the person's message told", func() bool { return slices.Equal(h.events.of(h.lead), []followupsv1.LeadEventType{human}) })
	h.settled()
	h.repeat(first)
	sent, err := h.followups.SendMessage(t.Context(), sms(h.lead, "Monday is fine."))
	if err != nil {
		t.Fatal(err)
	}
	told(sent.GetMessage().GetProviderMessageId())
	h.settled()
	if n := h.count(`SELECT count(*) FROM outbox WHERE type = 'HUMAN_OUTBOUND'`); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}
