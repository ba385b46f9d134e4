// Package mailtest makes the bench of an email sender for the conformance suite. It is for tests only.
package mailtest

import (
	"context"
	"testing"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/provider/conformance"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/webhook"
	"github.com/relance/relance/simulator"
)

// Key opens the accounts of the bench, Lead is who wrote.
const (
	Key  = "key-0123456789"
	Lead = "lead@example.com"
)

// Bench is a sender whose lead has answered, with clients that make makes for base URLs of the simulator's.
func Bench(t *testing.T, kind provider.Kind, open func(t *testing.T, url string) provider.Mail) conformance.Bench {
	t.Helper()
	sim := simulator.New(simulator.Config{Now: clock.System().Now})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	url, err := sim.Start(ctx)
	t.Cleanup(func() { stop(); _ = sim.Close() })
	if err != nil {
		t.Fatal(err)
	}
	sender := simulator.MailSender(kind)
	if err := sim.AddMailAccount(simulator.MailAccount{Sender: sender, Key: Key}); err != nil {
		t.Fatal(err)
	}
	hook, err := sim.AddMailReply(sender, Lead, "Tell me more")
	if err != nil {
		t.Fatal(err)
	}
	event, err := webhook.Parse(webhook.Delivery{Source: webhook.Source(kind), Body: hook.Raw()})
	if err != nil || !event.Target.Usable(string(kind)) {
		t.Fatalf("target = %+v, %v", event.Target, err)
	}
	who := provider.Account{Kind: kind, BaseURL: url, Location: "test", Token: redact.Secret(Key)}
	client, away := open(t, url), open(t, "http://127.0.0.1:1")
	b := conformance.Bench{
		Client: client, Away: awayFrom{away}, Account: who, Sim: sim, Sends: simulator.MailSends(sender), Reason: sending.OptedOut,
		Message: provider.Message{
			Channel: sending.Email, Target: event.Target, Content: sending.Content{Subject: "Re: An idea", HTML: "<p>Gladly</p>", Body: "Gladly"},
		},
		Refuse: func() {
			if err := sim.UnsubscribeMail(sender, Lead); err != nil {
				t.Fatal(err)
			}
		},
	}
	b.ReadBack = func(ctx context.Context) ([]string, error) { return ReadBack(ctx, client, who, event.Target) }
	return b
}

// ReadBack lists all that a sender shows as sent outside of campaigns.
func ReadBack(ctx context.Context, client provider.Mail, who provider.Account, target sending.Target) ([]string, error) {
	var ids []string
	q := provider.SentQuery{Target: target}
	for {
		page, next, err := client.Sent(ctx, who, q)
		if err != nil {
			return nil, err
		}
		for _, m := range page {
			if !m.Campaign {
				ids = append(ids, m.ID)
			}
		}
		if next == "" {
			return ids, nil
		}
		q.Cursor = next
	}
}

// awayFrom calls an instance where nothing listens, also when the account names its host.
type awayFrom struct{ provider.Sender }

// Send sends to nobody.
func (a awayFrom) Send(ctx context.Context, who provider.Account, m provider.Message) provider.Result {
	who.BaseURL = "http://127.0.0.1:1"
	return a.Sender.Send(ctx, who, m)
}
