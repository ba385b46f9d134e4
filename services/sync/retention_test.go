package sync_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/simulator"
)

const (
	kept     = 90 * 24 * time.Hour
	noBodies = `SELECT count(*) FROM webhook_inbox WHERE body_enc IS NULL`
)

// aged makes every stored webhook older than bodies are kept, but for those of one event type.
func (w tenant) aged(but string) {
	w.Helper()
	w.exec(`UPDATE webhook_inbox SET create_time = create_time - interval '91 days', process_time = process_time - interval '91 days'
		WHERE event_type <> $1`, but)
}

// retained is a workspace with three old webhooks, a processed one, a parked one and an ignored one, and a young processed one. It
// gives the delivery of the first.
func retained(t *testing.T, change ...func(*relancesync.Config)) (tenant, simulator.Payload) {
	t.Helper()
	w := newRig(t, append(change, noPolls)...).tenant(location)
	_, c := w.lead(simulator.Contact{Phone: "+12025550123"})
	said := w.said(c.ID, "Yes please").Webhook
	w.accept(said)
	if _, err := w.workflow([]byte(`{"contact_id":"contactParked000001"}`)); err != nil {
		t.Fatal(err)
	}
	ignored := fmt.Sprintf(`{"type":"LCEmailStats","locationId":%q,"webhookId":"a","timestamp":%q}`, location, w.clock.Now().Format(time.RFC3339))
	if _, err := w.marketplace([]byte(ignored)); err != nil {
		t.Fatal(err)
	}
	young, err := w.sim.ContactWebhook(location, c.ID, "ContactUpdate")
	if err != nil {
		t.Fatal(err)
	}
	w.accept(young)
	w.settled()
	for state, want := range map[string]int{"PROCESSED": 2, "PARKED": 1, "IGNORED": 1} {
		if n := w.count(`SELECT count(*) FROM webhook_inbox WHERE state = $1`, state); n != want {
			t.Fatalf("%s = %d, want %d", state, n, want)
		}
	}
	w.aged("ContactUpdate")
	return w, said
}

// TestBodiesOfOldWebhooksAreDropped: only of those that were processed long ago; a late delivery is still a repeat, and has no
// second effect.
func TestBodiesOfOldWebhooksAreDropped(t *testing.T) {
	t.Parallel()
	w, said := retained(t, func(c *relancesync.Config) { c.WebhookRetention = kept })
	w.eventually("body dropped", func() bool { return w.count(noBodies) > 0 })
	w.swept()
	if n := w.count(noBodies + ` AND event_type = 'InboundMessage' AND state = 'PROCESSED'`); n != 1 || w.count(noBodies) != 1 {
		t.Errorf("dropped = %d, of them the old processed one = %d; want 1 and 1", w.count(noBodies), n)
	}
	w.repeat(said)
	w.settled()
	if n, stored := w.count(`SELECT count(*) FROM message`), w.count(`SELECT count(*) FROM webhook_inbox`); n != 1 || stored != 4 {
		t.Errorf("after a late delivery: messages = %d, stored = %d; want 1 and 4", n, stored)
	}
	w.replayDropped()
}

// replayDropped replays the dropped event by name, alone and beside a parked one, and then what can be replayed.
func (w tenant) replayDropped() {
	w.Helper()
	names := map[string]string{}
	list, err := w.admin.ListWebhookEvents(w.Context(), &syncv1.ListWebhookEventsRequest{Parent: w.name})
	if err != nil {
		w.Fatal(err)
	}
	for _, e := range list.GetWebhookEvents() {
		names[e.GetEventType()+" "+e.GetState().String()] = e.GetName()
	}
	dropped, young := names["InboundMessage WEBHOOK_STATE_PROCESSED"], names["ContactUpdate WEBHOOK_STATE_PROCESSED"]
	_, err = w.admin.ReplayWebhookEvents(w.Context(), &syncv1.ReplayWebhookEventsRequest{Parent: w.name, Names: []string{w.parkedEvent(), dropped}})
	if e := rpctest.RequireError(w.T, err, codes.FailedPrecondition, "WEBHOOK_BODY_DROPPED"); e.Metadata["webhook_event"] != dropped {
		w.Errorf("metadata = %v", e.Metadata)
	}
	if n := w.count(`SELECT count(*) FROM webhook_inbox WHERE replays > 0`); n != 0 {
		w.Errorf("a refused call replayed %d", n)
	}
	out, err := w.admin.ReplayWebhookEvents(w.Context(), &syncv1.ReplayWebhookEventsRequest{Parent: w.name, Names: []string{young}})
	if err != nil || out.GetSkippedCount() != 1 {
		w.Errorf("a processed one with its body: %v, %v", out, err)
	}
	out, err = w.admin.ReplayWebhookEvents(w.Context(), &syncv1.ReplayWebhookEventsRequest{Parent: w.name, Filter: &syncv1.WebhookEventFilter{}})
	if err != nil || out.GetReplayedCount() != 2 {
		w.Errorf("parked and ignored ones: %v, %v", out, err)
	}
	w.settled()
	if n := w.count(`SELECT count(*) FROM webhook_inbox WHERE error_reason = 'BODY_UNREADABLE'`); n != 0 {
		w.Errorf("%d bodies could not be read", n)
	}
}

// TestBodiesThatNobodyActedOnAreDropped: of ignored webhooks and of those without a workspace, and of no others. Until then they
// are replayed, and then they are left out.
func TestBodiesThatNobodyActedOnAreDropped(t *testing.T) {
	t.Parallel()
	w, _ := retained(t, func(c *relancesync.Config) { c.WebhookAsideRetention = kept })
	raw := fmt.Sprintf(`{"type":"ContactCreate","id":"contactUnknown000001","locationId":"locationUnknown0001","webhookId":"b","timestamp":%q}`, w.clock.Now().Format(time.RFC3339))
	if out, err := w.marketplace([]byte(raw)); err != nil || out.GetState() != syncv1.WebhookState_WEBHOOK_STATE_UNROUTED {
		t.Fatalf("accept = %v, %v", out, err)
	}
	w.eventually("ignored one dropped", func() bool { return w.count(noBodies+` AND state = 'IGNORED'`) == 1 })
	w.swept()
	if n := w.count(noBodies); n != 1 {
		t.Fatalf("dropped = %d, want the old ignored one: the unrouted one is young, the others are of other kinds", n)
	}
	w.exec(`UPDATE webhook_inbox SET process_time = process_time - interval '91 days' WHERE state = 'UNROUTED'`)
	w.eventually("unrouted one dropped", func() bool { return w.count(noBodies+` AND state = 'UNROUTED'`) == 1 })
	list, err := w.admin.ListWebhookEvents(t.Context(), &syncv1.ListWebhookEventsRequest{
		Parent: "workspaces/-", Filter: &syncv1.WebhookEventFilter{State: syncv1.WebhookState_WEBHOOK_STATE_UNROUTED},
	})
	sum := sha256.Sum256([]byte(raw))
	if err != nil || len(list.GetWebhookEvents()) != 1 || !bytes.Equal(list.GetWebhookEvents()[0].GetBodySha256(), sum[:]) {
		t.Errorf("unrouted = %v, %v; want the digest of what came", list, err)
	}
	if out, err := w.marketplace([]byte(raw)); err != nil || !out.GetDuplicate() {
		t.Errorf("a late delivery = %v, %v", out, err)
	}
	out, err := w.admin.ReplayWebhookEvents(t.Context(), &syncv1.ReplayWebhookEventsRequest{
		Parent: "workspaces/-", Filter: &syncv1.WebhookEventFilter{}, ValidateOnly: true,
	})
	if err != nil || out.GetMatchedCount() != 1 || out.GetReplayedCount() != 1 {
		t.Errorf("what can be replayed = %v, %v; want the parked one", out, err)
	}
	_, err = w.admin.ReplayWebhookEvents(t.Context(), &syncv1.ReplayWebhookEventsRequest{
		Parent: "workspaces/-", Names: []string{list.GetWebhookEvents()[0].GetName()},
	})
	rpctest.RequireError(t, err, codes.FailedPrecondition, "WEBHOOK_BODY_DROPPED")
}

// parkedEvent names the one parked event.
func (w tenant) parkedEvent() string {
	w.Helper()
	list, err := w.admin.ListWebhookEvents(w.Context(), &syncv1.ListWebhookEventsRequest{
		Parent: w.name, Filter: &syncv1.WebhookEventFilter{State: syncv1.WebhookState_WEBHOOK_STATE_PARKED},
	})
	if err != nil || len(list.GetWebhookEvents()) != 1 {
		w.Fatalf("parked = %v, %v", list, err)
	}
	return list.GetWebhookEvents()[0].GetName()
}

// swept waits for a run of the job that began after now.
func (w tenant) swept() {
	w.Helper()
	const runs = `SELECT coalesce(max(id), 0) FROM river_job WHERE kind = 'drop_bodies'`
	last := w.count(runs)
	w.eventually("bodies looked for", func() bool {
		return w.count(`SELECT count(*) FROM river_job WHERE kind = 'drop_bodies' AND state = 'completed' AND id > $1`, last) > 0
	})
}

// TestBodiesAreKeptForEver is the control: without a retention nothing is dropped, however old.
func TestBodiesAreKeptForEver(t *testing.T) {
	t.Parallel()
	w, _ := retained(t)
	w.swept()
	if n := w.count(noBodies); n != 0 {
		t.Errorf("dropped = %d", n)
	}
}

// TestManyBodiesAreDropped: more than a batch, to the last.
func TestManyBodiesAreDropped(t *testing.T) {
	t.Parallel()
	w, _ := retained(t, func(c *relancesync.Config) { c.WebhookRetention = kept })
	w.exec(`INSERT INTO webhook_inbox (id, workspace_id, source, webhook_id, event_type, body_enc, state, create_time, process_time)
		SELECT gen_random_uuid(), $1::uuid, 'marketplace', 'many' || n, 'ContactUpdate', '\x00', 'PROCESSED', $2, $2 FROM generate_series(1, 1201) n`,
		w.name[len("workspaces/"):], w.clock.Now().Add(-kept-time.Second))
	w.eventually("all dropped", func() bool { return w.count(noBodies) == 1202 })
	w.swept()
	if n := w.count(`SELECT count(*) FROM webhook_inbox WHERE body_enc IS NOT NULL`); n != 3 {
		t.Errorf("kept = %d, want 3", n)
	}
}
