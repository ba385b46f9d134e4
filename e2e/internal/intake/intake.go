// Package intake proves that webhooks are neither lost nor applied twice: R10, R11 and R12 of docs/reliability.md.
package intake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/simulator"
)

const (
	place     = "locationIntake000001"
	people    = 50
	inFlight  = 16
	processed = 10 * time.Minute
)

// Config sizes a run.
type Config struct {
	Binary string
	// Events are sent by the provider. Seed fixes their order and repeats.
	Events int
	Seed   uint64
	// Outage is how long the database is away.
	Outage time.Duration
}

// rig is a gateway before one sync.
type rig struct {
	cfg      Config
	lab      *lab.Lab
	contacts []string
	url      string
	refused  atomic.Pointer[string] // a delivery that was not taken
}

func newRig(ctx context.Context, cfg Config, limits simulator.DeliveryLimits, env ...string) (*rig, error) {
	r := &rig{cfg: cfg}
	var err error
	r.lab, err = lab.New(ctx, lab.Options{
		Binary: cfg.Binary, Timing: lab.Production(), Simulator: simulator.Config{Delivery: limits}, Env: env,
	})
	if err != nil {
		return nil, err
	}
	if err := r.prepare(ctx); err != nil {
		return nil, errors.Join(err, r.lab.Close())
	}
	return r, nil
}

func (r *rig) prepare(ctx context.Context) error {
	replica, err := r.lab.Replica(ctx)
	if err != nil {
		return err
	}
	if err := replica.Up(ctx); err != nil {
		return err
	}
	admin, err := r.lab.Gateway(principal.Principal{Kind: principal.KindAdmin}, replica.Target)
	if err != nil {
		return err
	}
	defer admin.Close()
	contacts := make([]simulator.Contact, people)
	for i := range contacts {
		contacts[i] = simulator.Contact{ID: fmt.Sprintf("IntakeContact%07d", i), Phone: fmt.Sprintf("+1555%07d", i)}
		r.contacts = append(r.contacts, contacts[i].ID)
	}
	if _, err := r.lab.Tenant(ctx, admin, place, contacts); err != nil {
		return err
	}
	base, err := r.lab.GatewayProcess(ctx, replica.Target)
	r.url = base + "/api/webhooks/ghl"
	return err
}

// inbound makes the nth event: a reply of one of the people, every text twice so that equal texts are separate messages.
func (r *rig) inbound(n int) (simulator.Payload, error) {
	m, err := r.lab.AddInboundMessage(place, r.contacts[n%len(r.contacts)], simulator.SMS, fmt.Sprintf("Yes, number %d suits me", n/2))
	return m.Webhook, err
}

// settle waits until every stored webhook is done with, and counts what there is.
func (r *rig) settle(ctx context.Context) (inbox, messages int, err error) {
	deadline := time.Now().Add(processed)
	for {
		var waiting int
		err := r.lab.Admin.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE state = 'PENDING') FROM sync.webhook_inbox`).Scan(&inbox, &waiting)
		if err != nil {
			return 0, 0, fmt.Errorf("count webhooks: %w", err)
		}
		if waiting == 0 || time.Now().After(deadline) {
			break
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return 0, 0, err
		}
	}
	err = r.lab.Admin.QueryRow(ctx, `SELECT count(*) FROM sync.message WHERE direction = 'inbound'`).Scan(&messages)
	if err != nil {
		return 0, 0, fmt.Errorf("count messages: %w", err)
	}
	return inbox, messages, nil
}

// RunDisorder is R10: each event comes one to six times, in any order, some of them at once.
func RunDisorder(ctx context.Context, cfg Config, sheet *figure.Sheet) (err error) {
	r, err := newRig(ctx, cfg, simulator.DeliveryLimits{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.lab.Close()) }()
	rng := rand.New(rand.NewPCG(cfg.Seed, 10))
	var deliveries []simulator.Payload
	for n := range cfg.Events {
		event, err := r.inbound(n)
		if err != nil {
			return err
		}
		for range 1 + rng.IntN(6) {
			deliveries = append(deliveries, event)
		}
	}
	rng.Shuffle(len(deliveries), func(i, j int) { deliveries[i], deliveries[j] = deliveries[j], deliveries[i] })
	taken, err := r.deliver(ctx, deliveries, r.url)
	if err != nil {
		return err
	}
	r.noteRefused(sheet)
	inbox, messages, err := r.settle(ctx)
	if err != nil {
		return err
	}
	sheet.Must("webhook_deliveries_answered", taken, len(deliveries), "deliveries")
	sheet.Must("webhook_inbox_rows", inbox, cfg.Events, "rows")
	sheet.Must("webhook_effects", messages, cfg.Events, "messages")
	return nil
}

// deliver delivers as the provider does, several at once, and counts what was answered 200 in the end.
func (r *rig) deliver(ctx context.Context, list []simulator.Payload, url string) (int, error) {
	var taken atomic.Int64
	group, work := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	for _, p := range list {
		group.Go(func() error {
			d, err := r.lab.Deliver(work, url, p)
			if err != nil && work.Err() != nil {
				return err
			}
			if r.isTaken(d, err) {
				taken.Add(1)
			}
			return nil
		})
	}
	err := group.Wait()
	return int(taken.Load()), err
}

// isTaken keeps the first delivery that was not taken in the end, as an example.
func (r *rig) isTaken(d simulator.Delivery, err error) bool {
	if err == nil && d.OK() {
		return true
	}
	why := fmt.Sprintf("not taken, as one example: %d %v: %v", d.Status(), d.Attempts, err)
	r.refused.CompareAndSwap(nil, &why)
	return false
}

func (r *rig) noteRefused(sheet *figure.Sheet) {
	if why := r.refused.Load(); why != nil {
		sheet.Note(*why)
	}
}

// RunOutage is R11: the database goes away while webhooks come in. The provider delivers again only what was answered with
// 429; the control is the same run behind a proxy that turns 429 into the usual 503.
func RunOutage(ctx context.Context, cfg Config, sheet *figure.Sheet) (err error) {
	r, err := newRig(ctx, cfg, simulator.DeliveryLimits{Attempts: 6, MaxWait: cfg.Outage / 3})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.lab.Close()) }()
	usual := httptest.NewServer(http.HandlerFunc(r.usual))
	defer usual.Close()
	kept, err := r.outage(ctx, r.url)
	if err != nil {
		return err
	}
	inbox, messages, err := r.settle(ctx)
	if err != nil {
		return err
	}
	r.noteRefused(sheet)
	sheet.Zero("outage_not_taken", cfg.Events-kept, "webhooks", cfg.Events)
	sheet.Zero("outage_lost", cfg.Events-min(inbox, messages), "webhooks", cfg.Events)
	control, err := r.outage(ctx, usual.URL+"/api/webhooks/ghl")
	if err != nil {
		return err
	}
	sheet.Must("outage_control_lost_with_503", cfg.Events-control, cfg.Events, "webhooks")
	return nil
}

// outage takes the database away, lets the provider deliver, and brings it back before the provider gives up.
func (r *rig) outage(ctx context.Context, url string) (int, error) {
	var events []simulator.Payload
	for n := range r.cfg.Events {
		event, err := r.inbound(n)
		if err != nil {
			return 0, err
		}
		events = append(events, event)
	}
	r.lab.PG.Halt()
	var taken int
	group, work := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		taken, err = r.deliverSpread(work, events, url)
		return err
	})
	group.Go(func() error {
		if err := sleep(work, r.cfg.Outage); err != nil {
			return err
		}
		return r.lab.PG.Restart(work)
	})
	err := group.Wait()
	return taken, err
}

// deliverSpread starts the deliveries over the first third of the outage, so that all are tried in it.
func (r *rig) deliverSpread(ctx context.Context, list []simulator.Payload, url string) (int, error) {
	var taken atomic.Int64
	var group errgroup.Group
	gap := r.cfg.Outage / time.Duration(3*len(list))
	for _, p := range list {
		if err := sleep(ctx, gap); err != nil {
			break // the deliveries under way end with it
		}
		group.Go(func() error {
			if d, err := r.lab.Deliver(ctx, url, p); r.isTaken(d, err) {
				taken.Add(1)
			}
			return ctx.Err()
		})
	}
	err := group.Wait()
	return int(taken.Load()), err
}

// usual answers as most receivers do when they cannot store: 503.
func (r *rig) usual(w http.ResponseWriter, in *http.Request) {
	out, err := http.NewRequestWithContext(in.Context(), in.Method, r.url, in.Body)
	if err != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	out.Header = in.Header.Clone()
	resp, err := http.DefaultClient.Do(out)
	if err != nil {
		http.Error(w, "no answer", http.StatusServiceUnavailable)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusTooManyRequests {
		resp.StatusCode = http.StatusServiceUnavailable
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body) // a reader that left needs no more of it
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
