package reconcile_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/sender"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/simulator"
)

// answers sends all requests at once.
func (r *rig) answers(requests []sender.Request) []sender.Outcome {
	r.Helper()
	out := make([]sender.Outcome, len(requests))
	var group sync.WaitGroup
	for i, request := range requests {
		group.Go(func() {
			var err error
			if out[i], err = r.sender.Send(r.Context(), request); err != nil {
				r.Errorf("send %d: %v", i, err)
			}
		})
	}
	group.Wait()
	return out
}

// Sends that come together leave once each, whatever stands beside them in the batch: the same request again, a second send
// to the same lead, one that is blocked, one that the provider refuses.
func TestSendsThatComeTogether(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	// The first send of a process for a workspace goes alone.
	r.person("+12025550000").send(r.person("+12025550001").request(text))
	const n = 24
	var people []person
	var requests []sender.Request
	for i := range n {
		p := r.person(fmt.Sprintf("+1202555%04d", 1000+i))
		people = append(people, p)
		requests = append(requests, p.request(fmt.Sprintf("%s Number %d.", text, i)))
	}
	blocked, refused := people[0], people[1]
	r.exec(`UPDATE lead SET blocked = true WHERE id = $1`, blocked.lead)
	r.sim.AddFault(simulator.Fault{Match: simulator.SendsTo(refused.contact), Kind: simulator.Refusal, Code: "CONVERSATIONS_MSG_NO_CONTENT", Body: "There is no message", Times: 1})
	second := people[2].request("Another text to the same person.")
	out := r.answers(append(append([]sender.Request{}, requests...), requests[3], second))

	wantReasons(t, out[0], sending.Skipped, sending.LeadBlocked)
	if out[1].State != sending.Refused {
		t.Errorf("refused by the provider: %s", out[1].State)
	}
	for i := 2; i < n; i++ {
		if p := people[i]; p.accepted() < 1 || (i != 2 && p.posts() != 1) {
			t.Errorf("person %d: %d POSTs, %d accepted", i, p.posts(), p.accepted())
		}
		if i == 2 || i == 3 {
			continue // who of the two was first is open
		}
		if out[i].State != sending.Accepted || out[i].Row == nil {
			t.Errorf("send %d: %s, row %v", i, out[i].State, out[i].Row != nil)
		}
	}
	if out[3].Message != out[n].Message {
		t.Errorf("one request, two messages: %s and %s", out[3].Message, out[n].Message)
	}
	if blocked.posts() != 0 || people[2].posts() != people[2].accepted() {
		t.Errorf("blocked: %d POSTs; two sends to one person: %d POSTs, %d accepted", blocked.posts(), people[2].posts(), people[2].accepted())
	}
	r.answersAsStored(out)
	if moments := r.count(`SELECT count(DISTINCT intent_at) FROM send_intent WHERE state = 'ACCEPTED'`); moments >= n {
		t.Errorf("%d claims for %d sends: none was shared", moments, n)
	}
}

func wantReasons(t *testing.T, out sender.Outcome, state sending.State, reason sending.Reason) {
	t.Helper()
	if out.State != state || out.Refusal == nil || out.Refusal.Reason != reason {
		t.Errorf("outcome = %s %v, want %s %s", out.State, out.Refusal, state, reason)
	}
}

// answersAsStored compares what the callers got with what a reader finds.
func (r *rig) answersAsStored(out []sender.Outcome) {
	r.Helper()
	compared := 0
	for _, o := range out {
		if o.Row == nil {
			continue
		}
		var stored db.MessageRow
		r.system(func(tx *store.Tx) (err error) {
			stored, err = tx.Message(r.Context(), db.MessageParams{WorkspaceID: r.workspace, ID: o.Message})
			return err
		})
		// The time of a next try is shown for what will be tried again only.
		if diff := cmp.Diff(stored, *o.Row, cmpopts.IgnoreFields(db.MessageRow{}, "NextTime")); diff != "" {
			r.Errorf("answer differs from what is stored (-stored +answer):\n%s", diff)
		}
		compared++
	}
	if compared == 0 {
		r.Error("no answer was made from memory")
	}
}

// Acceptances that come together: one whose lead somebody else is changing is left to go alone, and one whose fence is gone
// moves nothing; neither holds up the others.
func TestAcceptancesThatComeTogether(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	people := []person{r.person("+12025550000"), r.person("+12025550001"), r.person("+12025550002")}
	taken := r.claimed(people)
	taken[2].Intent.Attempt++
	held, err := r.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Rollback(context.WithoutCancel(t.Context())) }()
	for _, statement := range []string{`SELECT set_config('relance.scope', 'system', true)`, `SELECT FROM lead WHERE id = '` + people[1].lead.String() + `' FOR UPDATE`} {
		if _, err := held.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if moved := r.accept(taken); len(moved) != 1 || !moved[taken[0].Intent.ID] {
		t.Errorf("moved %v, want the one whose lead is free and whose fence holds: %s", moved, taken[0].Intent.ID)
	}
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if moved := r.accept(taken); len(moved) != 1 || !moved[taken[1].Intent.ID] {
		t.Errorf("with its lead free: moved %v, want %s", moved, taken[1].Intent.ID)
	}
	const whole = `SELECT count(*) FROM send_intent i JOIN send_attempt a ON a.intent_id = i.id JOIN message m ON m.id = i.id
		JOIN lead l ON l.id = i.lead_id WHERE i.state = 'ACCEPTED' AND a.outcome = 'ACCEPTED' AND m.provider_message_id = i.provider_message_id
		AND l.last_outbound_time IS NOT NULL`
	if n := r.count(whole); n != 2 {
		t.Errorf("%d acceptances are stored whole, want 2", n)
	}
}

// claimed claims a send to each, whose call has ended well.
func (r *rig) claimed(people []person) []store.Taken {
	r.Helper()
	var plans []store.Plan
	r.system(func(tx *store.Tx) error {
		plans = nil
		for _, p := range people {
			plan, err := tx.Draft(db.SendIntent{
				WorkspaceID: r.workspace, LeadID: p.lead, Channel: string(sending.SMS), RequestID: uuid.New(), Policy: "resend", Purpose: "follow_up",
				Provider: "ghl", State: string(sending.Sending), Attempt: 1,
			}, sending.Content{Body: text})
			if err != nil {
				return err
			}
			plans = append(plans, plan)
		}
		return tx.Claimed(r.Context(), r.workspace, r.timing.Lease(), plans)
	})
	out := make([]store.Taken, len(plans))
	for i, plan := range plans {
		out[i] = store.Taken{
			Intent: plan.Intent, Message: plan.Message, ClaimedAt: store.Deref(r.row(plan.Intent.ID).IntentAt), ProviderID: fmt.Sprintf("taken%d", i),
			Status: 201, Wrote: true, Evidence: []byte("{}"),
		}
	}
	return out
}

// accept tells that the provider took them, and gives those that moved.
func (r *rig) accept(taken []store.Taken) (moved map[uuid.UUID]bool) {
	r.Helper()
	r.system(func(tx *store.Tx) (err error) {
		moved, err = tx.AcceptTogether(r.Context(), r.workspace, []string{string(sending.Sending)}, taken)
		return err
	})
	return moved
}

// A stale idea of the workspace's account costs a new permit and nothing else.
func TestShortWayAfterAnotherConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550000")
	p.send(p.request(text))
	const moved = "locationMoved000001"
	if err := r.sim.AddLocation(simulator.Location{ID: moved, Token: "pit-moved"}); err != nil {
		t.Fatal(err)
	}
	c, err := r.sim.AddContact(moved, simulator.Contact{Phone: "+12025550099"})
	if err != nil {
		t.Fatal(err)
	}
	r.system(func(tx *store.Tx) error {
		sealed, err := tx.Seal("pit-moved", store.TokenPlace(r.workspace))
		if err != nil {
			return err
		}
		return tx.UpsertConnection(r.Context(), db.UpsertConnectionParams{WorkspaceID: r.workspace, Location: moved, TokenEnc: sealed, Now: tx.Now})
	})
	lead := uuid.New()
	r.system(func(tx *store.Tx) error {
		_, err := tx.InsertLead(r.Context(), db.InsertLeadParams{WorkspaceID: r.workspace, ID: lead, GhlContactID: &c.ID, Phone: &c.Phone, Now: tx.Now})
		return err
	})
	there := person{rig: r, lead: lead, contact: c.ID}
	if out := there.send(there.request(text)); out.State != sending.Accepted || len(r.sim.Accepted(simulator.Filter{Location: moved})) != 1 {
		t.Errorf("send through the new connection: %s", out.State)
	}
	if n := r.count(`SELECT count(*) FROM provider_budget WHERE account = $1`, moved); n != 1 {
		t.Error("the call was not counted against the new account's budget")
	}
}
