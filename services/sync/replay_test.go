package sync_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// TestReplayOfParkedWebhooks: hints for contacts that the provider did not know are parked, estimated, replayed once the
// provider knows them, and send nothing; the control sends.
func TestReplayOfParkedWebhooks(t *testing.T) {
	t.Parallel()
	w := newRig(t, noPolls).tenant(location)
	ids := []string{"contactParked000001", "contactParked000002", "contactParked000003"}
	for _, id := range ids {
		if _, err := w.workflow([]byte(`{"contact_id":"` + id + `"}`)); err != nil {
			t.Fatal(err)
		}
	}
	w.settled()
	parked := &syncv1.WebhookEventFilter{State: syncv1.WebhookState_WEBHOOK_STATE_PARKED, ErrorReason: "CONTACT_NOT_FOUND"}
	list, err := w.admin.ListWebhookEvents(t.Context(), &syncv1.ListWebhookEventsRequest{Parent: w.name, Filter: parked})
	if err != nil || len(list.GetWebhookEvents()) != 3 {
		t.Fatalf("parked = %v, %v", list, err)
	}
	for _, id := range ids {
		w.contact(simulator.Contact{ID: id, Phone: "+1202555014" + id[len(id)-1:]})
	}
	replay := func(req *syncv1.ReplayWebhookEventsRequest) [4]int32 {
		t.Helper()
		req.Parent = w.name
		out, err := w.admin.ReplayWebhookEvents(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		w.settled()
		return [4]int32{out.GetMatchedCount(), out.GetReplayedCount(), out.GetSkippedCount(), out.GetRemainingCount()}
	}
	if got := replay(&syncv1.ReplayWebhookEventsRequest{Filter: parked, ValidateOnly: true}); got != [4]int32{3, 3, 0, 0} || w.leadOf(ids[0]) != nil {
		t.Errorf("estimate = %v", got)
	}
	if got := replay(&syncv1.ReplayWebhookEventsRequest{Names: []string{list.GetWebhookEvents()[0].GetName()}}); got != [4]int32{1, 1, 0, 0} {
		t.Errorf("by name = %v", got)
	}
	if got := replay(&syncv1.ReplayWebhookEventsRequest{Filter: parked, MaxEvents: 1}); got != [4]int32{2, 1, 0, 1} {
		t.Errorf("one of two = %v", got)
	}
	if got := replay(&syncv1.ReplayWebhookEventsRequest{Filter: parked}); got != [4]int32{1, 1, 0, 0} {
		t.Errorf("the rest = %v", got)
	}
	if got := replay(&syncv1.ReplayWebhookEventsRequest{Names: []string{list.GetWebhookEvents()[0].GetName()}}); got != [4]int32{1, 0, 1, 0} {
		t.Errorf("a processed one = %v", got)
	}
	if leads, sends := w.count(`SELECT count(*) FROM lead`), len(w.sim.Sends(simulator.Filter{})); leads != 3 || sends != 0 {
		t.Errorf("leads = %d, sends = %d", leads, sends)
	}
	if _, err := w.followups.SendMessage(t.Context(), sms(w.leadOf(ids[0]).GetName(), "control")); err != nil || len(w.sim.Sends(simulator.Filter{})) != 1 {
		t.Errorf("control: %v", err)
	}
	for name, req := range map[string]*syncv1.ReplayWebhookEventsRequest{
		"neither": {}, "both": {Names: []string{"webhookEvents/x"}, Filter: parked}, "many": {Filter: parked, MaxEvents: 10001},
		"processed": {Filter: &syncv1.WebhookEventFilter{State: syncv1.WebhookState_WEBHOOK_STATE_PROCESSED}}, "name": {Names: []string{"x"}},
	} {
		req.Parent = w.name
		if _, err := w.admin.ReplayWebhookEvents(t.Context(), req); err == nil {
			t.Errorf("%s was taken", name)
		} else {
			rpctest.RequireError(t, err, codes.InvalidArgument, "")
		}
	}
}

// TestOrderDoesNotMatter delivers one set of events in every order and compares the end states.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	r := newRig(t, noPolls)
	const n = 4
	var worlds []tenant
	var contacts []string
	var deliveries [][]simulator.Payload
	for i, order := range permutations(n) {
		w := r.tenant("locationOrder" + string(rune('A'+i)) + "00001")
		c := w.contact(simulator.Contact{FirstName: "Ann", Phone: "+12025550123", Email: "ann@example.com", Tags: []string{"a", "b"}})
		created, err := w.sim.ContactWebhook(w.location, c.ID, "ContactCreate")
		if err != nil {
			t.Fatal(err)
		}
		held := w.appointment(t, c.ID, "AppointmentCreate", "confirmed", 0)
		off := w.appointment(t, c.ID, "AppointmentUpdate", "cancelled", time.Minute)
		events := []simulator.Payload{created, w.said(c.ID, "STOP").Webhook, held, off}
		var sorted []simulator.Payload
		for _, at := range order {
			sorted = append(sorted, events[at])
		}
		worlds, contacts, deliveries = append(worlds, w), append(contacts, c.ID), append(deliveries, sorted)
	}
	for step := range n {
		for i, w := range worlds {
			w.accept(deliveries[i][step])
		}
		worlds[0].settled()
	}
	for i, w := range worlds {
		lead := w.leadOf(contacts[i])
		if lead.GetFirstName() != "Ann" || lead.GetPhone() != "+12025550123" || len(lead.GetChannels()) != 1 ||
			lead.GetChannels()[0].GetStatus() != syncv1.ChannelStatus_CHANNEL_STATUS_OPTED_OUT {
			t.Errorf("order %d: lead = %v", i, lead)
		}
	}
	total := len(worlds)
	for query, want := range map[string]int{
		`SELECT count(*) FROM lead`: total, `SELECT count(*) FROM message`: total,
		`SELECT count(*) FROM booking WHERE status = 'cancelled'`: total, `SELECT count(*) FROM booking`: total,
		`SELECT count(*) FROM lead_evidence WHERE kind = 'tags' AND tags = '{a,b}'`: total,
		`SELECT count(*) FROM webhook_inbox WHERE state = 'PROCESSED'`:              n * total,
	} {
		if got := r.count(query); got != want {
			t.Errorf("%s = %d, want %d", query, got, want)
		}
	}
	t.Logf("figure event_orders %d sets n=%d", total, n*total)
}

func (w tenant) appointment(t *testing.T, contact, event, status string, after time.Duration) simulator.Payload {
	t.Helper()
	p, err := w.sim.Sample(w.location, event)
	if err != nil {
		t.Fatal(err)
	}
	return p.With("appointment.contactId", contact).With("appointment.appointmentStatus", status).
		With("appointment.id", "appointmentOne00001").With("appointment.dateUpdated", w.clock.Now().Add(after).Format(time.RFC3339))
}

func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{{}}
	}
	var out [][]int
	for _, p := range permutations(n - 1) {
		for i := range n {
			q := append([]int{}, p[:i]...)
			out = append(out, append(append(q, n-1), p[i:]...))
		}
	}
	return out
}
