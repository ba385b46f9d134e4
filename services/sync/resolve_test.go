package sync_test

import (
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// parked makes a parked message to a new lead: its answer was lost and it is not at the provider.
func (w tenant) parked(phone, reason string) (*syncv1.Message, simulator.Contact) {
	w.Helper()
	lead, contact := w.lead(simulator.Contact{Phone: phone})
	w.sim.AddFault(simulator.Fault{Match: simulator.SendsTo(contact.ID), Kind: simulator.EmptyTwoHundred, NotTaken: true, Times: 1})
	out, err := w.followups.SendMessage(w.Context(), sms(lead, "Hello"))
	if err != nil || out.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_UNKNOWN {
		w.Fatalf("send = %v, %v", out, err)
	}
	w.count(`UPDATE send_intent SET state = 'PARKED', reason = $2, next_look = NULL WHERE id = $1 RETURNING 1`, idOf(out.GetMessage()), reason)
	return out.GetMessage(), contact
}

func idOf(m *syncv1.Message) string { return m.GetName()[len(m.GetName())-36:] }

// waiting lists the messages that wait for a person.
func (w tenant) waiting() []*syncv1.Message {
	w.Helper()
	list, err := w.admin.ListMessages(w.Context(), &syncv1.ListMessagesRequest{
		Parent: w.name, States: []syncv1.MessageState{syncv1.MessageState_MESSAGE_STATE_PARKED},
	})
	if err != nil {
		w.Fatal(err)
	}
	return list.GetMessages()
}

func TestAPersonSettlesParkedMessages(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	accepted, _ := w.parked("+12025550101", "SEND_AMBIGUOUS")
	left, _ := w.parked("+12025550102", "SEND_NEEDS_EYES")
	again, contact := w.parked("+12025550103", "SEND_AMBIGUOUS")
	if got := w.waiting(); len(got) != 3 || got[0].GetName() != again.GetName() {
		t.Fatalf("waiting = %v", got)
	}
	user := syncv1.NewSyncServiceClient(w.as(principal.Principal{Kind: principal.KindUser, ID: "u1", Workspace: w.name[len("workspaces/"):]}))
	resolve := func(r *syncv1.ResolveMessageRequest) *syncv1.ResolveMessageResponse {
		t.Helper()
		r.RequestId = uuid.NewString()
		var first *syncv1.ResolveMessageResponse
		for range 2 { // the same request is answered the same
			out, err := user.ResolveMessage(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if first != nil && out.GetNewMessage().GetName() != first.GetNewMessage().GetName() {
				t.Errorf("again = %v, want %v", out, first)
			}
			first = out
		}
		return first
	}
	const provider = "providerMessage00001"
	out := resolve(&syncv1.ResolveMessageRequest{Name: accepted.GetName(), Resolution: syncv1.Resolution_RESOLUTION_ACCEPTED, ProviderMessageId: provider})
	if m := out.GetMessage(); m.GetState() != syncv1.MessageState_MESSAGE_STATE_ACCEPTED || m.GetProviderMessageId() != provider {
		t.Errorf("accepted = %v", m)
	}
	out = resolve(&syncv1.ResolveMessageRequest{Name: left.GetName(), Resolution: syncv1.Resolution_RESOLUTION_NOT_SENT})
	if m := out.GetMessage(); m.GetState() != syncv1.MessageState_MESSAGE_STATE_PARKED || m.GetResolution() != syncv1.Resolution_RESOLUTION_NOT_SENT {
		t.Errorf("not sent = %v", m)
	}
	out = resolve(&syncv1.ResolveMessageRequest{Name: again.GetName(), Resolution: syncv1.Resolution_RESOLUTION_SEND_AGAIN})
	if out.GetNewMessage().GetReplaces() != again.GetName() || out.GetNewMessage().GetBody() != "Hello" {
		t.Errorf("send again = %v", out)
	}
	w.eventually("the new message left", func() bool {
		m, err := w.admin.GetMessage(t.Context(), &syncv1.GetMessageRequest{Name: out.GetNewMessage().GetName()})
		return err == nil && m.GetMessage().GetState() == syncv1.MessageState_MESSAGE_STATE_ACCEPTED
	})
	if n := len(w.sim.Accepted(simulator.Filter{Contact: contact.ID})); n != 1 {
		t.Errorf("accepted = %d", n)
	}
	if got := w.waiting(); len(got) != 0 {
		t.Errorf("still waiting: %v", got)
	}
}

func TestResolveRefusals(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	message, _ := w.parked("+12025550101", "SEND_AMBIGUOUS")
	exhausted, _ := w.parked("+12025550102", "SEND_EXHAUSTED")
	lead, _ := w.lead(simulator.Contact{Phone: "+12025550103"})
	sent, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	if err != nil {
		t.Fatal(err)
	}
	resolve := func(name string, what syncv1.Resolution, provider string) error {
		_, err := w.admin.ResolveMessage(t.Context(), &syncv1.ResolveMessageRequest{
			Name: name, RequestId: uuid.NewString(), Resolution: what, ProviderMessageId: provider,
		})
		return err
	}
	const yes, no = syncv1.Resolution_RESOLUTION_ACCEPTED, syncv1.Resolution_RESOLUTION_NOT_SENT
	e := rpctest.RequireError(t, resolve(sent.GetMessage().GetName(), no, ""), codes.FailedPrecondition, "MESSAGE_NOT_PARKED")
	if e.Metadata["state"] != "ACCEPTED" {
		t.Errorf("metadata = %v", e.Metadata)
	}
	rpctest.RequireError(t, resolve(exhausted.GetName(), yes, "providerMessage00001"), codes.FailedPrecondition, "MESSAGE_NOT_PARKED")
	rpctest.RequireError(t, resolve(message.GetName(), yes, sent.GetMessage().GetProviderMessageId()), codes.AlreadyExists, "PROVIDER_MESSAGE_CLAIMED")
	rpctest.RequireError(t, resolve(w.name+"/messages/"+uuid.NewString(), no, ""), codes.NotFound, "")
	_, err = w.admin.ResolveMessage(t.Context(), &syncv1.ResolveMessageRequest{Name: "x", ProviderMessageId: "y"})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 4 {
		t.Errorf("violations = %+v", e.Violations)
	}
	// Once only, and an id is for one decision.
	id := uuid.NewString()
	if _, err := w.admin.ResolveMessage(t.Context(), &syncv1.ResolveMessageRequest{Name: message.GetName(), RequestId: id, Resolution: no}); err != nil {
		t.Fatal(err)
	}
	rpctest.RequireError(t, resolve(message.GetName(), no, ""), codes.FailedPrecondition, "MESSAGE_NOT_PARKED")
	_, err = w.admin.ResolveMessage(t.Context(), &syncv1.ResolveMessageRequest{
		Name: message.GetName(), RequestId: id, Resolution: syncv1.Resolution_RESOLUTION_SEND_AGAIN,
	})
	if e := rpctest.RequireError(t, err, codes.AlreadyExists, "REQUEST_ID_REUSED"); e.Metadata["fields"] != "resolution" {
		t.Errorf("fields = %v", e.Metadata)
	}
	// A user acts in the workspace that it is bound to, and in no other.
	for _, workspace := range []string{"", uuid.NewString()} {
		stranger := syncv1.NewSyncServiceClient(w.as(principal.Principal{Kind: principal.KindUser, ID: "u1", Workspace: workspace}))
		_, err = stranger.ResolveMessage(t.Context(), &syncv1.ResolveMessageRequest{Name: exhausted.GetName(), RequestId: uuid.NewString(), Resolution: no})
		rpctest.RequireError(t, err, codes.PermissionDenied, "WORKSPACE_FORBIDDEN")
		_, err = stranger.GetMessage(t.Context(), &syncv1.GetMessageRequest{Name: exhausted.GetName()})
		rpctest.RequireError(t, err, codes.PermissionDenied, "WORKSPACE_FORBIDDEN")
	}
}

func TestEvidenceOfAMessage(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	message, _ := w.parked("+12025550101", "SEND_AMBIGUOUS")
	w.count(`INSERT INTO send_look (workspace_id, intent_id, attempt, source, age_ms, result)
		SELECT workspace_id, id, 1, 'list', 30000, 'absent' FROM send_intent RETURNING 1`)
	full, err := w.admin.GetMessage(t.Context(), &syncv1.GetMessageRequest{Name: message.GetName(), View: syncv1.MessageView_MESSAGE_VIEW_FULL})
	if err != nil {
		t.Fatal(err)
	}
	if a := full.GetMessage().GetAttempts(); len(a) != 1 || a[0].GetOutcome() != "UNKNOWN" || a[0].GetHttpStatus() != 200 || !a[0].GetWrote() || a[0].GetCode() == "" {
		t.Errorf("attempts = %v", a)
	}
	if l := full.GetMessage().GetLooks(); len(l) != 1 || l[0].GetResult() != "absent" || l[0].GetAgeMs() != 30000 {
		t.Errorf("looks = %v", l)
	}
	basic, err := w.admin.GetMessage(t.Context(), &syncv1.GetMessageRequest{Name: message.GetName()})
	if err != nil || len(basic.GetMessage().GetAttempts())+len(basic.GetMessage().GetLooks()) != 0 {
		t.Errorf("basic = %v, %v", basic, err)
	}
	_, err = w.admin.ListMessages(t.Context(), &syncv1.ListMessagesRequest{
		Parent: w.name, States: []syncv1.MessageState{syncv1.MessageState_MESSAGE_STATE_ACCEPTED},
	})
	rpctest.RequireError(t, err, codes.InvalidArgument, "")
}

func TestPolicyOfAWorkspace(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	out, err := w.admin.UpdateWorkspace(t.Context(), &syncv1.UpdateWorkspaceRequest{
		Workspace:  &syncv1.Workspace{Name: w.name, UnknownPolicy: syncv1.UnknownPolicy_UNKNOWN_POLICY_HOLD},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"unknown_policy"}},
	})
	if err != nil || out.GetWorkspace().GetUnknownPolicy() != syncv1.UnknownPolicy_UNKNOWN_POLICY_HOLD {
		t.Fatalf("update = %v, %v", out, err)
	}
	lead, _ := w.lead(simulator.Contact{Phone: "+12025550101"})
	resend := sms(lead, "b")
	resend.UnknownPolicy = syncv1.UnknownPolicy_UNKNOWN_POLICY_RESEND
	for request, want := range map[*syncv1.SendMessageRequest]string{sms(lead, "a"): "hold", resend: "resend"} {
		if _, err := w.followups.SendMessage(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		if n := w.count(`SELECT count(*) FROM send_intent WHERE request_id = $1 AND policy = $2`, request.GetRequestId(), want); n != 1 {
			t.Errorf("%s was not planned with policy %s", request.GetBody(), want)
		}
	}
}

// A webhook that shows the message settles the send, and the message is in the timeline once.
func TestAnOutboundWebhookSettlesAnUnknownSend(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, contact := w.lead(simulator.Contact{Phone: "+12025550123"})
	w.sim.AddFault(simulator.Fault{Match: simulator.SendsTo(contact.ID), Kind: simulator.AcceptThenReset, Times: 1})
	out, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	if err != nil || out.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_UNKNOWN {
		t.Fatalf("send = %v, %v", out, err)
	}
	payload, err := w.sim.MessageWebhook(w.sim.Accepted(simulator.Filter{})[0].MessageID)
	if err != nil {
		t.Fatal(err)
	}
	w.accept(payload)
	w.settled()
	got, err := w.admin.GetMessage(t.Context(), &syncv1.GetMessageRequest{Name: out.GetMessage().GetName()})
	if err != nil || got.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_ACCEPTED {
		t.Errorf("message = %v, %v", got, err)
	}
	if n := w.count(`SELECT count(*) FROM message WHERE direction = 'outbound'`); n != 1 {
		t.Errorf("%d outbound messages in the timeline", n)
	}
	if out, err := w.followups.SendMessage(t.Context(), sms(lead, "Next")); err != nil || out.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_ACCEPTED {
		t.Errorf("next = %v, %v", out, err)
	}
}
