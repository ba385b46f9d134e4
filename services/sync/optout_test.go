package sync_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/rpctest"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/simulator"
)

func TestOptOutIsProvenAndHoldsForTheNumber(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	plain, clearContact := w.lead(simulator.Contact{Phone: "+12125550123"})
	unclear, unclearContact := w.lead(simulator.Contact{Phone: "+12125550124"})
	other, otherContact := w.lead(simulator.Contact{Phone: "+12125550125"})
	w.accept(w.said(clearContact.ID, "please take me off your list").Webhook)
	w.accept(w.said(unclearContact.ID, "Enough already").Webhook)
	w.accept(w.said(otherContact.ID, "Can you stop by tomorrow?").Webhook)
	w.settled()
	for _, lead := range []string{plain, unclear} {
		_, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
		rpctest.RequireError(t, err, codes.FailedPrecondition, "OPTED_OUT")
		w.eventually("opt-out event", func() bool {
			return slices.Contains(w.events.of(lead), followupsv1.LeadEventType_LEAD_EVENT_TYPE_OPTED_OUT)
		})
	}
	if _, err := w.followups.SendMessage(t.Context(), sms(other, "Hello")); err != nil {
		t.Errorf("who offers to meet is no opt-out: %v", err)
	}
	for query, want := range map[string]int{
		`SELECT count(*) FROM opt_out WHERE address = '+12125550123' AND review = 'NONE' AND rule = 'remove-me' AND source = 'inbound_text' AND message_id IS NOT NULL`: 1,
		`SELECT count(*) FROM opt_out WHERE address = '+12125550124' AND review = 'PENDING' AND rule = 'enough'`:                                                        1,
		`SELECT count(*) FROM opt_out`: 2,
	} {
		if n := w.count(query); n != want {
			t.Errorf("%s: %d, want %d", query, n, want)
		}
	}
	// The number moves to another lead, and the opt-out with it.
	w.exec(`UPDATE lead SET phone = NULL WHERE phone = '+12125550123'`)
	heir, heirContact := w.lead(simulator.Contact{Phone: "+12125550123"})
	_, err := w.followups.SendMessage(t.Context(), sms(heir, "Hello"))
	if e := rpctest.RequireError(t, err, codes.FailedPrecondition, "OPTED_OUT"); e.Metadata["scope"] != "address" {
		t.Errorf("error = %+v", e)
	}
	if n := len(w.sim.Sends(simulator.Filter{Contact: heirContact.ID})); n != 0 {
		t.Errorf("%d POSTs to a number that opted out", n)
	}
}

// TestOptOutAbsorbs shows what the database itself refuses to a program that got it wrong.
func TestOptOutAbsorbs(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, contact := w.lead(simulator.Contact{Phone: "+12125550123"})
	w.accept(w.said(contact.ID, "STOP").Webhook)
	w.settled()
	w.exec(`UPDATE lead SET blocked = true`)
	for _, statement := range []string{
		`UPDATE lead_channel SET status = 'OPEN'`,
		`UPDATE lead_channel SET status = 'DND'`,
		`DELETE FROM lead_channel`,
		`DELETE FROM opt_out`,
		`UPDATE opt_out SET state = 'LIFTED'`,
		`UPDATE opt_out SET state = 'LIFTED', lifted_by = 'lead', lift_time = now()`,
		`UPDATE opt_out SET state = 'LIFTED', lifted_by = 'user:a', lift_time = now()`,
		`UPDATE opt_out SET address = '+12125550199'`,
		`UPDATE lead SET blocked = false`,
	} {
		err := w.try(statement)
		if err == nil {
			t.Errorf("went through: %s", statement)
		}
	}
	_, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	rpctest.RequireError(t, err, codes.FailedPrecondition, "LEAD_BLOCKED")
	// The control: a person on record lifts the block, and the opt-out still stands.
	w.exec(`UPDATE lead SET blocked = false, unblocked_by = 'user:a', unblock_time = now()`)
	_, err = w.followups.SendMessage(t.Context(), sms(lead, "Hello again"))
	rpctest.RequireError(t, err, codes.FailedPrecondition, "OPTED_OUT")
}

// try runs a statement over all workspaces.
func (r *rig) try(statement string) error {
	pool := r.db.Pool(r.T, "sync")
	return postgres.InTx(r.Context(), pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(r.Context(), statement)
		return err
	})
}

// TestOptOutBelowAGreeting: people do not opt out of emails in their first line.
func TestOptOutBelowAGreeting(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, c := w.lead(simulator.Contact{Phone: "+12125550126", Email: "ann@example.com"})
	m, err := w.sim.AddInboundMessage(w.location, c.ID, simulator.Email, "<p>Hello Sam,</p><p>please <b>remove me</b> from your list.</p>")
	if err != nil {
		t.Fatal(err)
	}
	w.accept(m.Webhook)
	w.settled()
	_, err = w.followups.SendMessage(t.Context(), answer(lead))
	rpctest.RequireError(t, err, codes.FailedPrecondition, "OPTED_OUT")
	if n := w.count(`SELECT count(*) FROM opt_out WHERE channel = 'email' AND review = 'NONE' AND message_id IS NOT NULL`); n != 1 {
		t.Errorf("%d clear opt-outs of email, want 1", n)
	}
}
