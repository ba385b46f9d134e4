package sync_test

import (
	"slices"
	stdsync "sync"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// refusedWith sends, and gives the typed refusal; nil when the message left.
func (w tenant) refusedWith(req *syncv1.SendMessageRequest) (e *apierr.Error) {
	w.Helper()
	w.eventually("an answer that does not pass", func() bool {
		_, err := w.followups.SendMessage(w.Context(), req)
		if e, _ = apierr.From(err); err != nil && e == nil {
			w.Fatal(err)
		}
		return err == nil || (e.Code != codes.Aborted && e.Code != codes.Unavailable && e.Code != codes.ResourceExhausted)
	})
	return e
}

// TestMessageAsksForContact: with the setting, a message to a lead without a contact waits for one, and leaves once it is there; without
// it, it is refused and nothing is asked for.
func TestMessageAsksForContact(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	s := r.stranger("locationLinkSend0001")
	if e := s.refusedWith(sms(s.lead, "off")); e == nil || e.Reason != "CONTACT_NOT_FOUND" || e.Metadata["cause"] != "" {
		t.Fatalf("off: %v", e)
	}
	if n := s.count(`SELECT count(*) FROM contact_link`); n != 0 || len(s.creates()) != 0 {
		t.Fatalf("off: %d links, %d POSTs", n, len(s.creates()))
	}
	s.setting(true)
	checked, err := s.admin.CheckSend(t.Context(), &syncv1.CheckSendRequest{Parent: s.name, Checks: []*syncv1.SendCheck{{Lead: s.lead, Channel: syncv1.Channel_CHANNEL_SMS}}})
	if err != nil || checked.GetResults()[0].GetReason() != "CONTACT_PENDING" || checked.GetResults()[0].GetVerdict() != syncv1.SendVerdict_SEND_VERDICT_DEFER {
		t.Errorf("asked beforehand: %v %v", checked, err)
	}
	if n := s.count(`SELECT count(*) FROM contact_link`); n != 0 {
		t.Fatalf("asking beforehand planned %d links", n)
	}
	// Many messages at once ask for one contact. The same request is then sent.
	var wait stdsync.WaitGroup
	requests := make([]*syncv1.SendMessageRequest, 20)
	for i := range requests {
		requests[i] = sms(s.lead, "hello")
		wait.Go(func() {
			if _, err := s.followups.SendMessage(s.Context(), requests[i]); err == nil {
				return
			} else if e, _ := apierr.From(err); e == nil || (e.Reason != "CONTACT_PENDING" && e.Reason != "PREVIOUS_SEND_UNRESOLVED" && e.Code != codes.Aborted && e.Code != codes.ResourceExhausted) {
				t.Errorf("message %d: %v", i, err)
			}
		})
	}
	wait.Wait()
	s.eventually("the link is told", func() bool { return slices.Contains(s.events.of(s.lead), updated) })
	if got := s.get(s.lead).GetGhlContactId(); len(s.made()) != 1 || len(s.creates()) != 1 || got != s.made()[0] {
		t.Fatalf("the lead has %q, made were %v", got, s.made())
	}
	s.eventually("the message leaves", func() bool { return s.refusedWith(requests[0]) == nil })
	if sent := s.sim.Accepted(simulator.Filter{Location: s.location}); len(sent) == 0 || sent[0].Contact != s.made()[0] {
		t.Errorf("sent: %v", sent)
	}
}

// TestMessageAsksOnce: what a link came to is not asked for again by messages, until the lead is another; a person may.
func TestMessageAsksOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	s := r.stranger("locationLinkOnly0001")
	s.setting(true)
	s.contact(simulator.Contact{Email: "eve@example.com"})
	phone := s.contact(simulator.Contact{Phone: "+12125550142"})
	if e := s.refusedWith(sms(s.lead, "first")); e == nil || e.Reason != "CONTACT_PENDING" {
		t.Fatalf("first: %v", e)
	}
	var refused *apierr.Error
	s.eventually("the conflict is known", func() bool {
		refused = s.refusedWith(sms(s.lead, "again"))
		return refused == nil || refused.Reason != "CONTACT_PENDING"
	})
	if refused == nil || refused.Reason != "CONTACT_NOT_FOUND" || refused.Metadata["cause"] != "CONTACT_CONFLICT" {
		t.Fatalf("after the conflict: %v", refused)
	}
	l := s.link(refused.Metadata["contact_link"], linkConflict)
	if l.GetLead() != s.lead || s.count(`SELECT count(*) FROM contact_link`) != 1 {
		t.Errorf("the refusal names %v", l)
	}
	req := s.wish()
	req.Contact = phone.ID
	if l, e := s.ended(req); e != nil || l.GetContact() != phone.ID {
		t.Fatalf("named by a person: %v %v", l, e)
	}
	// A contact that is deleted at the provider is not made again by itself, and by a person it is.
	hook, err := s.sim.ContactWebhook(s.location, phone.ID, "ContactDelete")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.sim.DeleteContact(s.location, phone.ID); err != nil {
		t.Fatal(err)
	}
	s.accept(hook)
	s.settled()
	s.eventually("the lead has none", func() bool { return s.get(s.lead).GetGhlContactId() == "" })
	if e := s.refusedWith(sms(s.lead, "gone")); e == nil || e.Reason != "CONTACT_NOT_FOUND" || e.Metadata["cause"] != "contact_gone" {
		t.Errorf("after it was deleted: %v", e)
	}
	// The control: a lead that is none of these is asked for.
	bo := s.upsert(&syncv1.Lead{Phone: "+12125550199"})
	if e := s.refusedWith(sms(bo, "hello")); e == nil || e.Reason != "CONTACT_PENDING" {
		t.Errorf("control: %v", e)
	}
	s.eventually("it gets one", func() bool { return s.get(bo).GetGhlContactId() != "" })
}

// TestMessageToUnreachableAsksForNone: a lead that may not or cannot be written to gets no contact over it.
func TestMessageToUnreachableAsksForNone(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	s := r.stranger("locationLinkNone0001")
	s.setting(true)
	mailOnly := s.upsert(&syncv1.Lead{Email: "mail@example.com"})
	blocked := s.upsert(&syncv1.Lead{Phone: "+12125550177", Blocked: true})
	empty := sms(s.lead, " ")
	for want, req := range map[string]*syncv1.SendMessageRequest{"NO_PHONE": sms(mailOnly, "hi"), "LEAD_BLOCKED": sms(blocked, "hi"), "EMPTY_CONTENT": empty} {
		if e := s.refusedWith(req); e == nil || e.Reason != want {
			t.Errorf("want %s: %v", want, e)
		}
	}
	if n := s.count(`SELECT count(*) FROM contact_link`); n != 0 {
		t.Errorf("%d links are planned", n)
	}
	if e := s.refusedWith(&syncv1.SendMessageRequest{Lead: mailOnly, Channel: syncv1.Channel_CHANNEL_EMAIL, Subject: "Hi", Body: "Hi", Html: "<p>Hi</p>", RequestId: uuid.NewString()}); e == nil || e.Reason != "CONTACT_PENDING" {
		t.Errorf("control: %v", e)
	}
	s.eventually("it gets one", func() bool { return s.get(mailOnly).GetGhlContactId() != "" })
}
