package reconcile_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/simulator"
)

// How sure a look can be of what the lists show: lists that lag, fail, stop half-way, or may not be read now.

func TestOneListMayLag(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i, list := range []string{simulator.ExportList, simulator.ConversationList} {
		p := r.person(fmt.Sprintf("+120255501%02d", i))
		r.sim.AddFault(simulator.Fault{Match: simulator.SendsTo(p.contact), Kind: simulator.LaggingList, Variant: list, Delay: time.Hour, Times: 1})
		out := p.send(p.request(text))
		r.forget(out.Message)
		r.looksUntil(out.Message, 30*time.Second)
		r.is(out.Message, sending.Accepted, "")
		if p.posts() != 1 {
			t.Errorf("%s: posts = %d", list, p.posts())
		}
	}
}

// forget makes an accepted send one whose answer was never stored, as a crash before that commit leaves it.
func (r *rig) forget(intent uuid.UUID) {
	r.Helper()
	r.admin(`ALTER TABLE sync.send_intent DISABLE TRIGGER send_intent_guard`)
	r.exec(`UPDATE send_intent SET state = 'UNKNOWN', provider_message_id = NULL, conversation_id = NULL, next_look = intent_at + interval '30 s' WHERE id = $1`, intent)
	r.admin(`ALTER TABLE sync.send_intent ENABLE TRIGGER send_intent_guard`)
	r.exec(`UPDATE message SET provider_message_id = NULL WHERE id = $1`, intent)
}

func TestALateMessageStopsTheSecondCall(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550123")
	r.sim.AddFault(simulator.Fault{Match: simulator.SendsTo(p.contact), Kind: simulator.LaggingList, Delay: time.Hour, Times: 1})
	intent := p.send(p.request(text)).Message
	r.forget(intent)
	r.looksUntil(intent, 15*time.Minute)
	r.is(intent, sending.Retryable, "") // V does not hold here: an hour instead of ten minutes
	r.clock.Advance(time.Hour)
	r.jobs(intent)
	row := r.is(intent, sending.Accepted, "")
	if p.posts() != 1 || row.Attempt != 2 || row.DuplicateSuspected {
		t.Errorf("posts %d, row %+v", p.posts(), row)
	}
}

func TestAFailedReadIsNotAbsence(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	faults := []simulator.Fault{
		{Kind: simulator.Status5xxClean},
		{Kind: simulator.MalformedBody, Variant: simulator.CutJSON},
		{Kind: simulator.MalformedBody, Variant: simulator.WrongTypes},
		{Kind: simulator.MalformedBody, NotTaken: true, Variant: simulator.NoMessageID}, // 200 without a list
		{Kind: simulator.EmptyTwoHundred},
		{Kind: simulator.Status429},
		{Kind: simulator.AcceptThenReset},
	}
	for i, f := range faults {
		p := r.person(fmt.Sprintf("+120255501%02d", i))
		intent := p.lost(p.request(text), simulator.Fault{Kind: simulator.EmptyTwoHundred, NotTaken: true})
		f.Match = simulator.Match{Method: "GET", Contact: p.contact}
		handle := r.sim.AddFault(f)
		r.looksUntil(intent, 15*time.Minute)
		row := r.is(intent, sending.Unknown, "")
		if row.Looks != 0 || row.FailedLooks != 4 {
			t.Errorf("%s %s: looks %d, failed %d", f.Kind, f.Variant, row.Looks, row.FailedLooks)
		}
		handle.Remove()
		// Once the provider can be read, it takes three looks again.
		for range 3 {
			r.is(intent, sending.Unknown, "")
			r.age(intent, 30*time.Second)
			r.tick()
		}
		r.is(intent, sending.Retryable, "")
	}
}

func TestAnUnreadableProviderParksInTheEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550123")
	intent := p.lost(p.request(text), simulator.Fault{Kind: simulator.EmptyTwoHundred, NotTaken: true})
	r.sim.AddFault(simulator.Fault{Match: simulator.Match{Method: "GET"}, Kind: simulator.Status5xxClean})
	r.looksUntil(intent, 15*time.Minute)
	r.is(intent, sending.Unknown, "")
	r.age(intent, 10*time.Minute)
	r.tick()
	r.is(intent, sending.Parked, sending.SendAmbiguous)
}

func TestAPartialReadIsNotAbsence(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550123")
	intent := p.lost(p.request(text), simulator.Fault{Kind: simulator.EmptyTwoHundred, NotTaken: true})
	r.sim.AddFault(simulator.Fault{
		Match: simulator.Match{Method: "GET", Path: "/conversations/messages/export"}, Kind: simulator.MalformedBody, Variant: simulator.CursorLoop,
	})
	r.looksUntil(intent, 15*time.Minute)
	if row := r.is(intent, sending.Unknown, ""); row.Looks != 0 || row.FailedLooks != 4 {
		t.Errorf("looks %d, failed %d", row.Looks, row.FailedLooks)
	}
}

func TestFoundOnALaterPage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550123")
	intent := p.lost(p.request(text), simulator.Fault{Kind: simulator.AcceptThenReset})
	for i := range 250 {
		at := r.clock.Now().Add(time.Duration(i+1) * time.Second)
		if _, err := r.sim.AddHistory(location, p.contact, simulator.HistoryMessage{Body: fmt.Sprint("m", i), Source: "workflow", At: at}); err != nil {
			t.Fatal(err)
		}
	}
	r.looksUntil(intent, 30*time.Second)
	r.is(intent, sending.Accepted, "")
}

func TestTheBudgetPostponesALook(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550123")
	intent := p.lost(p.request(text), simulator.Fault{Kind: simulator.AcceptThenReset})
	r.budget.shut.Store(true)
	r.looksUntil(intent, 30*time.Second)
	if row := r.is(intent, sending.Unknown, ""); row.Looks+row.FailedLooks != 0 {
		t.Errorf("a look that was not made counts: %+v", row)
	}
	if n := r.tick(); n != 0 {
		t.Errorf("%d looks while the budget is used up", n)
	}
	r.budget.shut.Store(false)
	r.age(intent, time.Minute)
	r.tick()
	r.is(intent, sending.Accepted, "")
}
