package sync_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

const (
	confirm = syncv1.OptOutDecision_OPT_OUT_DECISION_CONFIRM
	dismiss = syncv1.OptOutDecision_OPT_OUT_DECISION_DISMISS
)

// user is a person of a workspace.
func (r *rig) user(workspace string) syncv1.SyncServiceClient {
	return syncv1.NewSyncServiceClient(r.as(principal.Principal{Kind: principal.KindUser, ID: "u1", Workspace: strings.TrimPrefix(workspace, "workspaces/")}))
}

// wrote makes a lead that wrote texts, all processed.
func (w tenant) wrote(phone string, texts ...string) (string, simulator.Contact) {
	w.Helper()
	lead, contact := w.lead(simulator.Contact{Phone: phone})
	for _, text := range texts {
		w.accept(w.said(contact.ID, text).Webhook)
		w.settled()
	}
	return lead, contact
}

// optOuts lists all opt-outs, or those that wait for a person, two a page.
func (w tenant) optOuts(needsReview bool) (out []*syncv1.OptOut) {
	w.Helper()
	req := &syncv1.ListOptOutsRequest{Parent: w.name, NeedsReview: needsReview, PageSize: 2}
	for {
		page, err := w.admin.ListOptOuts(w.Context(), req)
		if err != nil {
			w.Fatal(err)
		}
		out = append(out, page.GetOptOuts()...)
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			return out
		}
	}
}

// optOutOf finds the newest opt-out of a lead.
func (w tenant) optOutOf(lead string) *syncv1.OptOut {
	w.Helper()
	for _, o := range w.optOuts(false) {
		if o.GetLead() == lead {
			return o
		}
	}
	w.Fatalf("no opt-out of %s", lead)
	return nil
}

func review(name string, decision syncv1.OptOutDecision) *syncv1.ReviewOptOutRequest {
	return &syncv1.ReviewOptOutRequest{Name: name, Decision: decision, Reason: " read the whole thread "}
}

// notPending demands that a decision is refused, and for which state.
func (w tenant) notPending(name string, decision syncv1.OptOutDecision, state string) {
	w.Helper()
	_, err := w.admin.ReviewOptOut(w.Context(), review(name, decision))
	if e := rpctest.RequireError(w.T, err, codes.FailedPrecondition, "OPT_OUT_NOT_PENDING"); e.Metadata["review"] != state {
		w.Errorf("metadata = %v, want %s", e.Metadata, state)
	}
}

func (w tenant) refused(lead string) {
	w.Helper()
	_, err := w.followups.SendMessage(w.Context(), sms(lead, "Hello"))
	rpctest.RequireError(w.T, err, codes.FailedPrecondition, "OPTED_OUT")
}

func TestAPersonReviewsUnclearOptOuts(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	open, openContact := w.wrote("+12125550131", "Enough already")
	shut, shutContact := w.wrote("+12125550132", "Enough already")
	last, _ := w.wrote("+12125550133", "Enough already")
	w.refused(open)
	w.refused(shut)
	pending := w.optOuts(true)
	if len(pending) != 3 || pending[0].GetLead() != last || pending[2].GetLead() != open {
		t.Fatalf("pending = %v", pending)
	}
	o := pending[2]
	said, err := w.admin.GetMessage(t.Context(), &syncv1.GetMessageRequest{Name: o.GetMessage()})
	if err != nil || said.GetMessage().GetBody() != "Enough already" {
		t.Errorf("words = %v, %v", said, err)
	}
	if !o.GetActive() || o.GetReview() != syncv1.OptOutReview_OPT_OUT_REVIEW_PENDING || o.GetRule() != "enough" ||
		o.GetChannel() != syncv1.Channel_CHANNEL_SMS || o.GetReviewer() != "" || o.GetReviewTime() != nil {
		t.Errorf("opt-out = %v", o)
	}
	user := w.user(w.name)
	for i, decision := range map[int]syncv1.OptOutDecision{1: confirm, 2: dismiss} {
		first, err := user.ReviewOptOut(t.Context(), review(pending[i].GetName(), decision))
		if err != nil {
			t.Fatal(err)
		}
		again := review(pending[i].GetName(), decision)
		again.Reason = "other words"
		second, err := w.admin.ReviewOptOut(t.Context(), again)
		first.GetOptOut().Push, second.GetOptOut().Push = nil, nil // it is worked on meanwhile
		if err != nil || !proto.Equal(first, second) {
			t.Errorf("again = %v, %v, want %v", second, err, first)
		}
		got := first.GetOptOut()
		if got.GetActive() != (decision == confirm) || got.GetReviewReason() != "read the whole thread" ||
			!strings.HasPrefix(got.GetReviewer(), "user:u1") || got.GetReviewTime() == nil {
			t.Errorf("decided = %v", got)
		}
	}
	w.notPending(pending[1].GetName(), dismiss, "CONFIRMED")
	w.notPending(pending[2].GetName(), confirm, "DISMISSED")
	if left := w.optOuts(true); len(left) != 1 || left[0].GetLead() != last {
		t.Errorf("left = %v", left)
	}
	w.pushed(open, pushWithdrawn)
	if _, err := w.followups.SendMessage(t.Context(), sms(open, "Hello")); err != nil {
		t.Errorf("a dismissed opt-out holds: %v", err)
	}
	w.refused(shut)
	if n, none := len(w.sim.Sends(simulator.Filter{Contact: openContact.ID})), len(w.sim.Sends(simulator.Filter{Contact: shutContact.ID})); n != 1 || none != 0 {
		t.Errorf("%d and %d POSTs, want 1 and 0", n, none)
	}
	// What was dismissed is no licence: clear words close the channel again, for good.
	w.accept(w.said(openContact.ID, "STOP").Webhook)
	w.settled()
	w.refused(open)
	w.notPending(w.optOutOf(open).GetName(), dismiss, "NOT_NEEDED")
}

func TestAClearOptOutCannotBeDismissed(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	for phone, texts := range map[string][]string{"+12125550134": {"STOP"}, "+12125550135": {"Enough already", "STOP"}} {
		lead, contact := w.wrote(phone, texts...)
		for _, decision := range []syncv1.OptOutDecision{dismiss, confirm} {
			w.notPending(w.optOutOf(lead).GetName(), decision, "NOT_NEEDED")
		}
		w.refused(lead)
		if n := len(w.sim.Sends(simulator.Filter{Contact: contact.ID})); n != 0 {
			t.Errorf("%v: %d POSTs", texts, n)
		}
	}
}

func TestADismissedOptOutLeavesOthersOfTheNumber(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	_, _ = w.wrote("+12125550136", "STOP")
	w.exec(`UPDATE lead SET phone = NULL WHERE phone = '+12125550136'`)
	heir, _ := w.wrote("+12125550136", "Enough already")
	if _, err := w.admin.ReviewOptOut(t.Context(), review(w.optOutOf(heir).GetName(), dismiss)); err != nil {
		t.Fatal(err)
	}
	w.refused(heir)
}

// TestADismissedOptOutLeavesDoNotDisturb shows what becomes of a flag that the opt-out hid: the provider's refusal sets it again.
func TestADismissedOptOutLeavesDoNotDisturb(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, contact := w.wrote("+12125550138", "Enough already")
	if err := w.sim.SetDND(w.location, contact.ID, simulator.SMS, simulator.DNDActive); err != nil {
		t.Fatal(err)
	}
	if _, err := w.admin.ReviewOptOut(t.Context(), review(w.optOutOf(lead).GetName(), dismiss)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
		rpctest.RequireError(t, err, codes.FailedPrecondition, "DND_ACTIVE")
	}
	if n := len(w.sim.Sends(simulator.Filter{Contact: contact.ID})); n != 1 {
		t.Errorf("%d POSTs, want the 1 that was refused", n)
	}
}

func TestOptOutReviewIsForPeopleOfTheWorkspace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w := r.tenant(location)
	lead, _ := w.wrote("+12125550137", "Enough already")
	name := w.optOutOf(lead).GetName()
	for who, reason := range map[syncv1.SyncServiceClient]string{
		w.followups: apierr.ReasonPrincipalNotAllowed, w.user(""): apierr.ReasonWorkspaceForbidden, w.user(uuid.NewString()): apierr.ReasonWorkspaceForbidden,
	} {
		_, err := who.ReviewOptOut(t.Context(), review(name, dismiss))
		rpctest.RequireError(t, err, codes.PermissionDenied, reason)
		_, err = who.ListOptOuts(t.Context(), &syncv1.ListOptOutsRequest{Parent: w.name})
		rpctest.RequireError(t, err, codes.PermissionDenied, reason)
	}
	foreign := "workspaces/" + uuid.NewString()
	for _, unknown := range []string{w.name + "/optOuts/" + uuid.NewString(), foreign + name[len(w.name):]} {
		_, err := w.admin.ReviewOptOut(t.Context(), review(unknown, dismiss))
		rpctest.RequireError(t, err, codes.NotFound, "")
	}
	for _, bad := range []*syncv1.ReviewOptOutRequest{
		{Name: lead, Reason: " "}, {Decision: 9, Reason: strings.Repeat("é", 501)},
	} {
		_, err := w.admin.ReviewOptOut(t.Context(), bad)
		if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 3 {
			t.Errorf("violations = %+v", e.Violations)
		}
	}
	_, err := w.admin.ListOptOuts(t.Context(), &syncv1.ListOptOutsRequest{Parent: "x", PageSize: 501, PageToken: "y"})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 3 {
		t.Errorf("violations = %+v", e.Violations)
	}
	w.refused(lead)
	// The control: whoever may, with a reason as long as allowed.
	longest := review(name, dismiss)
	longest.Reason = strings.Repeat("é", 500)
	if _, err := w.user(w.name).ReviewOptOut(t.Context(), longest); err != nil {
		t.Error(err)
	}
}
