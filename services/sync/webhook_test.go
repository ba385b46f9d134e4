package sync_test

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	stdsync "sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

const (
	created  = followupsv1.LeadEventType_LEAD_EVENT_TYPE_CREATED
	replied  = followupsv1.LeadEventType_LEAD_EVENT_TYPE_REPLIED
	optedOut = followupsv1.LeadEventType_LEAD_EVENT_TYPE_OPTED_OUT
	dndMoved = followupsv1.LeadEventType_LEAD_EVENT_TYPE_DND_CHANGED
)

// marketplace hands in a marketplace webhook as the gateway does.
func (r *rig) marketplace(raw []byte) (*syncv1.AcceptWebhookResponse, error) {
	client := syncv1.NewSyncServiceClient(r.as(principal.Principal{Kind: principal.KindWebhook}))
	return client.AcceptWebhook(r.Context(), &syncv1.AcceptWebhookRequest{
		Source: syncv1.WebhookSource_WEBHOOK_SOURCE_GHL_MARKETPLACE, Body: raw,
	})
}

// workflow hands in a workflow webhook of the tenant.
func (w tenant) workflow(raw []byte) (*syncv1.AcceptWebhookResponse, error) {
	bound := principal.Principal{Kind: principal.KindWebhook, Workspace: w.name[len("workspaces/"):]}
	return syncv1.NewSyncServiceClient(w.as(bound)).AcceptWebhook(w.Context(), &syncv1.AcceptWebhookRequest{
		Source: syncv1.WebhookSource_WEBHOOK_SOURCE_GHL_WORKFLOW, Body: raw,
	})
}

func (w tenant) accept(p simulator.Payload) {
	w.Helper()
	out, err := w.marketplace(p.Raw())
	if err != nil || out.GetState() != syncv1.WebhookState_WEBHOOK_STATE_PENDING {
		w.Fatalf("accept = %v, %v", out, err)
	}
}

// repeat delivers what was accepted before; it may have been processed meanwhile.
func (w tenant) repeat(p simulator.Payload) {
	w.Helper()
	if out, err := w.marketplace(p.Raw()); err != nil || !out.GetDuplicate() {
		w.Fatalf("accept again = %v, %v", out, err)
	}
}

func (w tenant) settled() {
	w.Helper()
	w.eventually("webhooks processed", func() bool { return w.count(`SELECT count(*) FROM webhook_inbox WHERE state = 'PENDING'`) == 0 })
	w.eventually("their events told", func() bool {
		return w.events.isRefusing() || w.count(`SELECT count(*) FROM outbox WHERE delivered_time IS NULL`) == 0
	})
}

// contact makes a contact that is known to the provider only.
func (w tenant) contact(c simulator.Contact) simulator.Contact {
	w.Helper()
	c, err := w.sim.AddContact(w.location, c)
	if err != nil {
		w.Fatal(err)
	}
	return c
}

func (w tenant) said(contact, text string) simulator.InboundMessage {
	w.Helper()
	m, err := w.sim.AddInboundMessage(w.location, contact, simulator.SMS, text)
	if err != nil {
		w.Fatal(err)
	}
	return m
}

func (w tenant) leadOf(contact string) *syncv1.Lead {
	w.Helper()
	out, err := w.admin.ListLeads(w.Context(), &syncv1.ListLeadsRequest{Parent: w.name})
	if err != nil {
		w.Fatal(err)
	}
	for _, l := range out.GetLeads() {
		if l.GetGhlContactId() == contact {
			return l
		}
	}
	return nil
}

func TestFirstMessageMakesALeadWithItsHistory(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	c := w.contact(simulator.Contact{FirstName: "Ann", Phone: "+12025550123", Email: "ann@example.com"})
	for i := range 250 {
		_, err := w.sim.AddHistory(location, c.ID, simulator.HistoryMessage{Body: "old", At: w.clock.Now().Add(-time.Duration(i+1) * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
	}
	message := w.said(c.ID, "Hi, I am interested")
	w.accept(message.Webhook)
	w.eventually("history imported", func() bool { return w.count(`SELECT count(*) FROM history_import WHERE done_time IS NOT NULL`) == 1 })
	w.settled()
	if got := w.count(`SELECT count(*) FROM message`); got != 251 {
		t.Errorf("messages = %d, want 251", got)
	}
	lead := w.leadOf(c.ID)
	if lead.GetPhone() != c.Phone || lead.GetFirstName() != "Ann" || !lead.GetLastInboundTime().AsTime().Equal(w.clock.Now()) {
		t.Errorf("lead = %v", lead)
	}
	w.eventually("created event", func() bool { return slices.Equal(w.events.of(lead.GetName()), []followupsv1.LeadEventType{created}) })
	list, err := w.admin.ListMessages(t.Context(), &syncv1.ListMessagesRequest{Parent: lead.GetName(), PageSize: 10})
	if err != nil || list.GetMessages()[0].GetBody() != "Hi, I am interested" || list.GetNextPageToken() == "" {
		t.Errorf("newest = %v, %v", list.GetMessages()[0], err)
	}
	seen := 0
	for token := ""; ; token = list.GetNextPageToken() {
		if list, err = w.admin.ListMessages(t.Context(), &syncv1.ListMessagesRequest{Parent: lead.GetName(), PageSize: 100, PageToken: token}); err != nil {
			t.Fatal(err)
		}
		if seen += len(list.GetMessages()); list.GetNextPageToken() == "" {
			break
		}
	}
	if seen != 251 {
		t.Errorf("listed = %d, want 251", seen)
	}
}

func TestReplayHasNoSecondEffect(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, c := w.lead(simulator.Contact{Phone: "+12025550123"})
	message := w.said(c.ID, "Yes please")
	var wait stdsync.WaitGroup
	var mu stdsync.Mutex
	fresh := 0
	for range 10 {
		wait.Go(func() {
			out, err := w.marketplace(message.Webhook.Raw())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !out.GetDuplicate() {
				fresh++
			}
		})
	}
	wait.Wait()
	w.settled()
	if fresh != 1 || w.count(`SELECT count(*) FROM webhook_inbox`) != 1 || w.count(`SELECT count(*) FROM message`) != 1 {
		t.Errorf("fresh = %d, inbox = %d, messages = %d", fresh, w.count(`SELECT count(*) FROM webhook_inbox`), w.count(`SELECT count(*) FROM message`))
	}
	w.eventually("reply event", func() bool { return slices.Equal(w.events.of(lead), []followupsv1.LeadEventType{replied}) })
	request := sms(lead, "Follow-up")
	request.UnlessRepliedSince = nil
	if _, err := w.followups.SendMessage(t.Context(), request); err != nil {
		t.Error(err)
	}
}

func TestStopClosesTheChannelForGood(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, c := w.lead(simulator.Contact{Phone: "+12025550123"})
	w.accept(w.said(c.ID, "STOP please").Webhook)
	w.eventually("opt-out event", func() bool { return slices.Equal(w.events.of(lead), []followupsv1.LeadEventType{optedOut}) })
	_, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	rpctest.RequireError(t, err, codes.FailedPrecondition, "OPTED_OUT")
	// A provider that says "not disturbed by it" does not bring an opt-out back.
	p, err := w.sim.ContactWebhook(location, c.ID, "ContactDndUpdate")
	if err != nil {
		t.Fatal(err)
	}
	w.accept(p)
	w.settled()
	_, err = w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	rpctest.RequireError(t, err, codes.FailedPrecondition, "OPTED_OUT")
	if got := len(w.sim.Sends(simulator.Filter{})); got != 0 {
		t.Errorf("POSTs = %d", got)
	}
}

func TestDNDUpdateSetsAndClears(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, c := w.lead(simulator.Contact{Phone: "+12025550123"})
	update := func(status string) {
		if err := w.sim.SetDND(location, c.ID, simulator.SMS, status); err != nil {
			t.Fatal(err)
		}
		p, err := w.sim.ContactWebhook(location, c.ID, "ContactDndUpdate")
		if err != nil {
			t.Fatal(err)
		}
		w.accept(p)
		w.settled()
	}
	update("active")
	_, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	rpctest.RequireError(t, err, codes.FailedPrecondition, "DND_ACTIVE")
	update("inactive")
	if _, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello")); err != nil {
		t.Error(err)
	}
	w.eventually("two events", func() bool { return slices.Equal(w.events.of(lead), []followupsv1.LeadEventType{dndMoved, dndMoved}) })
}

func TestOwnMessageComesBackAsWebhookOnce(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, _ := w.lead(simulator.Contact{Phone: "+12025550123"})
	out, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.sim.MessageWebhook(out.GetMessage().GetProviderMessageId())
	if err != nil {
		t.Fatal(err)
	}
	w.accept(p)
	w.settled()
	w.eventually("history imported", func() bool { return w.count(`SELECT count(*) FROM history_import WHERE done_time IS NOT NULL`) == 1 })
	if got := w.count(`SELECT count(*) FROM message`); got != 1 {
		t.Errorf("messages = %d, want 1", got)
	}
}

func TestWebhooksThatAreNotActedOn(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	stamp := w.clock.Now().Format(time.RFC3339)
	for name, c := range map[string]struct {
		body  string
		state syncv1.WebhookState
	}{
		"unknown event":    {`{"type":"LCEmailStats","locationId":"` + location + `","webhookId":"a","timestamp":"` + stamp + `"}`, syncv1.WebhookState_WEBHOOK_STATE_IGNORED},
		"unknown location": {`{"type":"ContactCreate","locationId":"locationOther000001","id":"contactOther0000001","webhookId":"b"}`, syncv1.WebhookState_WEBHOOK_STATE_UNROUTED},
	} {
		out, err := w.marketplace([]byte(c.body))
		if err != nil || out.GetState() != c.state {
			t.Errorf("%s: %v, %v", name, out, err)
		}
	}
	for name, body := range map[string]string{
		"not JSON": `{`, "repeated key": `{"type":"ContactCreate","type":"x"}`, "wrong type": `{"type":"ContactCreate","id":1}`,
		"invalid UTF-8": "{\"type\":\"\xff\"}", "stale": `{"type":"ContactCreate","timestamp":"2026-01-07T12:59:59Z"}`,
		"early": `{"type":"ContactCreate","timestamp":"2026-01-07T15:05:01Z"}`,
	} {
		if _, err := w.marketplace([]byte(body)); err == nil {
			t.Errorf("%s was taken", name)
		} else {
			rpctest.RequireError(t, err, codes.InvalidArgument, "")
		}
	}
	if leads, stored := w.count(`SELECT count(*) FROM lead`), w.count(`SELECT count(*) FROM webhook_inbox`); leads != 0 || stored != 2 {
		t.Errorf("leads = %d, stored = %d; want 0 and 2", leads, stored)
	}
	list, err := w.admin.ListWebhookEvents(t.Context(), &syncv1.ListWebhookEventsRequest{Parent: "workspaces/-"})
	if err != nil || len(list.GetWebhookEvents()) != 2 {
		t.Errorf("events = %v, %v", list, err)
	}
}

func TestWorkflowDialect(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w, other := r.tenant(location), r.tenant("locationBirch000001")
	gateway := syncv1.NewSyncServiceClient(w.conn("gateway"))
	_, err := gateway.IdentifyWebhookSender(t.Context(), &syncv1.IdentifyWebhookSenderRequest{SecretSha256: make([]byte, 32)})
	rpctest.RequireError(t, err, codes.Unauthenticated, "WEBHOOK_SECRET_UNKNOWN")
	var secrets []string
	for range 3 {
		out, err := w.admin.RotateWebhookSecret(t.Context(), &syncv1.RotateWebhookSecretRequest{Parent: w.name})
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, out.GetSecret())
	}
	for i, secret := range secrets {
		sum := sha256.Sum256([]byte(secret))
		out, err := gateway.IdentifyWebhookSender(t.Context(), &syncv1.IdentifyWebhookSenderRequest{SecretSha256: sum[:]})
		if active := err == nil && out.GetWorkspace() == w.name; active != (i > 0) {
			t.Errorf("secret %d of 3: active = %v, %v", i+1, active, err)
		}
	}
	c := w.contact(simulator.Contact{FirstName: "Ann", Phone: "+12025550123"})
	w.said(c.ID, "Please remove me")
	p, err := w.sim.WorkflowWebhook(location, c.ID, simulator.WorkflowMessage{Body: "Please remove me"})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	_, err = other.workflow(raw)
	rpctest.RequireError(t, err, codes.PermissionDenied, "WEBHOOK_LOCATION_MISMATCH")
	for i := range 2 {
		out, err := w.workflow(raw)
		if err != nil || out.GetDuplicate() != (i == 1) {
			t.Fatalf("workflow webhook %d = %v, %v", i, out, err)
		}
	}
	w.settled()
	lead := w.leadOf(c.ID)
	w.eventually("events", func() bool {
		return slices.Equal(w.events.of(lead.GetName()), []followupsv1.LeadEventType{created, optedOut})
	})
	forged := []byte(`{"contact_id":"contactForged000001","message":{"type":2,"body":"STOP"}}`)
	if _, err := w.workflow(forged); err != nil {
		t.Fatal(err)
	}
	w.settled()
	if n := w.count(`SELECT count(*) FROM webhook_inbox WHERE state = 'PARKED' AND error_reason = 'CONTACT_NOT_FOUND'`); n != 1 {
		t.Errorf("parked = %d", n)
	}
	if w.leadOf("contactForged000001") != nil {
		t.Error("a contact that the provider does not know became a lead")
	}
}

func TestReplyIsSeenByTheClaim(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, c := w.lead(simulator.Contact{Phone: "+12025550123"})
	since := w.clock.Now()
	w.clock.Advance(time.Minute)
	w.accept(w.said(c.ID, "Call me").Webhook)
	w.settled()
	request := sms(lead, "Hello")
	request.UnlessRepliedSince = stampOf(since)
	_, err := w.followups.SendMessage(t.Context(), request)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "LEAD_REPLIED")
	if got := len(w.sim.Sends(simulator.Filter{})); got != 0 {
		t.Errorf("POSTs = %d", got)
	}
}

// TestBouncedStaysClosed: do-not-disturb that is switched on and off says nothing about an address that takes no mail.
func TestBouncedStaysClosed(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, c := w.lead(simulator.Contact{Phone: "+12025550123", Email: "dead@example.com"})
	w.exec(`INSERT INTO lead_channel (workspace_id, lead_id, channel, status, source, update_time)
		SELECT workspace_id, id, 'email', 'DND_PERMANENT', 'bounce_webhook', $1 FROM lead`, w.clock.Now())
	for _, status := range []string{"active", "inactive"} {
		w.clock.Advance(time.Minute)
		if err := w.sim.SetDND(location, c.ID, simulator.Email, status); err != nil {
			t.Fatal(err)
		}
		p, err := w.sim.ContactWebhook(location, c.ID, "ContactDndUpdate")
		if err != nil {
			t.Fatal(err)
		}
		w.accept(p)
		w.settled()
	}
	_, err := w.followups.SendMessage(t.Context(), answer(lead))
	rpctest.RequireError(t, err, codes.FailedPrecondition, "DND_ACTIVE")
}
