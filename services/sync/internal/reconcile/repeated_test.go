package reconcile_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/history"
	"github.com/relance/relance/services/sync/internal/reconcile"
	"github.com/relance/relance/services/sync/internal/sender"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/simulator"
)

// repeated is a send whose message a person repeated at the provider, under a new id that history has followed.
func (p person) repeated() (intent uuid.UUID, id string) {
	p.Helper()
	intent = p.send(p.request(text)).Message
	old := p.is(intent, sending.Accepted, "").ProviderMessageID
	p.clock.Advance(time.Minute)
	id, err := p.sim.AddHistory(location, p.contact, simulator.HistoryMessage{Body: text, Source: "api"})
	if err != nil {
		p.Fatal(err)
	}
	p.system(func(tx *store.Tx) error {
		thread := store.Thread{Workspace: p.workspace, Lead: p.lead, Channel: sending.SMS}
		stored := history.Stored{Key: intent.String(), ProviderID: *old}
		return tx.Relink(p.Context(), thread, stored, history.Link{Key: intent.String(), ProviderID: id}, "", p.clock.Now())
	})
	return intent, id
}

// A message that a person repeated is that of its send, though no intent claims its new id: a look for another send with the same
// words passes over it.
func TestARepeatedMessageIsItsSends(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550101")
	first, _ := p.repeated()
	second := p.lost(p.request(text), gone)
	if n := r.looksUntil(second, 15*time.Minute); n != 4 {
		t.Errorf("%d looks", n)
	}
	r.is(second, sending.Retryable, "")
	r.is(first, sending.Accepted, "")
	// The control: a message that is nobody's is the send's.
	q := r.person("+12025550102")
	third := q.lost(q.request(text), simulator.Fault{Kind: simulator.AcceptThenReset})
	r.looksUntil(third, 30*time.Second)
	r.is(third, sending.Accepted, "")
}

// So does its webhook, which raises the delivery of the send that it repeats.
func TestTheWebhookOfARepeatedMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550101")
	first, id := p.repeated()
	second := p.lost(p.request(text), gone)
	if !p.observe(reconcile.Evidence{ProviderID: id, Text: text, Source: "api", Status: "delivered"}) {
		t.Error("not taken for ours")
	}
	r.is(second, sending.Unknown, "")
	if row := r.is(first, sending.Delivered, ""); row.Delivery != "delivered" {
		t.Errorf("delivery = %s", row.Delivery)
	}
}

// A person who names it for a parked send is told whose it is.
func TestARepeatedMessageSettlesNoOtherSend(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550101")
	first, id := p.repeated()
	request := p.request(text)
	request.Policy = sending.Hold
	second := p.lost(request, gone)
	r.looksUntil(second, 15*time.Minute)
	r.is(second, sending.Parked, sending.SendAmbiguous)
	_, err := r.sender.Resolve(t.Context(), sender.Resolution{
		Workspace: r.workspace, Message: second, RequestID: uuid.New(), Principal: "user:u1", Decision: sender.DecideAccepted, ProviderID: id,
	})
	var claimed *sender.ClaimedError
	if !errors.As(err, &claimed) || claimed.Message != first {
		t.Errorf("error = %v", err)
	}
}

// The id comes into the timeline between a look and its commit: the next look knows it.
func TestAMessageThatIsRepeatedDuringALook(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550101")
	first := p.send(p.request("Other words.")).Message
	second := p.lost(p.request(text), simulator.Fault{Kind: simulator.AcceptThenReset})
	id := r.sim.Accepted(simulator.Filter{Contact: p.contact})[1].MessageID
	r.admin(`SET search_path = sync;
		CREATE FUNCTION taken_first() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN IF NEW.state = 'ACCEPTED' THEN UPDATE message SET provider_message_id = NEW.provider_message_id WHERE id = '` + first.String() + `'; END IF; RETURN NEW; END $$;
		CREATE TRIGGER taken_first AFTER UPDATE ON send_intent FOR EACH ROW WHEN (NEW.id = '` + second.String() + `') EXECUTE FUNCTION taken_first();`)
	r.looksUntil(second, 30*time.Second)
	r.is(second, sending.Unknown, "")
	r.admin(`SET search_path = sync; DROP TRIGGER taken_first ON send_intent`)
	r.tick()
	if row := r.is(second, sending.Accepted, ""); *row.ProviderMessageID != id {
		t.Errorf("claimed %s", *row.ProviderMessageID)
	}
}
