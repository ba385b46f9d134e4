package sync_test

import (
	"fmt"
	"net/http"
	"slices"
	stdsync "sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/rpctest"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/simulator"
)

const location = "locationAcme0000001"

func TestSendIsAcceptedOnceHoweverOftenAsked(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, contact := w.lead(simulator.Contact{Phone: "+12025550123", Email: "a@example.com"})
	request := sms(lead, "Hello")
	var wait stdsync.WaitGroup
	for range 50 {
		wait.Go(func() {
			out, err := w.followups.SendMessage(t.Context(), request)
			if err != nil {
				t.Error(err)
				return
			}
			if s := out.GetMessage().GetState(); s != syncv1.MessageState_MESSAGE_STATE_ACCEPTED && s != syncv1.MessageState_MESSAGE_STATE_SENDING {
				t.Errorf("state = %s", s)
			}
		})
	}
	wait.Wait()
	if got := len(w.sim.Sends(simulator.Filter{Contact: contact.ID})); got != 1 {
		t.Errorf("POSTs = %d, want 1", got)
	}
	again, err := w.followups.SendMessage(t.Context(), request)
	if err != nil || again.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_ACCEPTED || again.GetMessage().GetAttemptCount() != 1 {
		t.Errorf("again = %v, %v", again, err)
	}
	if id := w.sim.Accepted(simulator.Filter{})[0].MessageID; again.GetMessage().GetProviderMessageId() != id {
		t.Errorf("provider id = %q, want %q", again.GetMessage().GetProviderMessageId(), id)
	}
	// The control: other ids are other messages.
	for range 5 {
		if _, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello")); err != nil {
			t.Error(err)
		}
	}
	if got := len(w.sim.Accepted(simulator.Filter{Contact: contact.ID})); got != 6 {
		t.Errorf("accepted = %d, want 6", got)
	}
	email := &syncv1.SendMessageRequest{
		Lead: lead, Channel: syncv1.Channel_CHANNEL_EMAIL, Subject: "s", Html: "<p>x</p>", Body: "x", RequestId: uuid.NewString(),
	}
	if out, err := w.followups.SendMessage(t.Context(), email); err != nil || out.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_ACCEPTED {
		t.Errorf("email = %v, %v", out, err)
	}
}

func TestConcurrentSendsToFiftyLeads(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	var wait stdsync.WaitGroup
	for i := range 50 {
		lead, _ := w.lead(simulator.Contact{Phone: fmt.Sprintf("+120255501%02d", i)})
		wait.Go(func() {
			if _, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello")); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got := len(w.sim.Accepted(simulator.Filter{})); got != 50 {
		t.Errorf("accepted = %d, want 50", got)
	}
}

func TestRequestIDWithOtherContent(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, _ := w.lead(simulator.Contact{Phone: "+12025550123"})
	request := sms(lead, "Hello")
	if _, err := w.followups.SendMessage(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	request.Body = "Other"
	_, err := w.followups.SendMessage(t.Context(), request)
	e := rpctest.RequireError(t, err, codes.AlreadyExists, "REQUEST_ID_REUSED")
	if e.Metadata["fields"] != "body" {
		t.Errorf("fields = %q", e.Metadata["fields"])
	}
	if got := len(w.sim.Sends(simulator.Filter{})); got != 1 {
		t.Errorf("POSTs = %d", got)
	}
}

func TestDNDIsAskedOnceThenTheGateAnswers(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, contact := w.lead(simulator.Contact{Phone: "+12025550123", Email: "a@example.com", DND: map[string]string{"SMS": "active"}})
	request := sms(lead, "Hello")
	for range 3 {
		_, err := w.followups.SendMessage(t.Context(), request)
		e := rpctest.RequireError(t, err, codes.FailedPrecondition, "DND_ACTIVE")
		if e.Metadata["source"] != "provider" || e.Metadata["channel"] != "sms" || len(e.Help) == 0 || len(e.Preconditions) == 0 {
			t.Errorf("error = %+v", e)
		}
	}
	_, err := w.followups.SendMessage(t.Context(), sms(lead, "Later"))
	if e := rpctest.RequireError(t, err, codes.FailedPrecondition, "DND_ACTIVE"); e.Metadata["source"] != "gate" {
		t.Errorf("source = %q", e.Metadata["source"])
	}
	if got := len(w.sim.Sends(simulator.Filter{Contact: contact.ID})); got != 1 {
		t.Errorf("POSTs = %d, want 1", got)
	}
	got, err := w.admin.GetLead(t.Context(), &syncv1.GetLeadRequest{Name: lead})
	if err != nil || len(got.GetLead().GetChannels()) != 1 || got.GetLead().GetChannels()[0].GetStatus() != syncv1.ChannelStatus_CHANNEL_STATUS_DND {
		t.Errorf("lead = %v, %v", got, err)
	}
}

func TestRefusalsEndToEnd(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	cases := []struct {
		name    string
		contact simulator.Contact
		fault   *simulator.Fault
		code    codes.Code
		reason  string
		posts   int
	}{
		{"no phone", simulator.Contact{Email: "n@example.com"}, nil, codes.FailedPrecondition, "NO_PHONE", 0},
		{"unsubscribed", simulator.Contact{Phone: "+12025550101", UnsubscribedSMS: true}, nil, codes.FailedPrecondition, "OPTED_OUT", 1},
		{"opted out", simulator.Contact{Phone: "+12025550102", OptedOut: true}, nil, codes.FailedPrecondition, "OPTED_OUT", 1},
		{
			"unclassified",
			simulator.Contact{Phone: "+12025550103"},
			&simulator.Fault{Kind: simulator.Refusal, Code: "NEW_CODE", Body: "something new"},
			codes.FailedPrecondition, "REFUSED_UNCLASSIFIED", 1,
		},
		{
			"contact gone",
			simulator.Contact{Phone: "+12025550104"},
			&simulator.Fault{Kind: simulator.Refusal, Code: "CONVERSATIONS_CONTACT_NOT_FOUND", Body: "Contact not found for id:x"},
			codes.FailedPrecondition, "CONTACT_NOT_FOUND", 1,
		},
		{
			"limited",
			simulator.Contact{Phone: "+12025550105"},
			&simulator.Fault{Kind: simulator.Status429, RetryAfter: "30"},
			codes.ResourceExhausted, "PROVIDER_RATE_LIMITED", 1,
		},
	}
	for _, c := range cases {
		lead, contact := w.lead(c.contact)
		if c.fault != nil {
			c.fault.Match = simulator.SendsTo(contact.ID)
			w.sim.AddFault(*c.fault)
		}
		request := sms(lead, "Hello")
		for range 2 {
			_, err := w.followups.SendMessage(t.Context(), request)
			rpctest.RequireError(t, err, c.code, c.reason)
		}
		if got := len(w.sim.Sends(simulator.Filter{Contact: contact.ID})); got != c.posts {
			t.Errorf("%s: POSTs = %d, want %d", c.name, got, c.posts)
		}
		if c.reason == "OPTED_OUT" {
			w.eventually("opt-out event", func() bool {
				got := w.events.of(lead)
				return len(got) == 1 && got[0] == followupsv1.LeadEventType_LEAD_EVENT_TYPE_OPTED_OUT
			})
		}
	}
}

func TestUnknownOutcomesAreNeverSentAgain(t *testing.T) {
	t.Parallel()
	// Nothing is looked up before the test is over.
	w := newRig(t, func(c *relancesync.Config) { c.SendSettle = time.Hour }).tenant(location)
	w.sim.AddFault(simulator.Fault{Match: simulator.Match{Method: http.MethodGet, Path: "/conversations/*"}, Kind: simulator.Status5xxClean})
	for i, kind := range []simulator.FaultKind{
		simulator.AcceptThenReset, simulator.Status5xxAfterAccept, simulator.EmptyTwoHundred, simulator.Redirect, simulator.AcceptThenHang,
	} {
		lead, contact := w.lead(simulator.Contact{Phone: fmt.Sprintf("+120255501%02d", i)})
		w.sim.AddFault(simulator.Fault{Match: simulator.SendsTo(contact.ID), Kind: kind, Delay: 8 * time.Second})
		request := sms(lead, "Hello")
		for range 3 {
			out, err := w.followups.SendMessage(t.Context(), request)
			if err != nil || out.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_UNKNOWN {
				t.Errorf("%s: %v, %v", kind, out.GetMessage().GetState(), err)
			}
		}
		if got := len(w.sim.Sends(simulator.Filter{Contact: contact.ID})); got != 1 {
			t.Errorf("%s: POSTs = %d, want 1", kind, got)
		}
		_, err := w.followups.SendMessage(t.Context(), sms(lead, "Next"))
		rpctest.RequireError(t, err, codes.FailedPrecondition, "PREVIOUS_SEND_UNRESOLVED")
	}
}

func TestUnreachableProviderIsTriedAgainAndSendsOnce(t *testing.T) {
	t.Parallel()
	hidden := "http://127.0.0.1:1" // nothing listens there
	r := newRig(t, func(c *relancesync.Config) { c.GHLBaseURL = hidden })
	w := r.tenant(location)
	lead, _ := w.lead(simulator.Contact{Phone: "+12025550123"})
	request := sms(lead, "Hello")
	_, err := w.followups.SendMessage(t.Context(), request)
	e := rpctest.RequireError(t, err, codes.Unavailable, "PROVIDER_UNAVAILABLE")
	if e.RetryAfter <= 0 {
		t.Errorf("retry after %s", e.RetryAfter)
	}
	if n := w.count(`SELECT count(*) FROM send_attempt WHERE outcome = 'RETRYABLE' AND NOT wrote`); n != 1 {
		t.Errorf("retryable attempts = %d", n)
	}
}

func TestSuspendedConnectionUsesNoAttempts(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, contact := w.lead(simulator.Contact{Phone: "+12025550123"})
	w.sim.AddFault(simulator.Fault{Match: simulator.SendsTo(""), Kind: simulator.Unauthorized, Times: 1})
	request := sms(lead, "Hello")
	_, err := w.followups.SendMessage(t.Context(), request)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "PROVIDER_AUTH_REVOKED")
	_, err = w.followups.SendMessage(t.Context(), sms(lead, "Other"))
	rpctest.RequireError(t, err, codes.FailedPrecondition, "PROVIDER_AUTH_REVOKED")
	if got := len(w.sim.Sends(simulator.Filter{})); got != 1 {
		t.Errorf("POSTs while revoked = %d, want 1", got)
	}
	_, err = w.admin.SetConnection(t.Context(), &syncv1.SetConnectionRequest{
		Parent: w.name, Connection: &syncv1.Connection{Location: location, Token: "pit-0123456789" + location},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Hour)
	out, err := w.followups.SendMessage(t.Context(), request)
	if err != nil || out.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_ACCEPTED {
		t.Fatalf("after reconnect: %v, %v", out, err)
	}
	if got := len(w.sim.Accepted(simulator.Filter{Contact: contact.ID})); got != 1 {
		t.Errorf("accepted = %d", got)
	}
}

func TestConditionsOfASend(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, _ := w.lead(simulator.Contact{Phone: "+12025550123"})
	expired := sms(lead, "Hello")
	expired.ExpireTime = timestamppb.New(w.clock.Now().Add(-time.Second))
	_, err := w.followups.SendMessage(t.Context(), expired)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "MESSAGE_EXPIRED")
	_, err = w.followups.SendMessage(t.Context(), sms(lead, "  "))
	rpctest.RequireError(t, err, codes.FailedPrecondition, "EMPTY_CONTENT")
	_, err = w.followups.SendMessage(t.Context(), &syncv1.SendMessageRequest{Lead: "x"})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 3 {
		t.Errorf("violations = %+v", e.Violations)
	}
	_, err = w.followups.SendMessage(t.Context(), sms(w.name+"/leads/"+uuid.NewString(), "x"))
	rpctest.RequireError(t, err, codes.NotFound, "")
	if got := len(w.sim.Sends(simulator.Filter{})); got != 0 {
		t.Errorf("POSTs = %d", got)
	}
}

// TestEndOfASendIsToldInItsCommit: when a job finds that a send must not leave any more, its caller has gone, and learns it by the
// event only. The two are one commit, so that no crash comes between them.
func TestEndOfASendIsToldInItsCommit(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, c := w.lead(simulator.Contact{Phone: "+12025550123"})
	w.sim.AddFault(simulator.Fault{Match: simulator.SendsTo(c.ID), Kind: simulator.Status429, RetryAfter: "1", Times: 1})
	_, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	rpctest.RequireError(t, err, codes.ResourceExhausted, "PROVIDER_RATE_LIMITED")
	_, err = w.admin.UpsertLead(t.Context(), &syncv1.UpsertLeadRequest{Parent: w.name, Lead: &syncv1.Lead{GhlContactId: c.ID, Blocked: true}})
	if err != nil {
		t.Fatal(err)
	}
	// A delivery would write the event's row anew.
	w.events.refusing(func([]*followupsv1.LeadEvent) error { return apierr.Unavailable("away", nil) })
	w.eventually("skipped", func() bool {
		w.clock.Advance(5 * time.Second) // the rate limit's hold is of real time
		return w.count(`SELECT count(*) FROM send_intent WHERE state = 'SKIPPED'`) == 1
	})
	const together = `SELECT count(*) FROM send_intent i JOIN outbox o ON o.lead_id = i.lead_id AND o.xmin = i.xmin
		WHERE o.type = 'MESSAGE_SETTLED' AND o.payload->>'outcome' = 'LEAD_BLOCKED'`
	if n := w.count(together); n != 1 {
		t.Errorf("%d events of the commit that ended the send, want 1", n)
	}
	w.events.refusing(nil)
	w.eventually("told", func() bool {
		return slices.Contains(w.events.of(lead), followupsv1.LeadEventType_LEAD_EVENT_TYPE_MESSAGE_SETTLED)
	})
}
