package sync_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/simulator"
)

// breaks makes the database refuse a message, as something that fails on every attempt.
func (r *rig) breaks(message string) {
	r.Helper()
	conn, err := pgx.Connect(r.Context(), r.db.AdminDSN)
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = conn.Close(r.Context()) }()
	_, err = conn.Exec(r.Context(), fmt.Sprintf(`CREATE FUNCTION sync.broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.provider_message_id = '%s' THEN RAISE 'broken'; END IF; RETURN NEW; END $$;
		CREATE TRIGGER broken BEFORE INSERT ON sync.message FOR EACH ROW EXECUTE FUNCTION sync.broken()`, message))
	if err != nil {
		r.Fatal(err)
	}
}

// freeze keeps a workspace's webhooks from being applied together until the returned function is called.
func (w tenant) freeze() (thaw func()) {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), w.db.AdminDSN)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := conn.Exec(w.Context(), `SELECT pg_advisory_lock(hashtextextended('relance.sync.inbox ' || $1, 0))`, w.name[len("workspaces/"):]); err != nil {
		w.Fatal(err)
	}
	return func() { _ = conn.Close(w.Context()) }
}

// TestOneThatFailsHoldsUpNoOther: of a page that cannot be committed each webhook is tried alone, and only the one to blame waits.
func TestOneThatFailsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	w := newRig(t, noPolls).tenant(location)
	_, c := w.lead(simulator.Contact{Phone: "+12025550123"})
	thaw := w.freeze()
	const others = 20
	var bad simulator.InboundMessage
	for n := range others + 1 {
		m := w.said(c.ID, fmt.Sprintf("number %d", n))
		if n == others/2 {
			bad = m
		}
		w.accept(m.Webhook)
	}
	w.breaks(bad.MessageID)
	if n := w.count(`SELECT count(*) FROM webhook_inbox WHERE state = 'PENDING'`); n != others+1 {
		t.Fatalf("%d wait, want all: nothing is applied before its time", n)
	}
	thaw()
	w.eventually("the others applied", func() bool { return w.count(`SELECT count(*) FROM webhook_inbox WHERE state = 'PROCESSED'`) == others })
	w.eventually("it is tried again", func() bool {
		return w.count(`SELECT count(*) FROM webhook_inbox WHERE state = 'PENDING' AND alone AND attempt >= 2`) == 1
	})
	// The last attempt.
	w.exec(`UPDATE webhook_inbox SET attempt = 7, next_time = now() WHERE state = 'PENDING'`)
	w.eventually("parked", func() bool {
		return w.count(`SELECT count(*) FROM webhook_inbox WHERE state = 'PARKED' AND error_reason = 'PROCESSING_FAILED'`) == 1
	})
	if n := w.count(`SELECT count(*) FROM message`); n != others {
		t.Errorf("messages = %d, want %d", n, others)
	}
	if n := w.count(`SELECT coalesce(sum(delivered), 0) FROM ingestion_hour`); n != others {
		t.Errorf("counted = %d, want %d", n, others)
	}
}

// TestALeaseThatEndedIsTakenUp: a process died with a webhook in its hands.
func TestALeaseThatEndedIsTakenUp(t *testing.T) {
	t.Parallel()
	w := newRig(t, noPolls).tenant(location)
	_, c := w.lead(simulator.Contact{Phone: "+12025550123"})
	thaw := w.freeze()
	w.accept(w.said(c.ID, "Yes please").Webhook)
	w.exec(`UPDATE webhook_inbox SET alone = true, attempt = 1, next_time = now() + interval '1 hour'`)
	thaw()
	w.accept(w.said(c.ID, "Or tomorrow").Webhook)
	w.eventually("the next one applied", func() bool { return w.count(`SELECT count(*) FROM message`) == 1 })
	if n := w.count(`SELECT count(*) FROM webhook_inbox WHERE state = 'PENDING'`); n != 1 {
		t.Fatalf("%d wait, want the leased one", n)
	}
	w.exec(`UPDATE webhook_inbox SET next_time = now() WHERE alone`)
	w.settled()
	if n := w.count(`SELECT count(*) FROM message`); n != 2 {
		t.Errorf("messages = %d, want 2", n)
	}
}

// TestAFloodIsAppliedInPages: more than a page of one lead's messages, each once, and one event for each reply.
func TestAFloodIsAppliedInPages(t *testing.T) {
	t.Parallel()
	w := newRig(t, noPolls).tenant(location)
	lead, c := w.lead(simulator.Contact{Phone: "+12025550123"})
	thaw := w.freeze()
	const flood = 100
	for n := range flood {
		w.accept(w.said(c.ID, fmt.Sprintf("number %d", n)).Webhook)
	}
	thaw()
	w.settled()
	w.eventually("all told", func() bool { return len(w.events.of(lead)) >= flood })
	if messages, told := w.count(`SELECT count(*) FROM message`), len(w.events.of(lead)); messages != flood || told != flood {
		t.Errorf("messages = %d, events = %d; want %d of each", messages, told, flood)
	}
	// At most one job of delivery a page, and none for a webhook.
	if jobs := w.count(`SELECT count(*) FROM river_job WHERE kind LIKE '%webhook%'`); jobs != 0 {
		t.Errorf("%d jobs beside the inbox", jobs)
	}
}
