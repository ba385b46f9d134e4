package sync_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// A refusal belongs to its request id for good, also after its cause is gone; another content never gets it.
func TestTheSameRefusalHoweverLongAfter(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, contact := w.lead(simulator.Contact{Phone: "+12025550101", DND: map[string]string{"SMS": "active"}})
	replied, author := w.lead(simulator.Contact{Phone: "+12025550102"})
	w.accept(w.said(author.ID, "Yes").Webhook)
	w.settled()
	dnd, expired, answered := sms(lead, "a"), sms(replied, "b"), sms(replied, "c")
	expired.ExpireTime = timestamppb.New(w.clock.Now().Add(-time.Second))
	answered.UnlessRepliedSince = timestamppb.New(w.clock.Now().Add(-time.Hour))
	want := map[*syncv1.SendMessageRequest]string{dnd: "DND_ACTIVE", expired: "MESSAGE_EXPIRED", answered: "LEAD_REPLIED"}
	ask := func() {
		t.Helper()
		for request, reason := range want {
			_, err := w.followups.SendMessage(t.Context(), request)
			rpctest.RequireError(t, err, codes.FailedPrecondition, reason)
		}
	}
	ask()
	// A year later the causes are gone, and the answers are the same.
	if err := w.sim.SetDND(location, contact.ID, simulator.SMS, simulator.DNDInactive); err != nil {
		t.Fatal(err)
	}
	hook, err := w.sim.ContactWebhook(location, contact.ID, "ContactDndUpdate")
	if err != nil {
		t.Fatal(err)
	}
	w.accept(hook)
	w.settled()
	w.clock.Advance(365 * 24 * time.Hour)
	expired.ExpireTime, answered.UnlessRepliedSince = nil, nil // conditions are those of the first call
	ask()
	for request := range want {
		request.Body += " and more"
		_, err := w.followups.SendMessage(t.Context(), request)
		if e := rpctest.RequireError(t, err, codes.AlreadyExists, "REQUEST_ID_REUSED"); e.Metadata["fields"] != "body" {
			t.Errorf("fields = %v", e.Metadata)
		}
	}
	if n := len(w.sim.Accepted(simulator.Filter{})); n != 0 {
		t.Errorf("accepted = %d", n)
	}
	// The control: a new id passes where the cause is gone.
	if out, err := w.followups.SendMessage(t.Context(), sms(lead, "a")); err != nil || out.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_ACCEPTED {
		t.Errorf("new id = %v, %v", out, err)
	}
}

// What is about now and not about the message leaves the id free.
func TestRefusalsThatLeaveTheIDFree(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, contact := w.lead(simulator.Contact{Phone: "+12025550101"})
	mended := sms(lead, " ")
	_, err := w.followups.SendMessage(t.Context(), mended)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "EMPTY_CONTENT")
	w.sim.AddFault(simulator.Fault{Match: simulator.SendsTo(contact.ID), Kind: simulator.AcceptThenReset, Times: 1})
	blind := w.sim.AddFault(simulator.Fault{Match: simulator.Match{Path: searchPath}, Kind: simulator.Latency, Delay: time.Hour})
	if _, err := w.followups.SendMessage(t.Context(), sms(lead, "first")); err != nil {
		t.Fatal(err)
	}
	mended.Body = "mended"
	_, err = w.followups.SendMessage(t.Context(), mended)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "PREVIOUS_SEND_UNRESOLVED")
	blind.Free()
	// Nothing but the running service settles the first one: by its looks, on River.
	w.eventually("the first send was found", func() bool {
		return w.count(`SELECT count(*) FROM send_intent WHERE state IN ('ACCEPTED', 'DELIVERED')`) == 1
	})
	if out, err := w.followups.SendMessage(t.Context(), mended); err != nil || out.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_ACCEPTED {
		t.Errorf("mended = %v, %v", out, err)
	}
	if n := len(w.sim.Accepted(simulator.Filter{Contact: contact.ID})); n != 2 {
		t.Errorf("accepted = %d, want 2", n)
	}
}
