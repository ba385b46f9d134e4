package sync_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// answered is what CheckSend says, in short.
type answered struct {
	verdict      syncv1.SendVerdict
	reason, rule string
	until        string
}

func (w tenant) check(req *syncv1.CheckSendRequest) []answered {
	w.Helper()
	req.Parent = w.name
	out, err := w.followups.CheckSend(w.Context(), req)
	if err != nil {
		w.Fatal(err)
	}
	var all []answered
	for _, r := range out.GetResults() {
		a := answered{verdict: r.GetVerdict(), reason: r.GetReason(), rule: r.GetRule()}
		if r.GetDeferUntilTime() != nil {
			a.until = r.GetDeferUntilTime().AsTime().Format(time.RFC3339)
		}
		all = append(all, a)
	}
	return all
}

func smsAt(lead, at string) *syncv1.SendCheck {
	c := &syncv1.SendCheck{Lead: lead, Channel: syncv1.Channel_CHANNEL_SMS}
	if at != "" {
		t, _ := time.Parse(time.RFC3339, at)
		c.Time = timestamppb.New(t)
	}
	return c
}

const (
	allow = syncv1.SendVerdict_SEND_VERDICT_ALLOW
	deny  = syncv1.SendVerdict_SEND_VERDICT_DENY
	wait  = syncv1.SendVerdict_SEND_VERDICT_DEFER
)

func TestCheckSendForetellsTheGate(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	florida, contact := w.lead(simulator.Contact{Phone: "+13055550123"})
	out, outContact := w.lead(simulator.Contact{Phone: "+12125550124"})
	w.accept(w.said(outContact.ID, "STOP").Webhook)
	w.settled()
	email := smsAt(florida, "2026-01-08T03:00:00Z")
	email.Channel = syncv1.Channel_CHANNEL_EMAIL
	got := w.check(&syncv1.CheckSendRequest{Checks: []*syncv1.SendCheck{
		smsAt(florida, ""), smsAt(florida, "2026-01-08T03:00:00Z"), smsAt(florida, "2020-01-01T03:00:00Z"), email, smsAt(out, ""),
	}})
	for i, want := range []answered{
		{verdict: allow},
		{wait, "QUIET_HOURS", "default-hours", "2026-01-08T14:00:00Z"},
		{verdict: allow},
		{verdict: deny, reason: "NO_EMAIL"},
		{verdict: deny, reason: "OPTED_OUT"},
	} {
		if got[i] != want {
			t.Errorf("check %d = %+v, want %+v", i, got[i], want)
		}
	}
	// The fourth text of a day meets the cap of the state, and the cap ends with the first one's day.
	noon, late := smsAt(florida, "2026-01-08T17:00:00Z"), smsAt(florida, "2026-01-08T20:00:00Z")
	got = w.check(&syncv1.CheckSendRequest{Accumulate: true, Checks: []*syncv1.SendCheck{noon, noon, noon, late}})
	if want := (answered{wait, "FREQUENCY_CAP", "us-fl-cap", "2026-01-09T17:00:00Z"}); got[2].verdict != allow || got[3] != want {
		t.Errorf("accumulated = %+v", got)
	}
	if got = w.check(&syncv1.CheckSendRequest{Checks: []*syncv1.SendCheck{noon, noon, noon, late}}); got[3].verdict != allow {
		t.Errorf("apart = %+v", got)
	}
	// Florida has two zones, so its day begins at eight in the western one. What is foretold is what happens, and asking leaves no trace.
	if n := w.count(`SELECT count(*) FROM send_intent`); n != 0 {
		t.Errorf("%d sends were planned by asking", n)
	}
	for range 3 {
		if _, err := w.followups.SendMessage(t.Context(), sms(florida, "Hello")); err != nil {
			t.Fatal(err)
		}
	}
	if got = w.check(&syncv1.CheckSendRequest{Checks: []*syncv1.SendCheck{smsAt(florida, "")}}); got[0].reason != "FREQUENCY_CAP" {
		t.Errorf("after three = %+v", got)
	}
	_, err := w.followups.SendMessage(t.Context(), sms(florida, "Hello"))
	rpctest.RequireError(t, err, codes.FailedPrecondition, "FREQUENCY_CAP")
	if n := len(w.sim.Sends(simulator.Filter{Contact: contact.ID})); n != 3 {
		t.Errorf("%d POSTs", n)
	}
}

func TestCheckSendBeforeTheWorkspaceIsReady(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, _ := w.lead(simulator.Contact{Phone: "+12125550123"})
	w.exec(`UPDATE workspace SET sending_disabled = true`)
	checks := []*syncv1.SendCheck{smsAt(lead, "")}
	if got := w.check(&syncv1.CheckSendRequest{Checks: checks}); got[0].verdict != wait || got[0].reason != "LOCATION_INACTIVE" {
		t.Errorf("kill switch = %+v", got)
	}
	if got := w.check(&syncv1.CheckSendRequest{Checks: checks, AssumeReady: true}); got[0].verdict != allow {
		t.Errorf("assumed ready = %+v", got)
	}
}

// A new message of a workspace without a connection is refused for that, whatever its lead lacks.
func TestCheckSendWithoutConnection(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	made, err := w.admin.UpsertLead(t.Context(), &syncv1.UpsertLeadRequest{Parent: w.name, Lead: &syncv1.Lead{Phone: "+12125550123"}})
	if err != nil {
		t.Fatal(err)
	}
	lead := made.GetLead().GetName()
	checks := []*syncv1.SendCheck{smsAt(lead, "")}
	if got := w.check(&syncv1.CheckSendRequest{Checks: checks}); got[0].reason != "CONTACT_NOT_FOUND" {
		t.Errorf("connected = %+v", got)
	}
	w.exec(`DELETE FROM connection`)
	if got := w.check(&syncv1.CheckSendRequest{Checks: checks}); got[0].reason != "PROVIDER_NOT_CONNECTED" {
		t.Errorf("not connected = %+v", got)
	}
	_, err = w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	rpctest.RequireError(t, err, codes.FailedPrecondition, "PROVIDER_NOT_CONNECTED")
}

func TestCheckSendRefusals(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, _ := w.lead(simulator.Contact{Phone: "+12125550123"})
	ask := func(req *syncv1.CheckSendRequest) error {
		_, err := w.admin.CheckSend(t.Context(), req)
		return err
	}
	far := smsAt(lead, "2029-01-01T00:00:00Z")
	far.Channel, far.Purpose = 0, 99
	e := rpctest.RequireError(t, ask(&syncv1.CheckSendRequest{Parent: "x", Checks: []*syncv1.SendCheck{far}}), codes.InvalidArgument, "")
	if len(e.Violations) != 5 {
		t.Errorf("violations = %+v", e.Violations)
	}
	rpctest.RequireError(t, ask(&syncv1.CheckSendRequest{Parent: w.name}), codes.InvalidArgument, "")
	many := make([]*syncv1.SendCheck, 501)
	for i := range many {
		many[i] = smsAt(lead, "")
	}
	rpctest.RequireError(t, ask(&syncv1.CheckSendRequest{Parent: w.name, Checks: many}), codes.InvalidArgument, "")
	if err := ask(&syncv1.CheckSendRequest{Parent: w.name, Checks: many[:500]}); err != nil {
		t.Errorf("500 checks: %v", err)
	}
	stranger := w.name + "/leads/" + uuid.NewString()
	rpctest.RequireError(t, ask(&syncv1.CheckSendRequest{Parent: w.name, Checks: []*syncv1.SendCheck{smsAt(stranger, "")}}), codes.NotFound, "")
	empty := "workspaces/" + uuid.NewString()
	none := []*syncv1.SendCheck{smsAt(empty+"/leads/"+uuid.NewString(), "")}
	rpctest.RequireError(t, ask(&syncv1.CheckSendRequest{Parent: empty, Checks: none}), codes.NotFound, "")
	other := syncv1.NewSyncServiceClient(w.as(principal.Principal{Kind: principal.KindUser, ID: "u1", Workspace: uuid.NewString()}))
	_, err := other.CheckSend(t.Context(), &syncv1.CheckSendRequest{Parent: w.name, Checks: []*syncv1.SendCheck{smsAt(lead, "")}})
	rpctest.RequireError(t, err, codes.PermissionDenied, "WORKSPACE_FORBIDDEN")
}
