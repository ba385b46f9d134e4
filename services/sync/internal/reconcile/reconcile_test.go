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

func TestTwoMessagesAreADuplicateThatIsSeen(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550123")
	intent := p.lost(p.request(text), simulator.Fault{Kind: simulator.AcceptThenReset})
	first := r.sim.Accepted(simulator.Filter{Contact: p.contact})[0].MessageID
	if _, err := r.sim.AddHistory(location, p.contact, simulator.HistoryMessage{Body: text, Source: "api", At: r.clock.Now().Add(time.Second)}); err != nil {
		t.Fatal(err)
	}
	r.looksUntil(intent, 30*time.Second)
	row := r.is(intent, sending.Accepted, "")
	if !row.DuplicateSuspected || *row.ProviderMessageID != first {
		t.Errorf("row = %+v", row)
	}
	if n := r.count(`SELECT count(*) FROM send_look WHERE rule = 'T12' AND cardinality(candidates) = 2`); n != 1 {
		t.Errorf("%d looks with two candidates", n)
	}
}

func TestOtherWordsNeedEyes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	gone := simulator.Fault{Kind: simulator.EmptyTwoHundred, NotTaken: true}
	cases := []struct {
		name    string
		message simulator.HistoryMessage
		state   sending.State
		reason  sending.Reason
	}{
		{"an API message with other words", simulator.HistoryMessage{Body: "Something else", Source: "api"}, sending.Parked, sending.SendNeedsEyes},
		{"our words from a person's hand", simulator.HistoryMessage{Body: text, Source: "app"}, sending.Parked, sending.SendNeedsEyes},
		// Controls.
		{"other words from a person's hand", simulator.HistoryMessage{Body: "Something else", Source: "app"}, sending.Retryable, ""},
		{"the same before the claim", simulator.HistoryMessage{Body: text, Source: "api", At: r.clock.Now().Add(-3 * time.Minute)}, sending.Retryable, ""},
		{"the same from the lead", simulator.HistoryMessage{Body: text, Direction: simulator.Inbound}, sending.Retryable, ""},
		{"an opt-out line appended", simulator.HistoryMessage{Body: text + "\nReply STOP to opt out.", Source: "api"}, sending.Accepted, ""},
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := r.person(fmt.Sprintf("+120255501%02d", i))
			intent := p.lost(p.request(text), gone)
			if _, err := r.sim.AddHistory(location, p.contact, c.message); err != nil {
				t.Fatal(err)
			}
			r.looksUntil(intent, 15*time.Minute)
			r.is(intent, c.state, c.reason)
			if p.posts() != 1 {
				t.Errorf("posts = %d", p.posts())
			}
		})
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

func TestEmailIsKnownByItsMarker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("+12025550123")
	request := p.request("")
	request.Channel = sending.Email
	request.Content = sending.Content{Subject: "Hello", HTML: "<p>Hi</p>"}
	r.sim.AddFault(simulator.Fault{
		Match: simulator.SendsTo(p.contact), Kind: simulator.BodyRewritten, Body: "<p>Everything else was rewritten, at some length, by the provider.</p>", Times: 1,
	})
	intent := p.send(request).Message
	r.forget(intent)
	r.looksUntil(intent, 30*time.Second)
	r.is(intent, sending.Accepted, "")
	if p.posts() != 1 {
		t.Errorf("posts = %d", p.posts())
	}
}
