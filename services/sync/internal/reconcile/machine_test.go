package reconcile_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/reconcile"
	"github.com/relance/relance/services/sync/internal/sender"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/simulator"
)

// machine drives the real sender and reconciler on PostgreSQL, one lead a run, and compares every move that the database
// saw with the table, and every message that the provider took with the sends.
type machine struct {
	person
	intents []uuid.UUID
	texts   map[uuid.UUID]string
	serial  int
	checked int
	seen    *sync.Map // arrows taken, over all runs
}

// faults are what may happen to a call, the first being nothing.
var faults = []simulator.Fault{
	{Kind: simulator.None},
	{Kind: simulator.AcceptThenReset},
	{Kind: simulator.Status5xxAfterAccept},
	{Kind: simulator.Status5xxClean},
	{Kind: simulator.EmptyTwoHundred, NotTaken: true},
	{Kind: simulator.EmptyTwoHundred},
	{Kind: simulator.Status429, RetryAfter: "1"},
	{Kind: simulator.ResetBeforeRead},
	{Kind: simulator.Unauthorized},
	{Kind: simulator.Refusal, Code: "CONVERSATIONS_MSG_NO_CONTENT", Body: "There is no message"},
	{Kind: simulator.LaggingList, Delay: 5 * time.Minute},
}

func TestMachineFollowsTheTable(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.admin(`SET search_path = sync;
		CREATE TABLE move_log (seq bigint GENERATED ALWAYS AS IDENTITY, id uuid, from_state text, reason text, to_state text);
		GRANT SELECT, INSERT ON move_log TO relance_sync;
		CREATE FUNCTION log_move() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = sync AS $$
		BEGIN INSERT INTO move_log (id, from_state, reason, to_state) VALUES (NEW.id, OLD.state, OLD.reason, NEW.state); RETURN NULL; END $$;
		CREATE TRIGGER log_move AFTER UPDATE ON send_intent FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION log_move();`)
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("40") // each is some thirty steps on a database
	}
	var arrows sync.Map
	run := 0
	// The control: runs that take few arrows show little, so there are more of them until these have been taken.
	missing := []string{"UNKNOWN>ACCEPTED", "UNKNOWN>RETRYABLE", "UNKNOWN>PARKED", "SENDING>UNKNOWN", "RETRYABLE>SENDING", "SENDING>REFUSED"}
	for round := 0; round < 6 && len(missing) > 0 && !t.Failed(); round++ {
		rapid.Check(t, func(rt *rapid.T) {
			run++
			m := &machine{person: r.person(fmt.Sprintf("+1202555%04d", run)), texts: map[uuid.UUID]string{}, seen: &arrows}
			m.morning()
			rt.Repeat(map[string]func(*rapid.T){
				"send": m.sendNew, "resume": m.resume, "pass": m.pass, "look": func(*rapid.T) { r.tick() }, "webhook": m.webhook,
				"kill": m.kill, "resolve": m.resolve, "reconnect": m.reconnect, "": m.check,
			})
			m.finish(rt)
		})
		missing = slices.DeleteFunc(missing, func(arrow string) bool { _, taken := arrows.Load(arrow); return taken })
	}
	var taken []string
	arrows.Range(func(k, _ any) bool { taken = append(taken, k.(string)); return true })
	slices.Sort(taken)
	t.Logf("figure machine_arrows %d arrows n=%d", len(taken), run)
	t.Log(strings.Join(taken, " "))
	if len(missing) > 0 && !t.Failed() {
		t.Errorf("no run of %d took %s", run, missing)
	}
}

func (m *machine) sendNew(t *rapid.T) {
	f := rapid.SampledFrom(faults).Draw(t, "fault")
	f.Match, f.Times = simulator.SendsTo(m.contact), 1
	handle := m.sim.AddFault(f)
	defer handle.Remove()
	m.serial++
	request := m.request(fmt.Sprintf("Number %d for %s: %s", m.serial, m.contact, text))
	request.Policy = rapid.SampledFrom([]sending.Policy{sending.Resend, sending.Hold}).Draw(t, "policy")
	if rapid.IntRange(0, 4).Draw(t, "expires") == 0 {
		expire := m.clock.Now().Add(3 * time.Minute)
		request.Expire = &expire
	}
	out, err := m.sender.Send(m.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if out.Message != uuid.Nil {
		m.intents = append(m.intents, out.Message)
		m.texts[out.Message] = request.Content.Body
	}
}

func (m *machine) any(t *rapid.T) uuid.UUID {
	if len(m.intents) == 0 {
		t.Skip("nothing was sent")
	}
	return rapid.SampledFrom(m.intents).Draw(t, "intent")
}

func (m *machine) resume(t *rapid.T) {
	if err := m.sender.Resume(m.Context(), m.workspace, m.any(t)); err != nil {
		t.Fatal(err)
	}
}

// pass lets time go by on both clocks.
func (m *machine) pass(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{31 * time.Second, 2 * time.Minute, 16 * time.Minute}).Draw(t, "time")
	m.clock.Advance(d)
	m.exec(`UPDATE send_intent SET intent_at = intent_at - $1::interval, lease_until = lease_until - $1::interval, next_look = next_look - $1::interval
		WHERE lead_id = $2`, d, m.lead)
}

// webhook shows one of the provider's messages, perhaps for the second time.
func (m *machine) webhook(t *rapid.T) {
	held := m.sim.Messages(location, m.contact)
	if len(held) == 0 {
		t.Skip("the provider has nothing")
	}
	h := rapid.SampledFrom(held).Draw(t, "message")
	m.observe(reconcile.Evidence{
		ProviderID: h.ID, Text: h.Body, Source: h.Source, At: h.DateAdded,
		Status: rapid.SampledFrom([]string{"sent", "delivered", "failed"}).Draw(t, "status"),
	})
}

// kill leaves a claim whose holder is gone before its call.
func (m *machine) kill(t *rapid.T) {
	id := m.any(t)
	m.exec(`UPDATE send_intent SET state = 'SENDING', attempt = attempt + 1, intent_at = now(), claim_time = $2, reason = '', reason_meta = '{}',
		claim_from = CASE WHEN ambiguous = 0 THEN $2 ELSE claim_from END, looks = 0, failed_looks = 0, lease_until = now() + interval '30 s'
		WHERE id = $1 AND state IN ('PLANNED', 'RETRYABLE')
		AND NOT EXISTS (SELECT FROM send_intent o WHERE o.lead_id = send_intent.lead_id AND o.state IN ('SENDING', 'UNKNOWN'))`, id, m.clock.Now())
}

func (m *machine) resolve(t *rapid.T) {
	id := m.any(t)
	again, err := m.sender.Resolve(m.Context(), sender.Resolution{
		Workspace: m.workspace, Message: id, RequestID: uuid.New(), Principal: "user:u1",
		Decision: rapid.SampledFrom([]sender.Decision{sender.DecideNotSent, sender.DecideSendAgain}).Draw(t, "decision"),
	})
	if err == nil && again != nil {
		m.intents = append(m.intents, *again)
		m.texts[*again] = "" // the same words as its predecessor's: counted with it
	}
}

func (m *machine) reconnect(*rapid.T) { m.exec(`UPDATE connection SET state = 'CONNECTED'`) }

// morning moves the clock, which all runs share, to the next morning of the people, half past eight by standard time: at
// night nothing leaves, and the evening of the workspace, whose zone counts for people of unknown zone, begins at 21:00 UTC.
func (m *machine) morning() {
	m.clock.Set(m.clock.Now().UTC().Truncate(24 * time.Hour).Add(37*time.Hour + 30*time.Minute))
}

// check compares moves and messages with what is promised.
func (m *machine) check(t *rapid.T) {
	type move struct{ from, reason, to string }
	var moves []move
	err := postgres.InTx(m.Context(), m.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(m.Context(), `SELECT from_state, reason, to_state FROM move_log WHERE id = ANY ($1) ORDER BY seq OFFSET $2`, m.intents, m.checked)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var mv move
			if err := rows.Scan(&mv.from, &mv.reason, &mv.to); err != nil {
				return err
			}
			moves = append(moves, mv)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	m.checked += len(moves)
	for _, mv := range moves {
		m.seen.Store(mv.from+">"+mv.to, true)
		if !sending.CanMove(sending.State(mv.from), sending.Reason(mv.reason), sending.State(mv.to)) {
			t.Fatalf("%s(%s) -> %s is not in the table", mv.from, mv.reason, mv.to)
		}
	}
	if n := m.count(`SELECT count(*) FROM send_intent WHERE lead_id = $1 AND state IN ('SENDING', 'UNKNOWN')`, m.lead); n > 1 {
		t.Fatalf("%d live sends to one lead (I4)", n)
	}
	m.compare(t)
}

// compare counts the provider's messages of each send by their words (I1, I3).
func (m *machine) compare(t *rapid.T) {
	took := map[string]int{}
	for _, h := range m.sim.Messages(location, m.contact) {
		took[h.Body]++
	}
	for id, words := range m.texts {
		if words == "" {
			continue
		}
		row := m.row(id)
		again := m.count(`SELECT count(*) FROM send_intent WHERE replaces = $1`, id)
		switch n := took[words]; {
		case n > 1 && again == 0:
			t.Fatalf("the provider took %d of %s (I1)", n, row.State)
		case n == 0 && row.ProviderMessageID != nil && again == 0:
			t.Fatalf("%s, and the provider has nothing (I3)", row.State)
		case n > 0 && row.State == string(sending.Refused):
			t.Fatal("REFUSED, and the provider has it (I3)")
		}
	}
}

// finish lets everything come to its end: nothing rests (I8). It begins in a morning, since what waits out a night is not
// resting. Each round is longer than S can get when the provider was late.
func (m *machine) finish(t *rapid.T) {
	m.reconnect(t)
	m.morning()
	for range 12 {
		m.clock.Advance(31 * time.Minute)
		m.exec(`UPDATE send_intent SET intent_at = intent_at - interval '130 min', lease_until = lease_until - interval '130 min', next_look = now()
			WHERE lead_id = $1 AND state IN ('SENDING', 'UNKNOWN')`, m.lead)
		m.tick()
		for _, id := range m.intents {
			if err := m.sender.Resume(m.Context(), m.workspace, id); err != nil {
				t.Fatal(err)
			}
		}
	}
	m.check(t)
	if n := m.count(`SELECT count(*) FROM send_intent WHERE lead_id = $1 AND state IN ('PLANNED', 'SENDING', 'UNKNOWN', 'RETRYABLE')`, m.lead); n != 0 {
		for _, id := range m.intents {
			row := m.row(id)
			t.Logf("%s %s %s: attempt %d, ambiguous %d, next %s, at %s", id, row.State, row.Reason, row.Attempt, row.Ambiguous, row.NextTime, m.clock.Now())
		}
		t.Fatalf("%d sends never end (I8)", n)
	}
}
