package sync_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

const confirmed = "You are unsubscribed and will get no more messages from Acme."

// confirms gives the workspace words to confirm opt-outs with; empty takes them away.
func (w tenant) confirms(text string) {
	w.Helper()
	_, err := w.admin.UpdateWorkspace(w.Context(), &syncv1.UpdateWorkspaceRequest{
		Workspace:  &syncv1.Workspace{Name: w.name, OptOutConfirmation: text},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"opt_out_confirmation"}},
	})
	if err != nil {
		w.Fatal(err)
	}
}

// confirmations counts the texts that the provider was asked to send to a contact.
func (w tenant) confirmations(contact string) int {
	return len(w.sim.Sends(simulator.Filter{Contact: contact}))
}

// resting waits until no confirmation is under way.
func (w tenant) resting() {
	w.Helper()
	w.eventually("confirmations rest", func() bool {
		return w.count(`SELECT count(*) FROM send_intent WHERE state IN ('PLANNED', 'SENDING', 'RETRYABLE', 'UNKNOWN')`) == 0
	})
}

func TestAnOptOutIsConfirmedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start(r.cfg) // a second replica
	w := r.tenant(location)
	w.confirms(confirmed)
	w.clock.Set(time.Date(2026, 1, 8, 4, 0, 0, 0, time.UTC)) // 23:00 in New York: the law lets it off the hours
	lead, contact := w.lead(simulator.Contact{Phone: "+12125550161"})
	for range 10 {
		w.accept(w.said(contact.ID, outInPlainWords).Webhook)
	}
	w.settled()
	w.resting()
	accepted := w.sim.Accepted(simulator.Filter{Contact: contact.ID})
	if len(accepted) != 1 || w.confirmations(contact.ID) != 1 {
		t.Fatalf("%d confirmations left, %d POSTs", len(accepted), w.confirmations(contact.ID))
	}
	o := w.optOutOf(lead)
	m, err := w.admin.GetMessage(t.Context(), &syncv1.GetMessageRequest{Name: o.GetConfirmation()})
	if err != nil || m.GetMessage().GetBody() != confirmed || m.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_ACCEPTED {
		t.Errorf("confirmation = %v, %v", m, err)
	}
	// The provider is told after it; nothing else leaves.
	if got := w.pushed(lead, pushVerified); got.GetPushTime() == nil {
		t.Errorf("push = %v", got)
	}
	w.refused(lead)
	w.clock.Advance(time.Hour)
	w.accept(w.said(contact.ID, outInPlainWords).Webhook)
	w.settled()
	w.resting()
	if n := w.confirmations(contact.ID); n != 1 {
		t.Errorf("%d confirmations after another opt-out", n)
	}
}

func TestNoConfirmation(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(w tenant, contact string){
		"switched off": func(w tenant, contact string) {
			w.confirms("")
			w.accept(w.said(contact, outInPlainWords).Webhook)
		},
		"unclear words, also when a person has read them": func(w tenant, contact string) {
			w.accept(w.said(contact, "Enough already").Webhook)
			w.settled()
			if _, err := w.admin.ReviewOptOut(w.Context(), review(w.optOuts(true)[0].GetName(), confirm)); err != nil {
				w.Fatal(err)
			}
		},
		"told too late": func(w tenant, contact string) {
			m := w.said(contact, outInPlainWords)
			w.clock.Advance(5*time.Minute + time.Second)
			w.accept(m.Webhook)
		},
		"by email": func(w tenant, contact string) {
			m, err := w.sim.AddInboundMessage(w.location, contact, simulator.Email, outInPlainWords)
			if err != nil {
				w.Fatal(err)
			}
			w.accept(m.Webhook)
		},
		"sending is off until the time is over": func(w tenant, contact string) {
			_, err := w.admin.UpdateWorkspace(w.Context(), &syncv1.UpdateWorkspaceRequest{
				Workspace:  &syncv1.Workspace{Name: w.name, SendingDisabled: true},
				UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"sending_disabled"}},
			})
			if err != nil {
				w.Fatal(err)
			}
			w.accept(w.said(contact, outInPlainWords).Webhook)
			w.settled()
			w.clock.Advance(16 * time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newRig(t).tenant(location)
			w.confirms(confirmed)
			_, contact := w.lead(simulator.Contact{Phone: "+12125550162", Email: "ann@example.com"})
			run(w, contact.ID)
			w.settled()
			w.resting()
			if n := w.confirmations(contact.ID); n != 0 || w.count(`SELECT count(*) FROM opt_out`) != 1 {
				t.Errorf("%d confirmations", n)
			}
		})
	}
}

// TestAConfirmationIsNeverTriedTwice loses the answer to it: it is looked for, and not sent again.
func TestAConfirmationIsNeverTriedTwice(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind simulator.FaultKind
		left int
	}{"left": {simulator.AcceptThenReset, 1}, "did not leave": {simulator.ResetBeforeRead, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newRig(t).tenant(location)
			w.confirms(confirmed)
			lead, contact := w.lead(simulator.Contact{Phone: "+12125550163"})
			w.sim.AddFault(simulator.Fault{Match: simulator.SendsTo(contact.ID), Kind: c.kind, Times: 1})
			w.accept(w.said(contact.ID, outInPlainWords).Webhook)
			w.settled()
			w.resting()
			if n := len(w.sim.Accepted(simulator.Filter{Contact: contact.ID})); n != c.left || w.confirmations(contact.ID) != 1 {
				t.Errorf("%d confirmations left, %d POSTs", n, w.confirmations(contact.ID))
			}
			w.refused(lead)
		})
	}
}
