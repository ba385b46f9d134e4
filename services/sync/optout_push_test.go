package sync_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/rpctest"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/simulator"
)

const (
	pushPending     = syncv1.OptOutPushState_OPT_OUT_PUSH_STATE_PENDING
	pushVerified    = syncv1.OptOutPushState_OPT_OUT_PUSH_STATE_VERIFIED
	pushFailed      = syncv1.OptOutPushState_OPT_OUT_PUSH_STATE_FAILED
	pushNotNeeded   = syncv1.OptOutPushState_OPT_OUT_PUSH_STATE_NOT_NEEDED
	pushWithdrawn   = syncv1.OptOutPushState_OPT_OUT_PUSH_STATE_WITHDRAWN
	outInPlainWords = "please take me off your list"
)

func putsTo(contact string) simulator.Match {
	return simulator.Match{Method: http.MethodPut, Path: "/contacts/" + contact}
}

// puts counts the updates of a contact that the provider was asked for, taken or not.
func (w tenant) puts(contact string) (n int) {
	for _, e := range w.sim.Ledger() {
		if e.Method == http.MethodPut && e.Contact == contact {
			n++
		}
	}
	return n
}

// pushed waits until the push of a lead's opt-out stands as wanted, with the clock moved on so that retries come due.
func (w tenant) pushed(lead string, want syncv1.OptOutPushState) *syncv1.OptOutPush {
	w.Helper()
	// A used-up budget is held for ten seconds of the machine's time, whatever the business clock says.
	for deadline := time.Now().Add(3 * patience); ; time.Sleep(20 * time.Millisecond) {
		got := w.optOutOf(lead).GetPush()
		if got.GetState() == want {
			return got
		}
		if time.Now().After(deadline) {
			w.Fatalf("push = %v, want %s", got, want)
		}
		w.clock.Advance(time.Minute)
	}
}

// switched is the status of a channel's switch at the provider.
func (w tenant) switched(contact, channel string) string {
	w.Helper()
	c, err := w.sim.Contact(w.location, contact)
	if err != nil {
		w.Fatal(err)
	}
	return c.DND[channel]
}

// closed demands that a lead's one channel flag is an opt-out.
func (w tenant) closed(lead string) {
	w.Helper()
	l, err := w.admin.GetLead(w.Context(), &syncv1.GetLeadRequest{Name: lead})
	if err != nil || len(l.GetLead().GetChannels()) != 1 || l.GetLead().GetChannels()[0].GetStatus() != syncv1.ChannelStatus_CHANNEL_STATUS_OPTED_OUT {
		w.Errorf("lead = %v, %v", l, err)
	}
}

func TestAnOptOutIsToldToTheProviderAndReadBack(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, contact := w.lead(simulator.Contact{Phone: "+12125550141", DND: map[string]string{simulator.WhatsApp: simulator.DNDActive}})
	other, otherContact := w.lead(simulator.Contact{Phone: "+12125550142"})
	w.accept(w.said(contact.ID, outInPlainWords).Webhook)
	w.accept(w.said(otherContact.ID, "sounds good").Webhook)
	w.settled()
	got := w.pushed(lead, pushVerified)
	if got.GetAttemptCount() != 1 || got.GetPushTime() == nil || got.GetConfirmTime() == nil || got.GetLastError() != "" || got.GetNextAttemptTime() != nil {
		t.Errorf("push = %v", got)
	}
	if w.puts(contact.ID) != 1 || w.switched(contact.ID, simulator.SMS) != simulator.DNDActive ||
		w.switched(contact.ID, simulator.WhatsApp) != simulator.DNDActive || w.switched(contact.ID, simulator.Email) != "" {
		t.Errorf("%d updates, switches %q", w.puts(contact.ID), w.switched(contact.ID, simulator.SMS))
	}
	l, err := w.admin.GetLead(t.Context(), &syncv1.GetLeadRequest{Name: lead})
	if err != nil || l.GetLead().GetChannels()[0].GetPushState() != pushVerified || l.GetLead().GetChannels()[0].GetPushConfirmTime() == nil {
		t.Errorf("lead = %v, %v", l, err)
	}
	// The control: who did not opt out is left alone.
	if n := w.puts(otherContact.ID); n != 0 {
		t.Errorf("%d updates of a contact without an opt-out (%s)", n, other)
	}
	// The provider tells of the switch that we set. It is no news.
	echo, err := w.sim.ContactWebhook(location, contact.ID, "ContactDndUpdate")
	if err != nil {
		t.Fatal(err)
	}
	events := len(w.events.of(lead))
	w.accept(echo)
	w.settled()
	w.clock.Advance(time.Hour)
	w.accept(w.said(contact.ID, "STOP").Webhook)
	w.settled()
	if n := w.count(`SELECT count(*) FROM opt_out WHERE lead_id::text = $1`, lead[len(lead)-36:]); n != 1 || w.puts(contact.ID) != 1 || len(w.events.of(lead)) != events {
		t.Errorf("%d opt-outs, %d updates, events %v", n, w.puts(contact.ID), w.events.of(lead))
	}
	w.refused(lead)
}

// TestAPushOutlivesFaults plays what may go wrong with the update; the lead is closed to us all the while.
func TestAPushOutlivesFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault simulator.Fault
		puts  int
		err   string
	}{
		"no fault": {simulator.Fault{Kind: simulator.None}, 1, ""},
		// The update was taken and its answer lost: the next attempt sees it, and writes nothing.
		"lost answer":   {simulator.Fault{Kind: simulator.AcceptThenReset, Times: 1}, 1, "PROVIDER_UNAVAILABLE"},
		"hanging":       {simulator.Fault{Kind: simulator.AcceptThenHang, Delay: time.Minute, Times: 1}, 1, "PROVIDER_UNAVAILABLE"},
		"500 but taken": {simulator.Fault{Kind: simulator.Status5xxAfterAccept, Times: 1}, 1, "PROVIDER_UNAVAILABLE"},
		"503":           {simulator.Fault{Kind: simulator.Status5xxClean, Times: 3}, 4, "PROVIDER_UNAVAILABLE"},
		"429":           {simulator.Fault{Kind: simulator.Status429, RetryAfter: "1", Times: 1}, 2, "PROVIDER_RATE_LIMITED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newRig(t).tenant(location)
			lead, contact := w.lead(simulator.Contact{Phone: "+12125550143"})
			c.fault.Match = putsTo(contact.ID)
			h := w.sim.AddFault(c.fault)
			w.accept(w.said(contact.ID, outInPlainWords).Webhook)
			w.settled()
			w.closed(lead)
			if c.err != "" {
				w.eventually("the failure shows", func() bool { return w.optOutOf(lead).GetPush().GetLastError() != "" })
				if got := w.optOutOf(lead).GetPush(); got.GetState() != pushPending || got.GetLastError() != c.err || got.GetNextAttemptTime() == nil || got.GetConfirmTime() != nil {
					t.Errorf("push = %v", got)
				}
				h.Free()
				if c.fault.Times > 1 {
					c.fault.Skip, c.fault.Times = 0, c.fault.Times-1
					w.sim.AddFault(c.fault)
				}
			}
			w.pushed(lead, pushVerified)
			for range 5 {
				w.clock.Advance(2 * time.Hour)
			}
			if n := w.puts(contact.ID); n != c.puts || w.switched(contact.ID, simulator.SMS) != simulator.DNDActive {
				t.Errorf("%d updates, want %d", n, c.puts)
			}
			w.refused(lead)
		})
	}
}

func TestAPushToAContactThatIsGoneEnds(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, contact := w.lead(simulator.Contact{Phone: "+12125550144"})
	message := w.said(contact.ID, outInPlainWords)
	if err := w.sim.DeleteContact(location, contact.ID); err != nil {
		t.Fatal(err)
	}
	w.accept(message.Webhook)
	w.settled()
	if got := w.pushed(lead, pushFailed); got.GetLastError() != "CONTACT_NOT_FOUND" || got.GetNextAttemptTime() != nil {
		t.Errorf("push = %v", got)
	}
	w.refused(lead)
	// Another contact of the same person is told anew.
	w.exec(`UPDATE lead SET ghl_contact_id = NULL`)
	_, heir := w.lead(simulator.Contact{Phone: "+12125550144"})
	w.pushed(lead, pushVerified)
	if w.switched(heir.ID, simulator.SMS) != simulator.DNDActive || w.puts(contact.ID) != 0 {
		t.Errorf("switch = %q, %d updates of the old one", w.switched(heir.ID, simulator.SMS), w.puts(contact.ID))
	}
}

// TestAPushUnderWayCountsForItsContactOnly: the lead is linked to another contact while the one before is told. What was seen there says
// nothing of the new one, whose location would write to a lead that has opted out.
func TestAPushUnderWayCountsForItsContactOnly(t *testing.T) {
	t.Parallel()
	h, front := hold(t, http.MethodPut, "/contacts/", nil)
	w := newRig(t, front).tenant(location)
	lead, contact := w.lead(simulator.Contact{Phone: "+12125550148"})
	w.accept(w.said(contact.ID, outInPlainWords).Webhook)
	<-h.arrived
	heir, err := w.sim.AddContact(location, simulator.Contact{Phone: "+12125550149"})
	if err != nil {
		t.Fatal(err)
	}
	err = postgres.InTx(t.Context(), w.db.Pool(t, "sync"), func(tx pgx.Tx) error {
		parts := strings.Split(lead, "/")
		// Due in an hour, so that the attempt under way ends first.
		ids, err := db.New(tx).RependPushes(t.Context(), db.RependPushesParams{
			Now: w.clock.Now().Add(time.Hour), WorkspaceID: uuid.MustParse(parts[1]), LeadID: uuid.MustParse(parts[3]),
		})
		if err == nil && len(ids) == 1 {
			_, err = tx.Exec(t.Context(), `UPDATE lead SET ghl_contact_id = $1`, heir.ID)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	close(h.answer)
	w.eventually("the attempt has ended", func() bool {
		return w.switched(contact.ID, simulator.SMS) == simulator.DNDActive &&
			w.count(`SELECT count(*) FROM river_job WHERE kind = 'push_opt_out' AND finalized_at IS NULL`) == 0
	})
	w.pushed(lead, pushVerified)
	if got := w.switched(heir.ID, simulator.SMS); got != simulator.DNDActive {
		t.Errorf("switch of the contact that the lead is linked to: %q", got)
	}
}

func TestAPushThatIsRefusedEnds(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, contact := w.lead(simulator.Contact{Phone: "+12125550145"})
	w.sim.AddFault(simulator.Fault{Match: putsTo(contact.ID), Kind: simulator.Refusal, Status: http.StatusUnprocessableEntity, Body: "no such thing"})
	w.accept(w.said(contact.ID, outInPlainWords).Webhook)
	w.settled()
	w.pushed(lead, pushFailed)
	w.clock.Advance(48 * time.Hour)
	if n := w.puts(contact.ID); n != 5 {
		t.Errorf("%d updates, want 5", n)
	}
	w.refused(lead)
}

func TestAPushWaitsForTheConnection(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, contact := w.lead(simulator.Contact{Phone: "+12125550146"})
	w.sim.AddFault(simulator.Fault{Match: putsTo(contact.ID), Kind: simulator.Unauthorized, Times: 1})
	w.accept(w.said(contact.ID, outInPlainWords).Webhook)
	w.settled()
	w.eventually("the failure shows", func() bool { return w.optOutOf(lead).GetPush().GetLastError() == "PROVIDER_AUTH_REVOKED" })
	w.closed(lead)
	_, err := w.admin.SetConnection(t.Context(), &syncv1.SetConnectionRequest{
		Parent: w.name, Connection: &syncv1.Connection{Location: location, Token: "pit-0123456789" + location},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.pushed(lead, pushVerified)
	if n := w.puts(contact.ID); n != 2 {
		t.Errorf("%d updates, want 2", n)
	}
}

// TestManyWorkersPushOnce lets many jobs have the same push: one writes.
func TestManyWorkersPushOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start(r.cfg) // a second replica
	w := r.tenant(location)
	lead, contact := w.lead(simulator.Contact{Phone: "+12125550147"})
	for range 10 {
		w.accept(w.said(contact.ID, outInPlainWords).Webhook)
	}
	w.settled()
	w.pushed(lead, pushVerified)
	w.eventually("no push runs", func() bool {
		return w.count(`SELECT count(*) FROM river_job WHERE kind = 'push_opt_out' AND finalized_at IS NULL`) == 0
	})
	if n := w.puts(contact.ID); n != 1 {
		t.Errorf("%d updates, want 1", n)
	}
}

func TestADismissedOptOutIsTakenBackAtTheProvider(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	ours, oursContact := w.wrote("+12125550148", "Enough already")
	theirs, theirsContact := w.lead(simulator.Contact{Phone: "+12125550149", DND: map[string]string{simulator.SMS: simulator.DNDActive}})
	w.accept(w.said(theirsContact.ID, "Enough already").Webhook)
	w.settled()
	w.pushed(ours, pushVerified)
	w.pushed(theirs, pushVerified)
	w.sim.AddFault(simulator.Fault{Match: putsTo(oursContact.ID), Kind: simulator.Status5xxClean, Times: 1})
	if w.switched(oursContact.ID, simulator.SMS) != simulator.DNDActive || w.puts(theirsContact.ID) != 0 {
		t.Fatalf("switch %q, %d updates of who was blocked already", w.switched(oursContact.ID, simulator.SMS), w.puts(theirsContact.ID))
	}
	for _, lead := range []string{ours, theirs} {
		if _, err := w.admin.ReviewOptOut(t.Context(), review(w.optOutOf(lead).GetName(), dismiss)); err != nil {
			t.Fatal(err)
		}
	}
	// Until our switch is off the provider refuses, which closes the channel; once it is off the channel opens by itself.
	_, err := w.followups.SendMessage(t.Context(), sms(ours, "Hello"))
	rpctest.RequireError(t, err, codes.FailedPrecondition, "DND_ACTIVE")
	if got := w.pushed(ours, pushWithdrawn); got.GetLastError() != "" || w.switched(oursContact.ID, simulator.SMS) != simulator.DNDInactive {
		t.Errorf("push = %v, switch %q", got, w.switched(oursContact.ID, simulator.SMS))
	}
	if _, err := w.followups.SendMessage(t.Context(), sms(ours, "Hello")); err != nil {
		t.Errorf("after the dismissal: %v", err)
	}
	// What somebody else set is not ours to take back.
	if got := w.pushed(theirs, pushWithdrawn); got.GetLastError() != "PROVIDER_SWITCH_STANDS" || w.switched(theirsContact.ID, simulator.SMS) != simulator.DNDActive {
		t.Errorf("push = %v, switch %q", got, w.switched(theirsContact.ID, simulator.SMS))
	}
}

func TestAPermanentSwitchIsAnOptOut(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	stopped, contact := w.lead(simulator.Contact{Phone: "+12125550151"})
	quiet, quietContact := w.lead(simulator.Contact{Phone: "+12125550152"})
	tell := func(contact, status string) {
		if err := w.sim.SetDND(location, contact, simulator.SMS, status); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(time.Second)
		p, err := w.sim.ContactWebhook(location, contact, "ContactDndUpdate")
		if err != nil {
			t.Fatal(err)
		}
		w.accept(p)
		w.settled()
	}
	tell(contact.ID, simulator.DNDPermanent)
	tell(quietContact.ID, simulator.DNDActive)
	o := w.optOutOf(stopped)
	if o.GetSource() != "provider_dnd" || o.GetRule() != "ghl-permanent" || o.GetPush().GetState() != pushNotNeeded || !o.GetActive() {
		t.Errorf("opt-out = %v", o)
	}
	w.eventually("opt-out event", func() bool {
		return slices.Contains(w.events.of(stopped), followupsv1.LeadEventType_LEAD_EVENT_TYPE_OPTED_OUT)
	})
	tell(contact.ID, simulator.DNDInactive)
	tell(quietContact.ID, simulator.DNDInactive)
	w.refused(stopped)
	// The control: a switch that a user set and cleared is none.
	if _, err := w.followups.SendMessage(t.Context(), sms(quiet, "Hello")); err != nil {
		t.Error(err)
	}
	if n := w.puts(contact.ID) + w.puts(quietContact.ID); n != 0 {
		t.Errorf("%d updates of what the provider told us", n)
	}
}

func TestInboundDoNotDisturbIsOnRecord(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	deaf := w.contact(simulator.Contact{Phone: "+12125550153", InboundDND: true})
	plain := w.contact(simulator.Contact{Phone: "+12125550154"})
	for _, c := range []string{deaf.ID, plain.ID} {
		w.accept(w.said(c, "Hi").Webhook)
	}
	w.settled()
	if l := w.leadOf(deaf.ID); l.GetInboundDndTime() == nil || len(l.GetChannels()) != 0 {
		t.Errorf("lead = %v", l)
	}
	if l := w.leadOf(plain.ID); l.GetInboundDndTime() != nil {
		t.Errorf("lead = %v", l)
	}
}
