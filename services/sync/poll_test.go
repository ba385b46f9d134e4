package sync_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/simulator"
)

func polls(c *relancesync.Config) { c.PollTick = 20 * time.Millisecond }

func noPolls(c *relancesync.Config) { c.PollDisabled = true }

// receiver lets the simulator deliver marketplace webhooks by itself.
func (w tenant) receiver() string {
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err == nil {
			_, err = w.marketplace(body)
		}
		if err != nil {
			rw.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	w.Cleanup(server.Close)
	return server.URL
}

func (w tenant) health() *syncv1.IngestionHealth {
	w.Helper()
	out, err := w.admin.ListIngestionHealth(w.Context(), &syncv1.ListIngestionHealthRequest{})
	if err != nil {
		w.Fatal(err)
	}
	for _, h := range out.GetIngestionHealth() {
		if h.GetName() == w.name+"/ingestionHealth" {
			return h
		}
	}
	w.Fatal("workspace without health")
	return nil
}

// polled waits until everything before now is compared.
func (w tenant) polled() {
	w.Helper()
	w.clock.Advance(6 * time.Minute)
	want := w.clock.Now().Add(-time.Minute)
	w.eventually("polled", func() bool { return !w.health().GetPollCursorTime().AsTime().Before(want) })
	w.settled()
}

func (w tenant) started() {
	w.Helper()
	w.eventually("polling begun", func() bool { return w.count(`SELECT count(*) FROM poll_state WHERE location = $1`, w.location) == 1 })
}

// known makes a lead whose history import is over, so that what it finds is not taken for the poller's.
func (w tenant) known(phone string) (string, simulator.Contact) {
	w.Helper()
	lead, c := w.lead(simulator.Contact{Phone: phone})
	p, err := w.sim.ContactWebhook(w.location, c.ID, "ContactUpdate")
	if err != nil {
		w.Fatal(err)
	}
	w.accept(p)
	w.settled()
	w.eventually("history imported", func() bool { return w.count(`SELECT count(*) FROM history_import WHERE done_time IS NULL`) == 0 })
	return lead, c
}

const lostOf = 120

// lose has leads write, with a third of the webhooks lost and a fifth delivered twice.
func (w tenant) lose() (emitted, dropped int) {
	w.Helper()
	w.sim.SetWebhookRule(simulator.WebhookRule{Drop: 0.3, Duplicate: 0.2, Shuffle: 4})
	w.sim.AutoDeliver(w.receiver(), "InboundMessage")
	var contacts []string
	for i := range 10 {
		_, c := w.known("+120255501" + string(rune('0'+i)) + "0")
		contacts = append(contacts, c.ID)
	}
	for i := range lostOf {
		w.said(contacts[i%len(contacts)], "ok") // repeated short replies are messages of their own
		w.clock.Advance(time.Second)
	}
	w.sim.FlushWebhooks()
	w.eventually("webhooks delivered", func() bool {
		n := w.sim.WebhookCounts()
		return n.Delivered+n.Dropped == lostOf
	})
	w.settled()
	return lostOf, w.sim.WebhookCounts().Dropped
}

// TestLossTurnsIntoDelay: every message arrives although a third of the webhooks is lost, and the loss is told as it was.
func TestLossTurnsIntoDelay(t *testing.T) {
	t.Parallel()
	w := newRig(t, polls).tenant(location)
	w.started()
	emitted, dropped := w.lose()
	w.polled()
	w.polled() // a second poll over the same span changes nothing
	h := w.health()
	if got := w.count(`SELECT count(*) FROM message`); got != emitted {
		t.Errorf("messages = %d, want %d", got, emitted)
	}
	missed := int(h.GetFoundCount() - h.GetLateCount())
	if missed != dropped || int(h.GetDeliveredCount()+h.GetFoundCount()) != emitted || h.GetLossRate() != float64(dropped)/float64(emitted) {
		t.Errorf("health = %v; %d of %d were lost", h, dropped, emitted)
	}
	if n := w.count(`SELECT count(*) FROM webhook_inbox WHERE source = 'poller' AND state <> 'PROCESSED'`); n != 0 || dropped == 0 {
		t.Errorf("%d found messages not processed, %d lost", n, dropped)
	}
	t.Logf("figure lost_webhooks %d messages n=%d; loss rate %.3f", dropped, emitted, h.GetLossRate())
}

// compared waits until the first comparison of what is due, which comes soon after the start, is over; the next comes a minute later.
func (r *rig) compared() {
	r.Helper()
	r.eventually("history compared", func() bool {
		return r.count(`SELECT count(*) FROM river_job WHERE kind = 'sync_due' AND state = 'completed'`) > 0
	})
}

// TestLossWithoutThePoller is the control: what is lost stays lost.
func TestLossWithoutThePoller(t *testing.T) {
	t.Parallel()
	w := newRig(t, noPolls).tenant(location)
	w.compared() // history heals what is lost, too
	emitted, dropped := w.lose()
	w.clock.Advance(time.Hour)
	if got := w.count(`SELECT count(*) FROM message`); got != emitted-dropped || dropped == 0 {
		t.Errorf("messages = %d, want %d", got, emitted-dropped)
	}
	if h := w.health(); h.GetLastPollTime() != nil || h.GetLossRate() != 0 {
		t.Errorf("health = %v", h)
	}
}

// TestSilentLocation: no webhook at all, and the poller finds messages.
func TestSilentLocation(t *testing.T) {
	t.Parallel()
	w := newRig(t, polls).tenant(location)
	w.started()
	lead, c := w.known("+12025550123")
	w.polled()
	w.said(c.ID, "one")
	w.polled()
	if h := w.health(); h.GetSilent() || h.GetFoundCount() != 1 {
		t.Errorf("after one: %v", h)
	}
	w.said(c.ID, "two")
	w.said(c.ID, "STOP")
	w.polled()
	h := w.health()
	if !h.GetSilent() || h.GetFoundCount() != 3 || h.GetLossRate() != 1 {
		t.Errorf("after three: %v", h)
	}
	w.eventually("what the poller found has its effects", func() bool { return len(w.events.of(lead)) == 3 })
	w.accept(w.said(c.ID, "four").Webhook)
	w.polled()
	if h := w.health(); h.GetSilent() || h.GetSilentSinceTime() != nil {
		t.Errorf("after a webhook: %v", h)
	}
}

// TestBreakerOfALocation: a provider that fails is left alone for a while; afterwards nothing is missing.
func TestBreakerOfALocation(t *testing.T) {
	t.Parallel()
	w := newRig(t, polls).tenant(location)
	w.started()
	_, c := w.known("+12025550123")
	w.said(c.ID, "lost")
	fault := w.sim.AddFault(simulator.Fault{Match: simulator.Match{Path: "/conversations/messages/export"}, Kind: simulator.Status5xxClean})
	w.eventually("breaker open", func() bool {
		w.clock.Advance(5 * time.Minute)
		return w.health().GetBreakerEndTime() != nil
	})
	h := w.health()
	if h.GetPollError() != "PROVIDER_READ_FAILED" || h.GetPollCursorTime().AsTime().After(w.clock.Now().Add(-20*time.Minute)) {
		t.Errorf("health = %v", h)
	}
	fault.Remove()
	w.eventually("found", func() bool {
		w.clock.Advance(5 * time.Minute)
		return w.count(`SELECT count(*) FROM message`) == 1
	})
	w.polled()
	if h := w.health(); h.GetBreakerEndTime() != nil || h.GetPollError() != "" {
		t.Errorf("health = %v", h)
	}
}

// TestMessagesThatTheListHides are found by their conversation.
func TestMessagesThatTheListHides(t *testing.T) {
	t.Parallel()
	w := newRig(t, polls).tenant(location)
	w.started()
	c := w.contact(simulator.Contact{FirstName: "Ann", Phone: "+12025550123", Email: "ann@example.com"})
	id, _ := w.said(c.ID, "Hello").Webhook["messageId"].(string)
	if err := w.sim.HideMessage(id, simulator.ExportList, w.clock.Now().AddDate(1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	w.polled()
	if lead := w.leadOf(c.ID); lead.GetPhone() != c.Phone || w.count(`SELECT count(*) FROM message`) != 1 {
		t.Errorf("lead = %v, messages = %d", lead, w.count(`SELECT count(*) FROM message`))
	}
}

// TestPollingBesideAnotherSender: a workspace's other connections are no locations. They neither stop polling, for any
// workspace, nor move its cursor, nor show the workspace twice.
func TestPollingBesideAnotherSender(t *testing.T) {
	t.Parallel()
	w := newRig(t, polls).tenant(location)
	w.exec(`INSERT INTO connection (workspace_id, provider, location, token_enc, state, state_time)
		SELECT workspace_id, p, 'key-' || p, token_enc, state, state_time FROM connection, unnest(ARRAY['smartlead', 'calendly']) AS p`)
	w.started()
	_, c := w.known("+12025550170")
	w.said(c.ID, "nobody told you of this")
	w.polled()
	if n := w.count(`SELECT count(*) FROM message`); n != 1 {
		t.Errorf("messages = %d, want the lost one", n)
	}
	w.polled() // more ticks do not begin anew
	if n := w.count(`SELECT count(*) FROM poll_state WHERE location <> $1`, w.location); n != 0 {
		t.Errorf("%d polls are of something that is no location", n)
	}
	out, err := w.admin.ListIngestionHealth(t.Context(), &syncv1.ListIngestionHealthRequest{})
	if err != nil || len(out.GetIngestionHealth()) != 1 {
		t.Errorf("health = %v, %v; want the workspace once", out, err)
	}
}
