package sync_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

const (
	emailBison = syncv1.WebhookSource_WEBHOOK_SOURCE_EMAILBISON
	smartlead  = syncv1.WebhookSource_WEBHOOK_SOURCE_SMARTLEAD
	instantly  = syncv1.WebhookSource_WEBHOOK_SOURCE_INSTANTLY
	calendly   = syncv1.WebhookSource_WEBHOOK_SOURCE_CALENDLY
	signingKey = syncv1.WebhookSecretPurpose_WEBHOOK_SECRET_PURPOSE_SIGNING_KEY

	booked    = followupsv1.LeadEventType_LEAD_EVENT_TYPE_BOOKED
	cancelled = followupsv1.LeadEventType_LEAD_EVENT_TYPE_BOOKING_CANCELLED
)

// hand hands in a webhook as the gateway does for the tenant's secret.
func (w tenant) hand(req *syncv1.AcceptWebhookRequest) (*syncv1.AcceptWebhookResponse, error) {
	bound := principal.Principal{Kind: principal.KindWebhook, Workspace: w.name[len("workspaces/"):]}
	return syncv1.NewSyncServiceClient(w.as(bound)).AcceptWebhook(w.Context(), req)
}

func (w tenant) rotate(req *syncv1.RotateWebhookSecretRequest) *syncv1.RotateWebhookSecretResponse {
	w.Helper()
	req.Parent = w.name
	out, err := w.admin.RotateWebhookSecret(w.Context(), req)
	if err != nil {
		w.Fatal(err)
	}
	return out
}

func senderSample(t *testing.T, name string, changes map[string]any) []byte {
	t.Helper()
	p, err := simulator.SenderSample(name)
	if err != nil {
		t.Fatal(err)
	}
	for path, value := range changes {
		p = p.With(path, value)
	}
	return p.Raw()
}

// leadByEmail finds a lead by its address.
func (w tenant) leadByEmail(email string) *syncv1.Lead {
	w.Helper()
	out, err := w.admin.ListLeads(w.Context(), &syncv1.ListLeadsRequest{Parent: w.name})
	if err != nil {
		w.Fatal(err)
	}
	for _, l := range out.GetLeads() {
		if l.GetEmail() == email {
			return l
		}
	}
	return nil
}

func (w tenant) emailStatus(email string) (syncv1.ChannelStatus, string) {
	w.Helper()
	for _, c := range w.leadByEmail(email).GetChannels() {
		if c.GetChannel() == syncv1.Channel_CHANNEL_EMAIL {
			return c.GetStatus(), c.GetSource()
		}
	}
	return syncv1.ChannelStatus_CHANNEL_STATUS_UNSPECIFIED, ""
}

// TestEmailSenders: a reply, a sent mail, an unsubscription and a bounce of each sender, each delivered twice.
func TestEmailSenders(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	day := w.clock.Now().Add(-time.Hour).Format(time.RFC3339)
	bison := func(event, email string, id int) []byte {
		return senderSample(t, "emailbison.LEAD_REPLIED", map[string]any{
			"event.type": event, "data.lead.email": email, "data.reply.id": id, "data.reply.text_body": "Please call me",
			"data.reply.date_received": day, "data.scheduled_email.id": id, "data.scheduled_email.sent_at": day,
		})
	}
	smart := func(event, email string, id int) []byte {
		return senderSample(t, "smartlead.EMAIL_REPLY", map[string]any{
			"event_type": event, "sl_lead_email": email, "reply_message.message_id": fmt.Sprint("<", id, "@x>"), "reply_message.text": "Please call me",
			"reply_message.time": day, "sent_message.message_id": fmt.Sprint("<s", id, "@x>"), "event_timestamp": day, "stats_id": fmt.Sprint("s", id),
		})
	}
	instant := func(event, email string, id int) []byte {
		return senderSample(t, "instantly.webhook", map[string]any{
			"event_type": event, "lead_email": email, "email_id": fmt.Sprint("m", id), "timestamp": day, "reply_text": "Please call me",
		})
	}
	for name, s := range map[string]struct {
		source                           syncv1.WebhookSource
		body                             func(event, email string, id int) []byte
		reply, sent, unsubscribe, bounce string
	}{
		"bison":     {emailBison, bison, "LEAD_REPLIED", "EMAIL_SENT", "LEAD_UNSUBSCRIBED", "EMAIL_BOUNCED"},
		"smart":     {smartlead, smart, "EMAIL_REPLY", "EMAIL_SENT", "LEAD_UNSUBSCRIBED", "EMAIL_BOUNCE"},
		"instantly": {instantly, instant, "reply_received", "email_sent", "lead_unsubscribed", "email_bounced"},
	} {
		known, gone, dead := name+"@example.com", name+".gone@example.com", name+".dead@example.com"
		for _, email := range []string{known, dead} {
			_, err := w.admin.UpsertLead(t.Context(), &syncv1.UpsertLeadRequest{Parent: w.name, Lead: &syncv1.Lead{Email: email}})
			if err != nil {
				t.Fatal(err)
			}
		}
		for i, body := range [][]byte{
			s.body(s.sent, known, 1), s.body(s.reply, known, 2), s.body(s.reply, known, 3), s.body(s.unsubscribe, gone, 4), s.body(s.bounce, dead, 5),
		} {
			for n := range 2 {
				out, err := w.hand(&syncv1.AcceptWebhookRequest{Source: s.source, Body: body})
				if err != nil || out.GetDuplicate() != (n == 1) {
					t.Fatalf("%s %d: %v, %v", name, i, out, err)
				}
			}
		}
		w.settled()
		lead := w.leadByEmail(known)
		list, err := w.admin.ListMessages(t.Context(), &syncv1.ListMessagesRequest{Parent: lead.GetName()})
		if err != nil || len(list.GetMessages()) != 3 {
			t.Errorf("%s: %d messages, %v", name, len(list.GetMessages()), err)
		}
		w.eventually(name+" replies", func() bool {
			return slices.Equal(w.events.of(lead.GetName()), []followupsv1.LeadEventType{replied, replied})
		})
		if status, source := w.emailStatus(gone); status != syncv1.ChannelStatus_CHANNEL_STATUS_OPTED_OUT || source != "unsubscribe_webhook" {
			t.Errorf("%s unsubscribed: %s by %s", name, status, source)
		}
		if status, source := w.emailStatus(dead); status != syncv1.ChannelStatus_CHANNEL_STATUS_DND_PERMANENT || source != "bounce_webhook" {
			t.Errorf("%s bounced: %s by %s", name, status, source)
		}
	}
	if n := w.count(`SELECT count(*) FROM webhook_inbox WHERE state = 'PROCESSED' AND repeats = 1`); n != 15 {
		t.Errorf("processed once and repeated once: %d, want 15", n)
	}
	if n := w.count(`SELECT count(*) FROM connection WHERE last_webhook_time IS NOT NULL`); n != 0 {
		t.Error("a sender of email counts as GoHighLevel being heard")
	}
}

// TestCalendlyBookings: signed with the workspace's key; a reschedule in either order is one appointment moved.
func TestCalendlyBookings(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w, other := r.tenant(location), r.tenant("locationBirch000001")
	key := w.rotate(&syncv1.RotateWebhookSecretRequest{Source: calendly}).GetSecret()
	other.rotate(&syncv1.RotateWebhookSecretRequest{Source: calendly, Secret: "key-of-the-oauth-app-0001"})
	post := func(key string, at time.Time, body []byte) error {
		_, err := w.hand(&syncv1.AcceptWebhookRequest{Source: calendly, Body: body, Signature: simulator.SignCalendly(key, at, body)})
		return err
	}
	at := w.clock.Now().Add(-time.Minute).Format(time.RFC3339)
	makes := func(email, uri, start string) []byte {
		return senderSample(t, "calendly.invitee.created", map[string]any{
			"created_at": at, "payload.email": email, "payload.uri": uri, "payload.scheduled_event.start_time": start,
		})
	}
	cancels := func(email, uri string, moved bool) []byte {
		return senderSample(t, "calendly.invitee.canceled.rescheduled", map[string]any{
			"created_at": at, "payload.email": email, "payload.uri": uri, "payload.rescheduled": moved, "payload.new_invitee": nil,
		})
	}
	for name, err := range map[string]error{
		"other key":     post("key-of-the-oauth-app-0001", w.clock.Now(), makes("a@example.com", "u1", "2026-01-09T15:00:00Z")),
		"late":          post(key, w.clock.Now().Add(-4*time.Minute), makes("a@example.com", "u1", "2026-01-09T15:00:00Z")),
		"signed before": post(key, w.clock.Now().Add(4*time.Minute), makes("a@example.com", "u1", "2026-01-09T15:00:00Z")),
	} {
		rpctest.RequireError(t, err, codes.Unauthenticated, "WEBHOOK_SIGNATURE_INVALID")
		if err == nil {
			t.Error(name)
		}
	}
	if n := w.count(`SELECT count(*) FROM webhook_inbox`); n != 0 {
		t.Fatalf("%d stored without a signature that fits", n)
	}
	for _, body := range [][]byte{
		makes("keeps@example.com", "k1", "2026-01-09T15:00:00Z"),
		makes("cancels@example.com", "c1", "2026-01-09T15:00:00Z"), cancels("cancels@example.com", "c1", false),
		cancels("moves@example.com", "m1", true), makes("moves@example.com", "m2", "2026-01-10T15:00:00Z"),
		makes("moves@example.com", "m1", "2026-01-09T15:00:00Z"), // the oldest comes last
	} {
		if err := post(key, w.clock.Now(), body); err != nil {
			t.Fatal(err)
		}
		w.settled()
	}
	w.graceOver()
	for email, want := range map[string][]followupsv1.LeadEventType{
		"keeps@example.com": {created, booked}, "cancels@example.com": {created, booked, cancelled},
		"moves@example.com": {created, booked},
	} {
		lead := w.leadByEmail(email)
		w.eventually(email, func() bool { return slices.Equal(w.events.of(lead.GetName()), want) })
	}
	if n := w.count(`SELECT count(*) FROM booking WHERE status = 'booked'`); n != 2 {
		t.Errorf("appointments that stand: %d, want 2", n)
	}
	rotated := w.rotate(&syncv1.RotateWebhookSecretRequest{Source: calendly, Overlap: durationpb.New(time.Minute)})
	if err := post(key, w.clock.Now(), makes("old@example.com", "o1", "2026-01-09T15:00:00Z")); err != nil {
		t.Errorf("the key before, within the overlap: %v", err)
	}
	w.clock.Advance(time.Minute)
	rpctest.RequireError(t, post(key, w.clock.Now(), makes("old@example.com", "o2", "2026-01-09T15:00:00Z")), codes.Unauthenticated, "WEBHOOK_SIGNATURE_INVALID")
	if err := post(rotated.GetSecret(), w.clock.Now(), makes("old@example.com", "o3", "2026-01-09T15:00:00Z")); err != nil {
		t.Errorf("the new key: %v", err)
	}
	w.settled()
}

// TestSmartleadSignature: once a signing key is set, the token alone is not enough.
func TestSmartleadSignature(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	body := func(id, secret string) []byte {
		return senderSample(t, "smartlead.EMAIL_REPLY", map[string]any{
			"sl_lead_email": "a@example.com", "reply_message.message_id": id, "reply_message.text": "hi", "secret_key": secret,
		})
	}
	post := func(raw []byte, signature, delivery string) (*syncv1.AcceptWebhookResponse, error) {
		return w.hand(&syncv1.AcceptWebhookRequest{Source: smartlead, Body: raw, Signature: signature, DeliveryId: delivery})
	}
	if _, err := post(body("<1@x>", ""), "", ""); err != nil {
		t.Errorf("without a signing key: %v", err)
	}
	const key = "smartlead-signing-key-1"
	w.rotate(&syncv1.RotateWebhookSecretRequest{Source: smartlead, Purpose: signingKey, Secret: key})
	for name, c := range map[string]struct{ signature, secret string }{
		"nothing": {"", ""}, "other signature": {simulator.SignSmartlead("another-signing-key-0", body("<2@x>", "")), ""},
		"other secret in the body": {"", "another-signing-key-0"},
	} {
		_, err := post(body("<2@x>", c.secret), c.signature, "")
		rpctest.RequireError(t, err, codes.Unauthenticated, "WEBHOOK_SIGNATURE_INVALID")
		if err == nil {
			t.Error(name)
		}
	}
	signed := body("<3@x>", "")
	for i := range 2 {
		out, err := post(signed, simulator.SignSmartlead(key, signed), "request-1")
		if err != nil || out.GetDuplicate() != (i == 1) {
			t.Errorf("signed, delivery %d: %v, %v", i, out, err)
		}
	}
	if out, err := post(body("<4@x>", key), "", ""); err != nil || out.GetDuplicate() {
		t.Errorf("secret in the body: %v, %v", out, err)
	}
	w.settled()
	if n := w.count(`SELECT count(*) FROM message`); n != 3 {
		t.Errorf("messages = %d, want 3", n)
	}
}

// TestSecretsOfSenders: a secret speaks for its sender and workspace only, two are active, and the one before has an end.
func TestSecretsOfSenders(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	gateway := syncv1.NewSyncServiceClient(w.conn("gateway"))
	active := func(source syncv1.WebhookSource, secret string) bool {
		sum := sha256.Sum256([]byte(secret))
		out, err := gateway.IdentifyWebhookSender(t.Context(), &syncv1.IdentifyWebhookSenderRequest{Source: source, SecretSha256: sum[:]})
		if err != nil {
			rpctest.RequireError(t, err, codes.Unauthenticated, "WEBHOOK_SECRET_UNKNOWN")
		}
		return err == nil && out.GetWorkspace() == w.name
	}
	first := w.rotate(&syncv1.RotateWebhookSecretRequest{Source: instantly})
	if first.GetPreviousEndTime() != nil || len(first.GetSecret()) < 40 {
		t.Errorf("first = %v", first)
	}
	second := w.rotate(&syncv1.RotateWebhookSecretRequest{Source: instantly, Overlap: durationpb.New(time.Hour)})
	if !second.GetPreviousEndTime().AsTime().Equal(w.clock.Now().Add(time.Hour)) {
		t.Errorf("previous ends %s", second.GetPreviousEndTime().AsTime())
	}
	if !active(instantly, first.GetSecret()) || !active(instantly, second.GetSecret()) || active(emailBison, second.GetSecret()) {
		t.Error("two are active, for their sender only")
	}
	third := w.rotate(&syncv1.RotateWebhookSecretRequest{Source: instantly})
	if active(instantly, first.GetSecret()) || !active(instantly, second.GetSecret()) || !active(instantly, third.GetSecret()) {
		t.Error("the oldest of three is active, or a newer one is not")
	}
	w.clock.Advance(24 * time.Hour)
	if active(instantly, second.GetSecret()) || !active(instantly, third.GetSecret()) {
		t.Error("the secret before outlives its end")
	}
	fourth := w.rotate(&syncv1.RotateWebhookSecretRequest{Source: instantly, Overlap: durationpb.New(0)})
	if active(instantly, third.GetSecret()) || !active(instantly, fourth.GetSecret()) {
		t.Error("a rotation without overlap leaves the secret before")
	}
	_, err := w.admin.RotateWebhookSecret(t.Context(), &syncv1.RotateWebhookSecretRequest{Parent: w.name, Source: emailBison, Secret: fourth.GetSecret()})
	rpctest.RequireError(t, err, codes.AlreadyExists, "WEBHOOK_SECRET_IN_USE")
	for name, req := range map[string]*syncv1.RotateWebhookSecretRequest{
		"marketplace": {Source: syncv1.WebhookSource_WEBHOOK_SOURCE_GHL_MARKETPLACE}, "poller": {Source: syncv1.WebhookSource_WEBHOOK_SOURCE_GHL_POLLER},
		"unknown": {Source: 99}, "short": {Source: instantly, Secret: "short"}, "spaces": {Source: instantly, Secret: "with spaces in it 01"},
		"long": {Source: instantly, Secret: strings.Repeat("x", 201)}, "key for who does not sign": {Source: instantly, Purpose: signingKey},
		"token for who signs": {Source: calendly, Purpose: syncv1.WebhookSecretPurpose_WEBHOOK_SECRET_PURPOSE_TOKEN},
		"overlap":             {Source: instantly, Overlap: durationpb.New(31 * 24 * time.Hour)},
	} {
		req.Parent = w.name
		_, err := w.admin.RotateWebhookSecret(t.Context(), req)
		if err == nil {
			t.Errorf("%s was taken", name)
			continue
		}
		rpctest.RequireError(t, err, codes.InvalidArgument, "")
	}
	_, err = gateway.IdentifyWebhookSender(t.Context(), &syncv1.IdentifyWebhookSenderRequest{Source: calendly, Workspace: w.name})
	rpctest.RequireError(t, err, codes.Unauthenticated, "WEBHOOK_SECRET_UNKNOWN")
}
