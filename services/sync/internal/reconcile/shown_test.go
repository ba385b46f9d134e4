package reconcile_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/simulator"
)

// shown counts a send's rows in the timeline and the changes that tell of them.
func (r *rig) shown(intent uuid.UUID) (rows, added int) {
	r.Helper()
	return r.count(`SELECT count(*) FROM message WHERE id = $1 AND origin = 'OWN'`, intent),
		r.count(`SELECT count(*) FROM conversation_change WHERE message_id = $1 AND kind = 'MESSAGE_ADDED'`, intent)
}

// A send of the short way comes into the timeline when its call has ended, however that was, once.
func TestTheTimelineShowsASendWhoseCallHasEnded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.person("+12025550100")
	first.send(first.request(text)) // goes the long way
	for i, c := range []struct {
		fault simulator.Fault
		state sending.State
	}{
		{simulator.Fault{Kind: simulator.None}, sending.Accepted},
		{simulator.Fault{Kind: simulator.AcceptThenReset}, sending.Unknown},
		{simulator.Fault{Kind: simulator.Status429, RetryAfter: "1"}, sending.Retryable},
		{simulator.Fault{Kind: simulator.Refusal, Code: "CONVERSATIONS_MSG_NO_CONTENT", Body: "There is no message"}, sending.Refused},
	} {
		p := r.person("+1202555020" + string(rune('0'+i)))
		c.fault.Match, c.fault.Times = simulator.SendsTo(p.contact), 1
		r.sim.AddFault(c.fault)
		out := p.send(p.request(text))
		if out.State != c.state {
			t.Fatalf("%s: %s, want %s", c.fault.Kind, out.State, c.state)
		}
		if rows, added := r.shown(out.Message); rows != 1 || added != 1 {
			t.Errorf("%s: %d rows, told of %d times", c.fault.Kind, rows, added)
		}
	}
	if n := r.count(`SELECT count(*) FROM conversation_change WHERE kind = 'MESSAGE_CHANGED'`); n != 1 {
		t.Errorf("%d changes of messages that came as they are, want that of the long way", n)
	}
}

// slow leaves a call all the time that a busy machine may take.
func slow(t *sending.Timing) { t.Call = 100 * time.Second }

// stuck is a send of the short way whose call ends when the test says so. The rig is slow.
func (p person) stuck(kind simulator.FaultKind) (intent uuid.UUID, answered func()) {
	p.Helper()
	held, done := p.sim.AddFault(simulator.Fault{Match: simulator.SendsTo(p.contact), Kind: kind, Delay: 90 * time.Second, Times: 1}), make(chan struct{})
	go func() {
		defer close(done)
		p.send(p.request(text))
	}()
	for held.Hits() == 0 {
		time.Sleep(time.Millisecond)
	}
	row := p.count(`SELECT count(*) FROM send_intent WHERE lead_id = $1 AND state = 'SENDING'`, p.lead)
	if row != 1 {
		p.Fatalf("%d sends under way", row)
	}
	p.system(func(tx *store.Tx) error {
		open, err := tx.OpenIntents(p.Context(), db.OpenIntentsParams{WorkspaceID: p.workspace, LeadID: p.lead, Channel: string(sending.SMS)})
		if len(open) == 1 {
			intent = open[0].ID
		}
		return err
	})
	return intent, func() { held.Free(); <-done }
}

// While the call lasts a reader finds the send by its name, the counts add up, and history that is faster than the answer
// leaves one message.
func TestASendUnderWayIsFoundByItsName(t *testing.T) {
	t.Parallel()
	r := newRig(t, slow)
	p := r.person("+12025550100")
	p.send(p.request("First."))
	intent, answered := p.stuck(simulator.AcceptThenHang)
	if rows, _ := r.shown(intent); rows != 0 {
		t.Fatalf("%d rows: the call ended too soon for this test to show anything", rows)
	}
	r.system(func(tx *store.Tx) error {
		row, err := tx.OwnMessage(t.Context(), r.workspace, intent)
		if err != nil {
			return err
		}
		_, body, err := r.store.Text(row.Message)
		if row.State != string(sending.Sending) || body != text || row.Message.LeadID != p.lead || row.Attempt != 1 {
			t.Errorf("found %s %q of %s", row.State, body, row.Message.LeadID)
		}
		return err
	})
	if s := r.watch(); s.Gap() != 0 || s.Sends[sending.Sending] != 1 {
		t.Errorf("state = %+v", s)
	}
	r.system(func(tx *store.Tx) error {
		_, _, err := tx.Record(t.Context(), store.Entry{
			Workspace: r.workspace, Lead: p.lead, Channel: sending.SMS, Body: text, At: tx.Now,
			ProviderID: r.sim.Accepted(simulator.Filter{Contact: p.contact})[1].MessageID,
		})
		return err
	})
	answered()
	r.is(intent, sending.Accepted, "")
	if rows, added := r.shown(intent); rows != 1 || added != 1 {
		t.Errorf("%d rows, told of %d times", rows, added)
	}
	if n := r.count(`SELECT count(*) FROM message WHERE lead_id = $1`, p.lead); n != 2 {
		t.Errorf("%d messages of two sends", n)
	}
	// Its caller has the answer; nobody was told anything else meanwhile.
	if n := r.events(intent, "ACCEPTED"); n != 0 {
		t.Errorf("%d events beside the answer", n)
	}
}

// A process that dies in its call leaves a send that the end of its lease shows. Whoever was told then that nobody knows is told
// the outcome when the answer comes after all, as after a look that finds the message.
func TestTheEndOfALeaseShowsTheSend(t *testing.T) {
	t.Parallel()
	r := newRig(t, slow)
	p := r.person("+12025550100")
	p.send(p.request("First."))
	intent, answered := p.stuck(simulator.AcceptThenHang)
	r.expire(intent)
	if rows, added := r.shown(intent); rows != 1 || added != 1 {
		t.Errorf("%d rows, told of %d times", rows, added)
	}
	answered()
	r.is(intent, sending.Accepted, "")
	if rows, added := r.shown(intent); rows != 1 || added != 1 {
		t.Errorf("after the answer: %d rows, told of %d times", rows, added)
	}
	if n := r.events(intent, "ACCEPTED"); n != 1 {
		t.Errorf("followups was told %d times", n)
	}
	if n := r.count(`SELECT count(*) FROM conversation_change WHERE message_id = $1 AND kind = 'MESSAGE_CHANGED'`, intent); n == 0 {
		t.Error("watchers were not told")
	}
}

// A refusal that comes so late is told as well.
func TestALateRefusalIsTold(t *testing.T) {
	t.Parallel()
	r := newRig(t, slow)
	p := r.person("+12025550100")
	p.send(p.request("First."))
	intent, answered := p.stuck(simulator.Latency)
	if err := r.sim.DeleteContact(location, p.contact); err != nil {
		t.Fatal(err)
	}
	r.expire(intent)
	answered()
	r.is(intent, sending.Refused, sending.ContactNotFound)
	if n := r.events(intent, string(sending.ContactNotFound)); n != 1 {
		t.Errorf("followups was told %d times", n)
	}
}

// expire ends the lease of a send, and no look is made.
func (r *rig) expire(intent uuid.UUID) {
	r.Helper()
	r.age(intent, 5*time.Minute)
	if err := r.reconcile.ExpireLeases(r.Context()); err != nil {
		r.Fatal(err)
	}
	r.is(intent, sending.Unknown, "")
}
