package reconcile_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/reconcile"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/simulator"
)

func (r *rig) watch() reconcile.State {
	r.Helper()
	state, err := r.reconcile.Watch(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return state
}

func TestWatchCountsWhatRests(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p, q := r.person("+12025550101"), r.person("+12025550102")
	p.send(p.request(text))
	unknown := q.lost(q.request(text), gone)
	s := r.watch()
	if s.Gap() != 0 || s.Planned != 2 || s.Sends[sending.Accepted] != 1 || s.Sends[sending.Unknown] != 1 {
		t.Errorf("state = %+v", s)
	}
	for kind, n := range s.Resting {
		if n != 0 {
			t.Errorf("%d rest as %s", n, kind)
		}
	}
	r.age(unknown, 28*time.Minute)
	if s := r.watch(); s.Resting["unknown"] != 1 {
		t.Errorf("an unknown outcome that nobody looked for is not seen: %+v", s)
	}
	r.stopped.Store(true)
	p.send(p.request("Later"))
	r.stopped.Store(false)
	r.clock.Advance(6 * time.Minute)
	if s := r.watch(); s.Resting["due"] != 1 {
		t.Errorf("a due send is not seen: %+v", s)
	}
	r.exec(`UPDATE send_intent SET state = 'SENDING', lease_until = now() - interval '2 min' WHERE state = 'PLANNED'`)
	if s := r.watch(); s.Resting["sending"] != 1 {
		t.Errorf("a lost claim is not seen: %+v", s)
	}
	// A plan that lost half of itself does not add up.
	r.exec(`DELETE FROM message WHERE id = $1`, unknown)
	if s := r.watch(); s.Gap() != -1 {
		t.Errorf("gap = %d", s.Gap())
	}
}

// The count of all sends reads all: of a million it is made each third minute. What rests is looked for each time.
func TestManySendsAreCountedSeldom(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550101")
	p.send(p.request(text))
	r.admin(`UPDATE pg_class SET reltuples = 1000000 WHERE oid = 'sync.send_intent'::regclass`)
	for i, counted := range []bool{true, false, false, true} {
		s := r.watch()
		if (s.Sends != nil) != counted || len(s.Resting) != 3 {
			t.Errorf("watch %d: %+v, want all counted: %v", i, s, counted)
		}
	}
}

func TestVisibilityIsWatchedInBothLists(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	look := func(intent uuid.UUID) time.Duration {
		t.Helper()
		wait, err := r.reconcile.Visible(t.Context(), r.workspace, intent)
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	p := r.person("+12025550101")
	if wait := look(p.send(p.request(text)).Message); wait != 0 {
		t.Errorf("a visible message is looked for again in %s", wait)
	}
	for i, list := range []string{simulator.ExportList, simulator.ConversationList} {
		p := r.person("+1202555020" + string(rune('0'+i)))
		r.sim.AddFault(simulator.Fault{Match: simulator.SendsTo(p.contact), Kind: simulator.LaggingList, Variant: list, Delay: time.Hour, Times: 1})
		intent := p.send(p.request(text)).Message
		if wait := look(intent); wait <= 0 {
			t.Errorf("%s: a message that one list hides is taken for visible", list)
		}
		r.exec(`UPDATE send_intent SET state_time = state_time - interval '101 min' WHERE id = $1`, intent)
		if wait := look(intent); wait != 0 {
			t.Errorf("%s: looked for after the longest V", list)
		}
		r.clock.Advance(2 * time.Hour)
	}
	if wait := look(uuid.New()); wait != 0 {
		t.Errorf("a send that does not exist is looked for in %s", wait)
	}
}
