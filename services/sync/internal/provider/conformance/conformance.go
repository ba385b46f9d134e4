// Package conformance is the suite that every provider's client passes against its simulator: what the send protocol relies
// on (docs/send-protocol.md, §3.5 and §3.6), whatever the provider. It is for tests only.
package conformance

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/simulator"
)

// Timeout is what clients under test are made with: longer than any answer that is meant to arrive.
const Timeout = 6 * time.Second

// Bench is one provider with a fresh world.
type Bench struct {
	// Client is under test; Away is the same kind of client, pointed at a port where nothing listens.
	Client, Away provider.Sender
	// Account and Message make a send that the provider takes.
	Account provider.Account
	Message provider.Message
	// Sim is the world, Sends matches the send endpoint in it.
	Sim   *simulator.Simulator
	Sends simulator.Match
	// Refuse makes the provider refuse the message for good, as Reason.
	Refuse func()
	Reason sending.Reason
	// Nameless is true for a provider that accepts without an id: its sends are known by reading back.
	Nameless bool
	// ReadBack lists the ids of the messages that the provider shows as sent to the recipient.
	ReadBack func(ctx context.Context) ([]string, error)
}

// Run runs the suite. make is called once for each case.
func Run(t *testing.T, open func(t *testing.T) Bench) {
	t.Helper()
	for name, check := range map[string]func(*testing.T, Bench){
		"accepted": accepted, "refused for good": refused, "provably not sent": notSent, "rate limited": rateLimited,
		"rate limited, no headers": rateLimitedBare, "key refused": unauthorized, "slow body": slowBody,
		"redirect not followed": redirect, "big answer capped": bigAnswer, "no retry, no idempotency key": plain,
		"caller's cancellation does not cut a send": uncut,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, open(t))
		})
	}
	for _, fault := range lost() {
		t.Run("unknown and found once: "+string(fault.Kind)+fault.Variant, func(t *testing.T) {
			t.Parallel()
			unknown(t, open(t), fault)
		})
	}
}

// lost are the ways in which an accepted send's answer does not come back.
func lost() []simulator.Fault {
	return []simulator.Fault{
		{Kind: simulator.AcceptThenReset},
		{Kind: simulator.AcceptThenHang, Delay: 2 * Timeout},
		{Kind: simulator.Status5xxAfterAccept},
		{Kind: simulator.EmptyTwoHundred},
		{Kind: simulator.MalformedBody, Variant: simulator.CutJSON},
		{Kind: simulator.MalformedBody, Variant: simulator.HTML},
		{Kind: simulator.MalformedBody, Variant: simulator.WrongTypes},
		{Kind: simulator.MalformedBody, Variant: simulator.InvalidUTF8},
	}
}

// send sends once and checks what holds for every send: one POST at most.
func (b Bench) send(t *testing.T) classify.Verdict {
	t.Helper()
	before := len(b.Sim.Sends(simulator.Filter{}))
	out := b.Client.Send(t.Context(), b.Account, b.Message)
	if posts := len(b.Sim.Sends(simulator.Filter{})) - before; posts != 1 {
		t.Errorf("POSTs = %d, want 1", posts)
	}
	return classify.Classify(out.Evidence)
}

func (b Bench) takenOnce(t *testing.T, want int) {
	t.Helper()
	if got := len(b.Sim.Accepted(simulator.Filter{})); got != want {
		t.Errorf("accepted = %d, want %d", got, want)
	}
	found, err := b.ReadBack(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != want {
		t.Errorf("read back %d messages, want %d", len(found), want)
	}
	if want == 1 && len(found) == 1 && found[0] != b.Sim.Accepted(simulator.Filter{})[0].MessageID {
		t.Errorf("read back %q, the provider accepted another", found[0])
	}
}

func (b Bench) fault(f simulator.Fault) {
	f.Match = b.Sends
	b.Sim.AddFault(f)
}

func accepted(t *testing.T, b Bench) {
	b.acceptedAs(t, b.send(t))
	b.takenOnce(t, 1)
}

// acceptedAs: the provider's id is given with the acceptance, or nothing is claimed.
func (b Bench) acceptedAs(t *testing.T, v classify.Verdict) {
	t.Helper()
	want := classify.Verdict{Class: classify.Accepted, MessageID: b.Sim.Accepted(simulator.Filter{})[0].MessageID}
	if b.Nameless {
		want = classify.Verdict{Class: classify.Unknown}
	}
	if v.Class != want.Class || v.MessageID != want.MessageID {
		t.Errorf("verdict = %+v, want %+v", v, want)
	}
}

func refused(t *testing.T, b Bench) {
	b.Refuse()
	if v := b.send(t); v.Class != classify.Refused || v.Refusal.Reason != b.Reason {
		t.Errorf("verdict = %+v", v)
	}
	b.takenOnce(t, 0)
}

func notSent(t *testing.T, b Bench) {
	out := b.Away.Send(t.Context(), b.Account, b.Message)
	v := classify.Classify(out.Evidence)
	if !out.Evidence.NotSent || out.Wrote || v.Class != classify.Retryable || v.Refusal.Reason != sending.ProviderUnavailable {
		t.Errorf("evidence %+v, verdict %+v", out.Evidence, v)
	}
}

func rateLimited(t *testing.T, b Bench) {
	b.fault(simulator.Fault{Kind: simulator.Status429, RetryAfter: "30"})
	if v := b.send(t); v.Class != classify.Retryable || v.Refusal.Reason != sending.ProviderRateLimited || v.Wait < 30*time.Second {
		t.Errorf("verdict = %+v", v)
	}
	b.takenOnce(t, 0)
}

// rateLimitedBare: a 429 without its headers may be somebody's in between. A provider that documents none is known by its words.
func rateLimitedBare(t *testing.T, b Bench) {
	b.fault(simulator.Fault{Kind: simulator.Status429, NoRateHeaders: true})
	want := classify.Unknown
	if b.Account.Kind.Mail() {
		want = classify.Retryable
	}
	if v := b.send(t); v.Class != want {
		t.Errorf("verdict = %+v, want %s", v, want)
	}
	b.takenOnce(t, 0)
}

func unauthorized(t *testing.T, b Bench) {
	b.fault(simulator.Fault{Kind: simulator.Unauthorized})
	v := b.send(t)
	if v.Class != classify.Suspended || v.Refusal.Reason != sending.ProviderAuthRevoked {
		t.Errorf("verdict = %+v", v)
	}
	if want := cmp.Or(string(b.Account.Kind), string(provider.GHL)); v.Refusal.Meta["provider"] != want {
		t.Errorf("provider = %q, want %q", v.Refusal.Meta["provider"], want)
	}
	b.takenOnce(t, 0)
}

// slowBody: an answer that does not end in time says nothing.
func slowBody(t *testing.T, b Bench) {
	unknown(t, b, simulator.Fault{Kind: simulator.SlowBody, Delay: 2 * Timeout})
}

func unknown(t *testing.T, b Bench, f simulator.Fault) {
	b.fault(f)
	if v := b.send(t); v.Class != classify.Unknown {
		t.Errorf("verdict = %+v", v)
	}
	b.takenOnce(t, 1)
}

func redirect(t *testing.T, b Bench) {
	b.fault(simulator.Fault{Kind: simulator.Redirect})
	if v := b.send(t); v.Class != classify.Unknown {
		t.Errorf("verdict = %+v", v)
	}
	for _, e := range b.Sim.Ledger() {
		if strings.Contains(e.Path, "followed") {
			t.Error("the redirect was followed")
		}
	}
}

func bigAnswer(t *testing.T, b Bench) {
	b.fault(simulator.Fault{Kind: simulator.MalformedBody, Variant: simulator.Huge})
	out := b.Client.Send(t.Context(), b.Account, b.Message)
	if v := classify.Classify(out.Evidence); v.Class != classify.Unknown || len(out.Evidence.Body) > 1<<20 {
		t.Errorf("verdict %+v, %d bytes kept", v, len(out.Evidence.Body))
	}
	b.takenOnce(t, 1)
}

func plain(t *testing.T, b Bench) {
	b.fault(simulator.Fault{Kind: simulator.Status5xxClean})
	if v := b.send(t); v.Class != classify.Unknown {
		t.Errorf("a 5xx says nothing about the message: %+v", v)
	}
	sends := b.Sim.Sends(simulator.Filter{})
	if len(sends) != 1 || sends[0].Method != http.MethodPost {
		t.Fatalf("sends = %+v", sends)
	}
	if slices.ContainsFunc(sends[0].HeaderNames, func(name string) bool { return strings.Contains(strings.ToLower(name), "idempotency") }) {
		t.Errorf("headers = %v", sends[0].HeaderNames)
	}
}

func uncut(t *testing.T, b Bench) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.acceptedAs(t, classify.Classify(b.Client.Send(ctx, b.Account, b.Message).Evidence))
	b.takenOnce(t, 1)
}
