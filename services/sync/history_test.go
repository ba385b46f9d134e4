package sync_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// thread is a lead with history at the provider.
type thread struct {
	tenant
	lead, contact string
}

func (w tenant) thread() thread {
	w.Helper()
	w.compared() // or it might read the same lists at the same time
	lead, contact := w.lead(simulator.Contact{Phone: "+12125550101", Email: "ann@example.com", FirstName: "Ann"})
	return thread{tenant: w, lead: lead, contact: contact.ID}
}

func (h thread) add(direction, body string, ago time.Duration) string {
	h.Helper()
	id, err := h.sim.AddHistory(h.location, h.contact, simulator.HistoryMessage{Direction: direction, Body: body, At: h.clock.Now().Add(-ago)})
	if err != nil {
		h.Fatal(err)
	}
	return id
}

func (h thread) sync(channel string, verify bool) *syncv1.SyncConversationResponse {
	h.Helper()
	out, err := h.admin.SyncConversation(h.Context(), &syncv1.SyncConversationRequest{Name: h.lead + "/conversations/" + channel, VerifyOnly: verify})
	if err != nil {
		h.Fatal(err)
	}
	return out
}

func (h thread) writes() int {
	n := 0
	for _, e := range h.sim.Ledger() {
		if e.Method != http.MethodGet {
			n++
		}
	}
	return n
}

func TestSyncImportsAndProvesAndOnlyReads(t *testing.T) {
	h := newRig(t).tenant("loc0000000000000001").thread()
	for i := range 130 { // Two pages of a conversation.
		h.add([]string{"inbound", "outbound"}[i%2], fmt.Sprintf("line %d", i), time.Duration(200-i)*time.Minute)
	}
	h.add("inbound", "ok", 5*time.Minute)
	h.add("inbound", "ok", 4*time.Minute+30*time.Second)
	got := h.sync("sms", false)
	c := got.GetConversation()
	if got.GetImported() != 132 || !c.GetProven() || c.GetListedCount() != 132 || c.GetListedHash() != c.GetStoredHash() || c.GetListedHash() == "" {
		t.Fatalf("first: %v", got)
	}
	if again := h.sync("sms", false); again.GetImported() != 0 || again.GetHealed() != 0 || again.GetUnchanged() != 132 || !again.GetConversation().GetProven() {
		t.Errorf("again: %v", again)
	}
	if n := h.count(`SELECT count(*) FROM message`); n != 132 {
		t.Errorf("%d messages stored", n)
	}
	if n := h.writes(); n != 0 {
		t.Errorf("%d of %d calls were not reads", n, len(h.sim.Ledger()))
	}
	// Control: a send is such a call, and it takes the proof away until the next comparison.
	if out, err := h.followups.SendMessage(t.Context(), sms(h.lead, "hello")); err != nil || out.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_ACCEPTED {
		t.Fatalf("control: %v %v", out, err)
	}
	if n := h.writes(); n != 1 {
		t.Errorf("control: %d writes", n)
	}
	read, err := h.admin.GetConversation(t.Context(), &syncv1.GetConversationRequest{Name: c.GetName()})
	if err != nil || read.GetConversation().GetProven() || read.GetConversation().GetProvenTime() == nil {
		t.Errorf("after a change: %v %v", read, err)
	}
	h.clock.Advance(time.Minute)
	if after := h.sync("sms", false); !after.GetConversation().GetProven() || after.GetImported() != 0 {
		t.Errorf("after the send: %v", after)
	}
}

func TestCertificateNamesMissingExtraAndAltered(t *testing.T) {
	h := newRig(t).tenant("loc0000000000000001").thread()
	keep, lost, changed := h.add("inbound", "one", time.Hour), h.add("inbound", "two", 50*time.Minute), h.add("outbound", "three", 40*time.Minute)
	h.sync("sms", false)
	h.exec(`DELETE FROM message WHERE provider_message_id = $1`, lost)
	h.exec(`UPDATE message SET body_hash = 'x' WHERE provider_message_id = $1`, changed)
	h.exec(`INSERT INTO message (workspace_id, id, lead_id, channel, direction, origin, body_enc, body_hash, provider_message_id, message_time, create_time)
		SELECT workspace_id, gen_random_uuid(), lead_id, channel, 'inbound', 'RECEIVED', body_enc, body_hash, 'planted', message_time, create_time - interval '1 hour'
		FROM message WHERE provider_message_id = $1`, keep)
	c := h.sync("sms", true).GetConversation()
	if c.GetProven() || !slices.Equal(c.GetMissing(), []string{lost}) || !slices.Equal(c.GetExtra(), []string{"planted"}) ||
		!slices.Equal(c.GetAltered(), []string{changed}) || c.GetDifferenceCount() != 3 || c.GetListedHash() == c.GetStoredHash() {
		t.Fatalf("certificate: %v", c)
	}
	list, err := h.admin.ListConversations(t.Context(), &syncv1.ListConversationsRequest{Parent: h.name, UnprovenOnly: true})
	if err != nil || len(list.GetConversations()) != 1 {
		t.Fatalf("unproven: %v %v", list, err)
	}
	// Healing brings back what is missing and altered; what is too much is named, never dropped.
	healed := h.sync("sms", false)
	if c := healed.GetConversation(); healed.GetImported() != 1 || healed.GetHealed() != 1 || len(c.GetMissing())+len(c.GetAltered()) != 0 ||
		!slices.Equal(c.GetExtra(), []string{"planted"}) {
		t.Errorf("healed: %v", healed)
	}
	h.exec(`DELETE FROM message WHERE provider_message_id = 'planted'`)
	if c := h.sync("sms", false).GetConversation(); !c.GetProven() {
		t.Errorf("whole: %v", c)
	}
	list, err = h.admin.ListConversations(t.Context(), &syncv1.ListConversationsRequest{Parent: h.name, UnprovenOnly: true})
	if err != nil || len(list.GetConversations()) != 0 {
		t.Errorf("unproven at the end: %v %v", list, err)
	}
}

func TestRetryAtTheProviderIsRelinked(t *testing.T) {
	h := newRig(t).tenant("loc0000000000000001").thread()
	sent, err := h.followups.SendMessage(t.Context(), sms(h.lead, "call me"))
	if err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(time.Minute)
	h.sync("sms", false)
	fresh, err := h.sim.ReplaceMessage(sent.GetMessage().GetProviderMessageId())
	if err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(time.Minute)
	got := h.sync("sms", false)
	m, err := h.admin.GetMessage(t.Context(), &syncv1.GetMessageRequest{Name: sent.GetMessage().GetName()})
	if err != nil || m.GetMessage().GetProviderMessageId() != fresh || !got.GetConversation().GetProven() {
		t.Fatalf("%v %v %v", got, m, err)
	}
	if n := h.count(`SELECT count(*) FROM message`); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestEmailBodiesAreReadOnceByTheirOwnCall(t *testing.T) {
	h := newRig(t).tenant("loc0000000000000001").thread()
	for i := range 3 {
		_, err := h.sim.AddHistory(h.location, h.contact, simulator.HistoryMessage{
			Channel: simulator.Email, Direction: "inbound", Subject: "Re: the same", Body: fmt.Sprintf("<p>words %d</p>", i), At: h.clock.Now().Add(-time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if c := h.sync("email", false).GetConversation(); !c.GetProven() || c.GetListedCount() != 3 {
			t.Fatalf("%v", c)
		}
	}
	list, err := h.admin.ListMessages(t.Context(), &syncv1.ListMessagesRequest{Parent: h.lead})
	if err != nil || len(list.GetMessages()) != 3 {
		t.Fatalf("%v %v", list, err)
	}
	for _, m := range list.GetMessages() {
		if m.GetSubject() != "Re: the same" || len(m.GetBody()) != len("<p>words 0</p>") {
			t.Errorf("message: %v", m)
		}
	}
	if n := len(h.sim.Requests(simulator.Filter{Path: "/conversations/messages/email/*"})); n != 3 {
		t.Errorf("%d calls for 3 texts", n)
	}
}

func TestMessageWithoutAnIDIsLinkedAndShortRepliesStay(t *testing.T) {
	h := newRig(t).tenant("loc0000000000000001").thread()
	h.add("inbound", "yes", 10*time.Minute)
	h.sync("sms", false)
	// As the workflow dialect leaves it: no id, and the time at which it came.
	h.exec(`UPDATE message SET provider_message_id = NULL, webhook_key = 'workflow:1', message_time = message_time + interval '20 seconds'`)
	h.add("inbound", "yes", 5*time.Minute)
	got := h.sync("sms", false)
	if got.GetImported() != 1 || got.GetHealed() != 1 || !got.GetConversation().GetProven() || h.count(`SELECT count(*) FROM message`) != 2 {
		t.Errorf("%v", got)
	}
}

func TestDueConversationsAreSharedAndAddUp(t *testing.T) {
	r := newRig(t)
	var all []thread
	for i := range 3 {
		w := r.tenant(fmt.Sprintf("loc000000000000000%d", i))
		for j := range 4 {
			lead, contact := w.lead(simulator.Contact{Phone: fmt.Sprintf("+1555010%d%03d", i, j)})
			h := thread{tenant: w, lead: lead, contact: contact.ID}
			h.add("inbound", "hi", time.Hour)
			all = append(all, h)
		}
		count, err := r.admin.BackfillConversations(t.Context(), &syncv1.BackfillConversationsRequest{
			Parent: w.name, Channel: syncv1.Channel_CHANNEL_SMS, Since: timestamppb.New(r.clock.Now()), ValidateOnly: true,
		})
		if err != nil || count.GetLeads() != 4 || count.GetWaiting() != 4 || r.count(`SELECT count(*) FROM conversation`) != 0 {
			t.Fatalf("dry run: %v %v", count, err)
		}
	}
	done := make(chan *syncv1.SyncDueConversationsResponse, 2)
	for _, w := range []thread{all[0], all[4], all[8]} {
		if _, err := r.admin.BackfillConversations(t.Context(), &syncv1.BackfillConversationsRequest{
			Parent: w.name, Channel: syncv1.Channel_CHANNEL_SMS, Since: timestamppb.New(r.clock.Now()),
		}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		go func() {
			out, err := r.admin.SyncDueConversations(t.Context(), &syncv1.SyncDueConversationsRequest{})
			if err != nil {
				t.Error(err)
			}
			done <- out
		}()
	}
	a, b := <-done, <-done
	for _, run := range []*syncv1.SyncDueConversationsResponse{a, b} {
		if run.GetChecked() != run.GetProven()+run.GetUnproven()+run.GetDeferred()+run.GetFailed() || !run.GetFinished() {
			t.Errorf("receipt: %v", run)
		}
	}
	// The built-in scheduler may have taken some; together each conversation was read once.
	r.eventually("all proven", func() bool {
		return r.count(`SELECT count(*) FROM conversation WHERE proven_revision = revision`) == 12
	})
	if n := r.count(`SELECT coalesce(sum(checked), 0) FROM sync_run`); n != 12 {
		t.Errorf("%d comparisons of 12 conversations", n)
	}
	if n := r.count(`SELECT count(*) FROM message`); n != 12 {
		t.Errorf("%d messages", n)
	}
}

func TestSyncConversationErrors(t *testing.T) {
	w := newRig(t).tenant("loc0000000000000001")
	h := w.thread()
	noContact, err := w.admin.UpsertLead(t.Context(), &syncv1.UpsertLeadRequest{Parent: w.name, Lead: &syncv1.Lead{Email: "only@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]codes.Code{
		h.lead + "/conversations/fax": codes.InvalidArgument, "x": codes.InvalidArgument,
		w.name + "/leads/00000000-0000-4000-8000-000000000000/conversations/sms": codes.NotFound,
		noContact.GetLead().GetName() + "/conversations/sms":                     codes.FailedPrecondition,
	} {
		_, err := w.admin.SyncConversation(t.Context(), &syncv1.SyncConversationRequest{Name: name})
		if status.Code(err) != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}
