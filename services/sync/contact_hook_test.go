package sync_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/relance/relance/simulator"
)

// TestLinkOfAnother: a webhook that links the lead first ends the link too, and who waits for the contact is told.
func TestLinkOfAnother(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	s := r.stranger("locationLinkHook0001")
	plant := func(lead, next string) string {
		id := uuid.Must(uuid.NewV7())
		s.exec(`INSERT INTO contact_link (workspace_id, id, lead_id, state, next_time, create_time, update_time) VALUES ($1, $2, $3, 'PLANNED', `+next+`, $4, $4)`,
			s.name[len("workspaces/"):], id, lead, s.clock.Now())
		return s.name + "/contactLinks/" + id.String()
	}
	waiting := plant(s.id(), `now() + interval '1 day'`)
	contact := s.contact(simulator.Contact{Email: "eve@example.com", Phone: "+12125550142", FirstName: "Eve"})
	hook, err := s.sim.ContactWebhook(s.location, contact.ID, "ContactCreate")
	if err != nil {
		t.Fatal(err)
	}
	s.accept(hook)
	s.settled()
	s.eventually("the webhook's link is told", func() bool { return slices.Contains(s.events.of(s.lead), updated) })
	told := len(s.events.of(s.lead))
	s.exec(`UPDATE contact_link SET next_time = now()`)
	if l := s.link(waiting, linkLinked); l.GetContact() != contact.ID || l.GetOrigin() != originKnown || len(s.creates()) != 0 {
		t.Errorf("linked as %v, %d POSTs", l, len(s.creates()))
	}
	s.eventually("its end is told", func() bool { return len(s.events.of(s.lead)) > told })
}
