package reconcile_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/reconcile"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/simulator"
)

// observe hands in evidence as the webhook job does, and tells whether it was a send of ours.
func (p person) observe(e reconcile.Evidence) (ours bool) {
	p.Helper()
	e.Workspace, e.Lead = p.workspace, p.lead
	if e.Channel == "" {
		e.Channel = sending.SMS
	}
	if e.At.IsZero() {
		e.At = p.clock.Now()
	}
	err := p.store.Workspace(p.Context(), p.workspace, func(tx *store.Tx) (err error) {
		if _, err := tx.LockLead(p.Context(), db.LockLeadParams{WorkspaceID: p.workspace, ID: p.lead}); err != nil {
			return err
		}
		ours, err = p.reconcile.Observe(p.Context(), tx, e)
		return err
	})
	if err != nil {
		p.Fatal(err)
	}
	return ours
}

var gone = simulator.Fault{Kind: simulator.EmptyTwoHundred, NotTaken: true}

func TestEvidenceSettlesWhereverTheSendStands(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cases := []struct {
		name  string
		phone string
		bring func(person) uuid.UUID
		rule  string
	}{
		{"unknown", "+12025550101", func(p person) uuid.UUID { return p.lost(p.request(text), gone) }, "T11"},
		{"sending", "+12025550102", func(p person) uuid.UUID {
			r.stopped.Store(true)
			defer r.stopped.Store(false)
			id := p.send(p.request(text)).Message
			r.exec(`UPDATE send_intent SET state = 'SENDING', attempt = 1, intent_at = now(), claim_from = $2, claim_time = $2,
				lease_until = now() + interval '30 s' WHERE id = $1`, id, r.clock.Now())
			return id
		}, "T11"},
		{"retryable", "+12025550103", func(p person) uuid.UUID {
			id := p.lost(p.request(text), gone)
			r.looksUntil(id, 15*time.Minute)
			r.is(id, sending.Retryable, "")
			return id
		}, "T16"},
		{"parked", "+12025550104", func(p person) uuid.UUID {
			request := p.request(text)
			request.Policy = sending.Hold
			id := p.lost(request, gone)
			r.looksUntil(id, 15*time.Minute)
			r.is(id, sending.Parked, sending.SendAmbiguous)
			return id
		}, "T11"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			// Evidence after S says that the provider is late, which lengthens S for the sends that follow.
			r.exec(`DELETE FROM provider_lateness`)
			p := r.person(c.phone)
			intent := c.bring(p)
			e := reconcile.Evidence{ProviderID: "providerMessage" + c.phone[1:], Text: text, Source: "api", Status: "sent"}
			// Controls: other words, a person's hand, before the claim, no id.
			for _, not := range []reconcile.Evidence{
				{ProviderID: e.ProviderID, Text: "Something else", Source: "api"},
				{ProviderID: e.ProviderID, Text: text, Source: "app"},
				{ProviderID: e.ProviderID, Text: text, Source: "api", At: r.clock.Now().Add(-time.Hour)},
				{Text: text, Source: "api"},
			} {
				if p.observe(not) {
					t.Errorf("%+v was taken for ours", not)
				}
			}
			if !p.observe(e) {
				t.Error("not taken for ours")
			}
			row := r.is(intent, sending.Accepted, "")
			if *row.ProviderMessageID != e.ProviderID || row.Delivery != "sent" || r.events(intent, "ACCEPTED") != 1 {
				t.Errorf("row = %+v, events %d", row, r.events(intent, "ACCEPTED"))
			}
			if n := r.count(`SELECT count(*) FROM send_look WHERE intent_id = $1 AND source = 'webhook' AND rule = $2`, intent, c.rule); n != 1 {
				t.Errorf("%d webhook looks by %s", n, c.rule)
			}
			// Again, and what would have sent it again: nothing happens.
			if !p.observe(e) || r.events(intent, "ACCEPTED") != 1 {
				t.Error("a repeat was not recognised")
			}
			before := p.posts()
			r.jobs(intent)
			if p.posts() != before {
				t.Error("it was sent again")
			}
		})
	}
}

func TestOneMessageSettlesOneSend(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550123")
	request := p.request(text)
	request.Policy = sending.Hold
	parked := p.lost(request, gone)
	r.looksUntil(parked, 15*time.Minute)
	r.is(parked, sending.Parked, sending.SendAmbiguous)
	live := p.lost(p.request(text), gone)
	// The one that could be sent again is settled first: a message too many is worse than one that a person must look at.
	p.observe(reconcile.Evidence{ProviderID: "providerMessage001", Text: text, Source: "api"})
	r.is(live, sending.Accepted, "")
	r.is(parked, sending.Parked, sending.SendAmbiguous)
	p.observe(reconcile.Evidence{ProviderID: "providerMessage002", Text: text, Source: "api"})
	r.is(parked, sending.Accepted, "")
}

func TestDeliveryReports(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550123")
	report := func(intent uuid.UUID, status string, state sending.State, delivery string) {
		t.Helper()
		if !p.observe(reconcile.Evidence{ProviderID: *r.row(intent).ProviderMessageID, Status: status, Source: "api"}) {
			t.Error("not ours")
		}
		if row := r.is(intent, state, ""); row.Delivery != delivery {
			t.Errorf("after %s: delivery %s, want %s", status, row.Delivery, delivery)
		}
	}
	one := p.send(p.request(text)).Message
	report(one, "sent", sending.Accepted, "sent")
	report(one, "pending", sending.Accepted, "sent")
	report(one, "delivered", sending.Delivered, "delivered")
	report(one, "failed", sending.Delivered, "delivered")
	report(one, "read", sending.Delivered, "read")
	two := p.send(p.request("Next")).Message
	report(two, "undelivered", sending.FailedAfterAccept, "undelivered")
	report(two, "delivered", sending.FailedAfterAccept, "undelivered")
	r.jobs(two)
	if p.posts() != 2 {
		t.Errorf("posts = %d: a failed message was sent again", p.posts())
	}
}

func TestAnUnclearWebhookHastensTheLook(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550123")
	intent := p.lost(p.request(text), simulator.Fault{Kind: simulator.AcceptThenReset})
	if n := r.tick(); n != 0 {
		t.Fatalf("%d looks before the first is due", n)
	}
	p.observe(reconcile.Evidence{ProviderID: "providerMessage001", Text: "", Source: "api"})
	if n := r.tick(); n != 1 {
		t.Errorf("%d looks after the hint", n)
	}
	r.is(intent, sending.Accepted, "")
}

// A late answer of our own call is evidence too, while the fence is ours.
func TestTheLookAndTheAnswerMayRace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550123")
	f := simulator.Fault{Match: simulator.SendsTo(p.contact), Kind: simulator.AcceptThenHang, Delay: time.Second, Times: 1}
	r.sim.AddFault(f)
	done := make(chan uuid.UUID)
	go func() { done <- p.send(p.request(text)).Message }()
	for r.count(`SELECT count(*) FROM send_intent WHERE state = 'SENDING'`) == 0 || len(r.sim.Accepted(simulator.Filter{})) == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	// The lease is made to end while the call is under way, and the look finds the message first.
	r.exec(`UPDATE send_intent SET lease_until = now() - interval '1 s', intent_at = now() - interval '1 min'`)
	r.tick()
	intent := <-done
	row := r.is(intent, sending.Accepted, "")
	if row.DuplicateSuspected || p.posts() != 1 {
		t.Errorf("row = %+v", row)
	}
	if n := r.count(`SELECT count(*) FROM send_attempt WHERE intent_id = $1 AND outcome = 'ACCEPTED'`, intent); n != 1 {
		t.Errorf("%d accepted attempts", n)
	}
}
