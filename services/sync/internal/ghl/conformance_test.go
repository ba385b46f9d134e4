package ghl_test

import (
	"context"
	"testing"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/provider/conformance"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/simulator"
)

const (
	location = "locationAcme0000001"
	token    = "pit-0123456789"
)

func TestSMSConforms(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(t *testing.T) conformance.Bench {
		return bench(t, sending.SMS, sending.Content{Body: "Hello"})
	})
}

func TestEmailConforms(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(t *testing.T) conformance.Bench {
		return bench(t, sending.Email, sending.Content{Subject: "Hi", Body: "Hello", HTML: "<p>Hello</p>"})
	})
}

func bench(t *testing.T, channel sending.Channel, content sending.Content) conformance.Bench {
	t.Helper()
	sim := simulator.New(simulator.Config{Now: clock.System().Now})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	url, err := sim.Start(ctx)
	t.Cleanup(func() { stop(); _ = sim.Close() })
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.AddLocation(simulator.Location{ID: location, Token: token}); err != nil {
		t.Fatal(err)
	}
	contact, err := sim.AddContact(location, simulator.Contact{Phone: "+12025550123", Email: "lead@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	client, away := newClient(t, url), newClient(t, "http://127.0.0.1:1")
	who := ghl.Account{Location: location, Token: token}
	return conformance.Bench{
		Client: client, Away: away, Account: who, Sim: sim, Sends: simulator.SendsTo(""),
		Message: ghl.Message{Channel: channel, ContactID: contact.ID, Content: content},
		Reason:  sending.DNDActive,
		Refuse: func() {
			if err := sim.SetDND(location, contact.ID, simulator.AllChannels, simulator.DNDActive); err != nil {
				t.Fatal(err)
			}
		},
		ReadBack: func(ctx context.Context) ([]string, error) {
			page, _, err := client.History(ctx, who, ghl.HistoryQuery{ContactID: contact.ID, Channel: channel})
			var ids []string
			for _, m := range page {
				if !m.Inbound {
					ids = append(ids, m.ID)
				}
			}
			return ids, err
		},
	}
}

func newClient(t *testing.T, url string) *ghl.Client {
	t.Helper()
	client, err := ghl.New(ghl.Config{BaseURL: url, Timeout: conformance.Timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}
