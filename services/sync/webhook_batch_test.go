package sync_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// batch hands in webhooks as the gateway does when they come together.
func (r *rig) batch(who principal.Principal, requests ...*syncv1.AcceptWebhookRequest) ([]*syncv1.AcceptWebhookResult, error) {
	r.Helper()
	out, err := syncv1.NewSyncServiceClient(r.as(who)).BatchAcceptWebhooks(r.Context(), &syncv1.BatchAcceptWebhooksRequest{Requests: requests})
	if err == nil && len(out.GetResults()) != len(requests) {
		r.Fatalf("%d results for %d webhooks", len(out.GetResults()), len(requests))
	}
	return out.GetResults(), err
}

func market(raw []byte) *syncv1.AcceptWebhookRequest {
	return &syncv1.AcceptWebhookRequest{Source: syncv1.WebhookSource_WEBHOOK_SOURCE_GHL_MARKETPLACE, Body: raw}
}

// TestAConnectionIsHeardOfEveryTenSeconds: what is written down of its webhooks is not written again with each batch.
func TestAConnectionIsHeardOfEveryTenSeconds(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	_, c := w.lead(simulator.Contact{Phone: "+12025550123"})
	who := principal.Principal{Kind: principal.KindWebhook}
	// In seconds; never is zero.
	heard := func() int {
		return w.count(`SELECT coalesce(extract(epoch FROM max(last_webhook_time)), 0)::bigint FROM connection`)
	}
	times := []int{heard()}
	for n, wait := range []time.Duration{0, 9 * time.Second, 2 * time.Second} {
		w.clock.Advance(wait)
		got, err := w.batch(who, market(w.said(c.ID, "text "+string(rune('a'+n))).Webhook.Raw()))
		if err != nil || got[0].GetResponse() == nil {
			t.Fatal(got, err)
		}
		times = append(times, heard())
	}
	if times[0] != 0 || times[1] == 0 || times[2] != times[1] || times[3] < times[1]+11 {
		t.Errorf("heard of at %v", times)
	}
}

// TestEachWebhookOfABatchHasItsOwnOutcome: what is wrong with one does not touch the others.
func TestEachWebhookOfABatchHasItsOwnOutcome(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	_, c := w.lead(simulator.Contact{Phone: "+12025550123"})
	before := w.said(c.ID, "before")
	w.accept(before.Webhook)
	fresh, twice := w.said(c.ID, "fresh"), w.said(c.ID, "twice")
	nobodys := fresh.Webhook.With("locationId", "NobodysLocation00001").With("webhookId", "elsewhere-1").Raw()
	webhook := principal.Principal{Kind: principal.KindWebhook}
	got, err := w.batch(webhook,
		market(fresh.Webhook.Raw()), market([]byte(`{"type":"A","type":"B"}`)), market(before.Webhook.Raw()),
		market(twice.Webhook.Raw()), market(twice.Webhook.Raw()), market(nobodys),
		&syncv1.AcceptWebhookRequest{Source: syncv1.WebhookSource_WEBHOOK_SOURCE_GHL_WORKFLOW, Body: fresh.Webhook.Raw()})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		code      codes.Code
		state     syncv1.WebhookState
		duplicate bool
	}{
		0: {state: syncv1.WebhookState_WEBHOOK_STATE_PENDING},
		1: {code: codes.InvalidArgument},
		2: {duplicate: true},
		3: {state: syncv1.WebhookState_WEBHOOK_STATE_PENDING},
		4: {duplicate: true},
		5: {state: syncv1.WebhookState_WEBHOOK_STATE_UNROUTED},
		6: {code: codes.PermissionDenied},
	} {
		out := got[i].GetResponse()
		if want.code != codes.OK {
			if e := apierr.FromItem(got[i].GetError()); e.Code != want.code || out != nil {
				t.Errorf("%d: %v, want %v", i, got[i], want.code)
			}
			continue
		}
		if out.GetDuplicate() != want.duplicate || (!want.duplicate && out.GetState() != want.state) || out.GetEvent() == "" {
			t.Errorf("%d: %v", i, got[i])
		}
	}
	w.settled()
	if n := w.count(`SELECT count(*) FROM message`); n != 3 {
		t.Errorf("messages = %d, want 3", n)
	}
	late := w.said(c.ID, "late") // not before the count: reads of history find what is said, too
	w.clock.Advance(3 * time.Hour)
	got, err = w.batch(webhook, market(late.Webhook.Raw()))
	if err != nil || apierr.FromItem(got[0].GetError()).Code != codes.InvalidArgument {
		t.Errorf("late: %v, %v", got, err)
	}
}

// TestABatchIsOfOneWorkspace: a bound principal hands in for its workspace only, and a signature is checked for each webhook.
func TestABatchIsOfOneWorkspace(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	const key = "smartlead-signing-key-1"
	w.rotate(&syncv1.RotateWebhookSecretRequest{Source: smartlead, Purpose: signingKey, Secret: key})
	body := senderSample(t, "smartlead.EMAIL_REPLY", map[string]any{"sl_lead_email": "a@example.com", "reply_message.message_id": "<1@x>", "secret_key": ""})
	bound := principal.Principal{Kind: principal.KindWebhook, Workspace: w.name[len("workspaces/"):]}
	signed := func(key string) *syncv1.AcceptWebhookRequest {
		return &syncv1.AcceptWebhookRequest{Source: smartlead, Body: body, Signature: simulator.SignSmartlead(key, body)}
	}
	got, err := w.batch(bound, signed("another-signing-key-0"), signed(key), market(body))
	if err != nil {
		t.Fatal(err)
	}
	for i, reason := range []string{"WEBHOOK_SIGNATURE_INVALID", "", "WORKSPACE_FORBIDDEN"} {
		switch {
		case reason == "" && got[i].GetResponse().GetEvent() == "":
			t.Errorf("%d: %v, want it stored", i, got[i])
		case reason != "" && apierr.FromItem(got[i].GetError()).Reason != reason:
			t.Errorf("%d: %v, want %s", i, got[i], reason)
		}
	}
	for _, n := range []int{0, 65} {
		_, err := w.batch(bound, make([]*syncv1.AcceptWebhookRequest, n)...)
		rpctest.RequireError(t, err, codes.InvalidArgument, "")
	}
	_, err = w.batch(principal.Principal{Kind: principal.KindAdmin}, signed(key))
	rpctest.RequireError(t, err, codes.PermissionDenied, "PRINCIPAL_NOT_ALLOWED")
	if n := w.count(`SELECT count(*) FROM webhook_inbox`); n != 1 {
		t.Errorf("%d stored, want 1", n)
	}
}
