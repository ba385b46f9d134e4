package sync_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

func TestALeadThatTextsStartIsWrittenToAgain(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	for phone, word := range map[string]string{"+12125550171": "START", "+12125550172": " unstop! ", "+12125550173": "I want to start over", "+12125550174": "help"} {
		lead, contact := w.wrote(phone, outInPlainWords)
		w.pushed(lead, pushVerified)
		w.clock.Advance(time.Second)
		m := w.said(contact.ID, word)
		w.accept(m.Webhook)
		w.repeat(m.Webhook)
		w.settled()
		o := w.optOutOf(lead)
		if strings.Contains(word, "over") || word == "help" {
			// The control: other words lift nothing.
			if !o.GetActive() {
				t.Errorf("%q lifted %v", word, o)
			}
			w.refused(lead)
			continue
		}
		if o.GetActive() || o.GetLiftedBy() != "lead" || o.GetLiftMessage() == "" || o.GetLiftTime() == nil {
			t.Errorf("%q: %v", word, o)
		}
		w.pushed(lead, pushWithdrawn)
		if _, err := w.followups.SendMessage(t.Context(), sms(lead, "Welcome back")); err != nil {
			t.Errorf("%q: %v", word, err)
		}
		w.eventually("the channel's event", func() bool {
			events := w.events.of(lead)
			return len(events) > 0 && strings.Contains(strings.Join(names(events), " "), dndMoved.String())
		})
		// The next opt-out is one of its own.
		w.clock.Advance(time.Second)
		w.accept(w.said(contact.ID, outInPlainWords).Webhook)
		w.settled()
		w.refused(lead)
	}
}

func names[T interface{ String() string }](in []T) (out []string) {
	for _, v := range in {
		out = append(out, v.String())
	}
	return out
}

func TestStartLiftsNothingElse(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	// An opt-out that is newer than the word, in whatever order both come.
	newer, contact := w.lead(simulator.Contact{Phone: "+12125550175", Email: "a@example.com"})
	start := w.said(contact.ID, "START")
	w.clock.Advance(time.Second)
	w.accept(w.said(contact.ID, outInPlainWords).Webhook)
	w.settled()
	w.accept(start.Webhook)
	w.settled()
	w.refused(newer)
	// A block of a person, and an opt-out of emails.
	blocked, other := w.wrote("+12125550176", outInPlainWords)
	m, err := w.sim.AddInboundMessage(location, contact.ID, simulator.Email, outInPlainWords)
	if err != nil {
		t.Fatal(err)
	}
	w.accept(m.Webhook)
	if _, err := w.admin.UpsertLead(t.Context(), &syncv1.UpsertLeadRequest{Parent: w.name, Lead: &syncv1.Lead{Phone: "+12125550176", Blocked: true}}); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Second)
	for _, c := range []string{contact.ID, other.ID} {
		w.accept(w.said(c, "START").Webhook)
	}
	w.settled()
	_, err = w.followups.SendMessage(t.Context(), sms(blocked, "Hello"))
	rpctest.RequireError(t, err, codes.FailedPrecondition, "LEAD_BLOCKED")
	if n := w.count(`SELECT count(*) FROM opt_out WHERE channel = 'email' AND state = 'ACTIVE'`); n != 1 {
		t.Errorf("%d opt-outs of emails", n)
	}
}

func TestAnAdminLiftsAnOptOut(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, _ := w.wrote("+12125550177", outInPlainWords)
	other, _ := w.wrote("+12125550178", outInPlainWords)
	w.pushed(lead, pushVerified)
	request := &syncv1.LiftOptOutRequest{Name: w.optOutOf(lead).GetName(), Reason: " asked for it on the phone, 12 May "}
	for _, who := range []syncv1.SyncServiceClient{w.followups, w.user(w.name)} {
		_, err := who.LiftOptOut(t.Context(), request)
		rpctest.RequireError(t, err, codes.PermissionDenied, apierr.ReasonPrincipalNotAllowed)
	}
	_, err := w.admin.LiftOptOut(t.Context(), &syncv1.LiftOptOutRequest{Name: lead, Reason: " "})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 2 {
		t.Errorf("violations = %+v", e.Violations)
	}
	_, err = w.admin.LiftOptOut(t.Context(), &syncv1.LiftOptOutRequest{Name: w.name + "/optOuts/" + uuid.NewString(), Reason: "x"})
	rpctest.RequireError(t, err, codes.NotFound, "")
	w.refused(lead)
	first, err := w.admin.LiftOptOut(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if o := first.GetOptOut(); o.GetActive() || !strings.HasPrefix(o.GetLiftedBy(), "system:admin") || o.GetLiftReason() != "asked for it on the phone, 12 May" || o.GetLiftTime() == nil {
		t.Errorf("lifted = %v", o)
	}
	w.pushed(lead, pushWithdrawn)
	w.clock.Advance(time.Hour)
	again, err := w.admin.LiftOptOut(t.Context(), &syncv1.LiftOptOutRequest{Name: request.GetName(), Reason: "other words"})
	if err != nil || again.GetOptOut().GetLiftReason() != first.GetOptOut().GetLiftReason() || !proto.Equal(again.GetOptOut().GetLiftTime(), first.GetOptOut().GetLiftTime()) {
		t.Errorf("again = %v, %v", again, err)
	}
	if _, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello")); err != nil {
		t.Error(err)
	}
	w.refused(other)
}

func TestAnAdminUnblocksALead(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, _ := w.lead(simulator.Contact{Phone: "+12125550179"})
	set := func(blocked bool) {
		_, err := w.admin.UpsertLead(t.Context(), &syncv1.UpsertLeadRequest{Parent: w.name, Lead: &syncv1.Lead{Phone: "+12125550179", Blocked: blocked}})
		if err != nil {
			t.Fatal(err)
		}
	}
	set(true)
	set(false) // no word about a block lifts none
	_, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	rpctest.RequireError(t, err, codes.FailedPrecondition, "LEAD_BLOCKED")
	for _, who := range []syncv1.SyncServiceClient{w.followups, w.user(w.name)} {
		_, err := who.UnblockLead(t.Context(), &syncv1.UnblockLeadRequest{Name: lead, Reason: "x"})
		rpctest.RequireError(t, err, codes.PermissionDenied, apierr.ReasonPrincipalNotAllowed)
	}
	_, err = w.admin.UnblockLead(t.Context(), &syncv1.UnblockLeadRequest{Name: lead})
	rpctest.RequireError(t, err, codes.InvalidArgument, "")
	_, err = w.admin.UnblockLead(t.Context(), &syncv1.UnblockLeadRequest{Name: w.name + "/leads/" + uuid.NewString(), Reason: "x"})
	rpctest.RequireError(t, err, codes.NotFound, "")
	for _, reason := range []string{"blocked by mistake", "once more"} {
		out, err := w.admin.UnblockLead(t.Context(), &syncv1.UnblockLeadRequest{Name: lead, Reason: reason})
		if err != nil {
			t.Fatal(err)
		}
		if l := out.GetLead(); l.GetBlocked() || l.GetUnblockReason() != "blocked by mistake" || !strings.HasPrefix(l.GetUnblockedBy(), "system:admin") || l.GetUnblockTime() == nil {
			t.Errorf("lead = %v", l)
		}
	}
	if _, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello")); err != nil {
		t.Error(err)
	}
}
