package reconcile_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/simulator"
)

// Which of the messages in the lists is ours.

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
