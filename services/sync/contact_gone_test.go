package sync_test

import (
	"slices"
	"testing"

	"github.com/relance/relance/simulator"
)

// TestContactIsGone: a contact that was merged or deleted without a word to us is found out by the first message. That is refused once,
// later ones without a call, and whoever asks for the contact gets the one that took its place.
func TestContactIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	w := r.tenant("locationContactGone1")
	lead, gone := w.lead(simulator.Contact{FirstName: "Ann", Email: "ann@example.com", Phone: "+12125550142"})
	if err := w.sim.DeleteContact(w.location, gone.ID); err != nil {
		t.Fatal(err)
	}
	merged := w.contact(simulator.Contact{Email: "ann@example.com", Phone: "+12125550142"})
	posts := func() int { return len(w.sim.Sends(simulator.Filter{Location: w.location})) }
	first := sms(lead, "to whom it was")
	for range 2 {
		if e := w.refusedWith(first); e == nil || e.Reason != "CONTACT_NOT_FOUND" {
			t.Fatalf("the first message: %v", e)
		}
	}
	w.eventually("the lead has no contact", func() bool { return w.get(lead).GetGhlContactId() == "" })
	w.eventually("the change is told", func() bool { return slices.Contains(w.events.of(lead), updated) })
	if e := w.refusedWith(sms(lead, "another")); e == nil || e.Reason != "CONTACT_NOT_FOUND" || posts() != 1 {
		t.Errorf("the next message: %v, %d POSTs", e, posts())
	}
	s := stranger{tenant: w, lead: lead}
	if l, e := s.ended(s.wish()); e != nil || l.GetContact() != merged.ID || l.GetOrigin() != originFound {
		t.Fatalf("asked for the contact: %v %v", l, e)
	}
	if e := w.refusedWith(sms(lead, "to whom it is")); e != nil {
		t.Errorf("after that: %v", e)
	}
	w.eventually("the message leaves", func() bool {
		sent := w.sim.Accepted(simulator.Filter{Location: w.location})
		return len(sent) == 1 && sent[0].Contact == merged.ID
	})

	// The control: a contact that is there stays the lead's, whatever a refusal says.
	other, kept := w.lead(simulator.Contact{Phone: "+12125550143"})
	w.sim.AddFault(simulator.Fault{
		Match: simulator.SendsTo(kept.ID), Kind: simulator.Refusal, Code: "CONVERSATIONS_CONTACT_NOT_FOUND", Body: "Contact not found for id:x", Times: 1,
	})
	if e := w.refusedWith(sms(other, "hello")); e == nil || e.Reason != "CONTACT_NOT_FOUND" {
		t.Fatalf("control: %v", e)
	}
	w.eventually("it was read", func() bool {
		return w.count(`SELECT count(*) FROM river_job WHERE kind = 'contact_gone' AND state = 'completed'`) == 2
	})
	if got := w.get(other).GetGhlContactId(); got != kept.ID {
		t.Errorf("control: the lead has %q", got)
	}
}
