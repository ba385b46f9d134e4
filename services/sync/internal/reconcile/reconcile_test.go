package reconcile_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/simulator"
)

const text = "Hi Ann, is Tuesday at 10 still good for you?"

// looksUntil makes the looks at the ages of the protocol and tells how many were made.
func (r *rig) looksUntil(intent uuid.UUID, age time.Duration) (looks int) {
	r.Helper()
	passed := time.Duration(0)
	for _, at := range r.timing.Looks() {
		if at > age {
			break
		}
		r.age(intent, at-passed)
		passed = at
		looks += r.tick()
	}
	return looks
}

func TestAFoundMessageIsClaimed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i, kind := range []simulator.FaultKind{simulator.AcceptThenReset, simulator.Status5xxAfterAccept, simulator.EmptyTwoHundred, simulator.LateAccept} {
		t.Run(string(kind), func(t *testing.T) {
			p := r.person(fmt.Sprintf("+120255501%02d", i))
			intent := p.lost(p.request(text), simulator.Fault{Kind: kind, Delay: time.Millisecond})
			if n := r.tick(); n != 0 {
				t.Errorf("%d looks before the first is due", n)
			}
			if n := r.looksUntil(intent, 30*time.Second); n != 1 {
				t.Errorf("%d looks, want 1", n)
			}
			row := r.is(intent, sending.Accepted, "")
			if id := r.sim.Accepted(simulator.Filter{Contact: p.contact})[0].MessageID; *row.ProviderMessageID != id {
				t.Errorf("claimed %s, want %s", *row.ProviderMessageID, id)
			}
			if p.posts() != 1 || r.events(intent, "ACCEPTED") != 1 {
				t.Errorf("posts %d, events %d", p.posts(), r.events(intent, "ACCEPTED"))
			}
			if n := r.count(`SELECT count(*) FROM send_look WHERE intent_id = $1 AND rule = 'T11' AND result = 'found'`, intent); n != 1 {
				t.Errorf("%d looks recorded", n)
			}
			// The lead's channel is free again.
			if out := p.send(p.request("Next")); out.State != sending.Accepted {
				t.Errorf("next = %+v", out)
			}
		})
	}
}

func TestAnAbsentMessageIsSentOnceMore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550123")
	request := p.request(text)
	intent := p.lost(request, simulator.Fault{Kind: simulator.EmptyTwoHundred, NotTaken: true})
	// Before S nothing is decided, however often it is looked for.
	if n := r.looksUntil(intent, 5*time.Minute); n != 3 {
		t.Errorf("%d looks, want 3", n)
	}
	if row := r.is(intent, sending.Unknown, ""); row.Looks != 3 {
		t.Errorf("looks = %d", row.Looks)
	}
	// The margin is above what a busy machine takes: the protocol's time is the database's.
	r.age(intent, 10*time.Minute-2*time.Minute)
	r.exec(`UPDATE send_intent SET next_look = now() WHERE id = $1`, intent)
	r.tick()
	r.is(intent, sending.Unknown, "")
	r.age(intent, 2*time.Minute)
	r.tick()
	if row := r.is(intent, sending.Retryable, ""); row.Ambiguous != 1 {
		t.Errorf("ambiguous = %d", row.Ambiguous)
	}
	reads := r.budget.reads.Load()
	r.jobs(intent)
	r.is(intent, sending.Accepted, "")
	if r.budget.reads.Load() == reads {
		t.Error("no look in the claim path")
	}
	if p.posts() != 2 || p.accepted() != 1 || r.events(intent, "ACCEPTED") != 1 {
		t.Errorf("posts %d, accepted %d, events %d", p.posts(), p.accepted(), r.events(intent, "ACCEPTED"))
	}
	// Asked again, it is the same message.
	if out := p.send(request); out.Message != intent || out.State != sending.Accepted {
		t.Errorf("again = %+v", out)
	}
}

// A last look that cannot see the lists is no try of the send: it must not use up the tries.
func TestABlindLastLookIsNoFailure(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	again := func(phone string) (person, uuid.UUID, *simulator.FaultHandle) {
		p := r.person(phone)
		intent := p.lost(p.request(text), simulator.Fault{Kind: simulator.EmptyTwoHundred, NotTaken: true})
		r.looksUntil(intent, 15*time.Minute)
		r.is(intent, sending.Retryable, "")
		return p, intent, r.sim.AddFault(simulator.Fault{Match: simulator.Match{Method: "GET", Contact: p.contact}, Kind: simulator.Status5xxClean})
	}
	healed, first, fault := again("+12025550123")
	for range 8 { // the limit of failures is 5
		r.jobs(first)
		row := r.is(first, sending.Retryable, sending.ProviderUnavailable)
		if row.Failures != 0 {
			t.Fatalf("failures = %d after attempt %d", row.Failures, row.Attempt)
		}
		r.clock.Advance(31 * time.Minute)
	}
	fault.Remove()
	r.jobs(first)
	r.is(first, sending.Accepted, "")
	if healed.posts() != 2 || healed.accepted() != 1 {
		t.Errorf("posts %d, accepted %d", healed.posts(), healed.accepted())
	}
	r.clock.Advance(20 * time.Hour) // to the next morning
	// Nothing rests: when the lists stay dark, a person looks, and evidence may still settle it.
	dark, second, _ := again("+12025550124")
	for range 50 { // the night lies between
		r.jobs(second)
		r.clock.Advance(31 * time.Minute)
	}
	r.is(second, sending.Parked, sending.SendAmbiguous)
	if dark.posts() != 1 {
		t.Errorf("posts = %d", dark.posts())
	}
}

func TestASecondUnknownIsParked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550123")
	gone := simulator.Fault{Kind: simulator.EmptyTwoHundred, NotTaken: true}
	intent := p.lost(p.request(text), gone)
	r.looksUntil(intent, 15*time.Minute)
	r.is(intent, sending.Retryable, "")
	gone.Match, gone.Times = simulator.SendsTo(p.contact), 1
	r.sim.AddFault(gone)
	r.jobs(intent)
	r.is(intent, sending.Unknown, "")
	r.looksUntil(intent, 15*time.Minute)
	r.is(intent, sending.Parked, sending.SendAmbiguous)
	if p.posts() != 2 || p.accepted() != 0 || r.events(intent, "SEND_AMBIGUOUS") != 1 {
		t.Errorf("posts %d, accepted %d, events %d", p.posts(), p.accepted(), r.events(intent, "SEND_AMBIGUOUS"))
	}
}

func TestHoldIsNeverSentAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550123")
	request := p.request(text)
	request.Policy = sending.Hold
	intent := p.lost(request, simulator.Fault{Kind: simulator.EmptyTwoHundred, NotTaken: true})
	r.looksUntil(intent, 15*time.Minute)
	r.is(intent, sending.Parked, sending.SendAmbiguous)
	r.jobs(intent)
	r.clock.Advance(48 * time.Hour)
	r.jobs(intent)
	if p.posts() != 1 {
		t.Errorf("posts = %d", p.posts())
	}
	// The channel is not blocked by a parked message.
	if out := p.send(p.request("Next")); out.State != sending.Accepted {
		t.Errorf("next = %+v", out)
	}
}

func TestAnExpiredSendIsNotSentAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550123")
	request := p.request(text)
	expire := r.clock.Now().Add(time.Minute)
	request.Expire = &expire
	intent := p.lost(request, simulator.Fault{Kind: simulator.EmptyTwoHundred, NotTaken: true})
	r.clock.Advance(2 * time.Minute)
	r.looksUntil(intent, 15*time.Minute)
	r.is(intent, sending.Parked, sending.SendAmbiguous)
	if p.posts() != 1 {
		t.Errorf("posts = %d", p.posts())
	}
}

func TestAClaimWhoseHolderIsGoneBecomesUnknown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550123")
	request := p.request(text)
	r.stopped.Store(true)
	intent := p.send(request).Message
	r.stopped.Store(false)
	// A claim that was committed and never written, as a kill at that point leaves it.
	r.exec(`UPDATE send_intent SET state = 'SENDING', attempt = 1, intent_at = now(), claim_from = $2, claim_time = $2,
		lease_until = now() + interval '30 s' WHERE id = $1`, intent, r.clock.Now())
	r.tick()
	r.is(intent, sending.Sending, "")
	r.age(intent, 31*time.Second)
	r.tick()
	r.is(intent, sending.Unknown, "")
	r.looksUntil(intent, 15*time.Minute)
	r.is(intent, sending.Retryable, "")
	r.jobs(intent)
	r.is(intent, sending.Accepted, "")
	if p.posts() != 1 {
		t.Errorf("posts = %d", p.posts())
	}
}

func TestReconcilersShareTheWork(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const sends = 12
	var intents []uuid.UUID
	for i := range sends {
		p := r.person(fmt.Sprintf("+120255501%02d", i))
		fault := simulator.Fault{Kind: simulator.AcceptThenReset}
		if i%2 == 0 {
			fault = simulator.Fault{Kind: simulator.EmptyTwoHundred, NotTaken: true}
		}
		intents = append(intents, p.lost(p.request(text), fault))
	}
	looks, passed := 0, time.Duration(0)
	for _, at := range r.timing.Looks() {
		for _, intent := range intents {
			r.age(intent, at-passed)
		}
		passed = at
		var wait sync.WaitGroup
		counts := make([]int, 3)
		for i := range counts {
			replica := r.newReconciler()
			wait.Go(func() {
				n, err := replica.Tick(t.Context())
				if err != nil {
					t.Error(err)
				}
				counts[i] = n
			})
		}
		wait.Wait()
		looks += counts[0] + counts[1] + counts[2]
	}
	// Each replica passes over what another has taken: sends found at the first look have one, the others four.
	if want := sends/2 + sends/2*4; looks != want || r.count(`SELECT count(*) FROM send_look`) != want {
		t.Errorf("%d looks, want %d", looks, want)
	}
	for i, intent := range intents {
		state := sending.Accepted
		if i%2 == 0 {
			state = sending.Retryable
		}
		r.is(intent, state, "")
	}
}
