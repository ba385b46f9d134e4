package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/simulator"
)

// Webhooks compares the gateway's intake (verify, store, acknowledge) with a bare net/http handler that does one durable
// insert of the same bytes. Both are called over loopback by the same client.
type Webhooks struct {
	Binary string
	// PerRound webhooks are delivered in each of three rounds to each side.
	PerRound int

	lab    *lab.Lab
	naive  *pgxpool.Pool
	client *http.Client
	events []delivery
}

type delivery struct {
	raw       []byte
	signature string
}

// Run measures and prints.
func (b *Webhooks) Run(ctx context.Context, sheet *figure.Sheet) error {
	var err error
	if b.lab, err = lab.New(ctx, lab.Options{Binary: b.Binary, Timing: lab.Production()}); err != nil {
		return err
	}
	defer func() { _ = b.lab.Close() }()
	b.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: inFlight, MaxConnsPerHost: inFlight}}
	gateway, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	bare, stop, err := b.bare(ctx)
	if err != nil {
		return err
	}
	defer stop()
	var rates, naive, p50, p99, bareP99, applied []float64
	for round := range rounds + 1 {
		events := b.events[round*b.PerRound : (round+1)*b.PerRound]
		rate, latency, err := load(ctx, b.PerRound, func(ctx context.Context, n int) error { return b.post(ctx, bare, events[n]) })
		if err != nil {
			return err
		}
		// Effects are applied by jobs, later; here they begin when the intake was measured, so that one is not the other.
		if err := b.pause(ctx, true); err != nil {
			return err
		}
		own, ownLatency, err := load(ctx, b.PerRound, func(ctx context.Context, n int) error { return b.post(ctx, gateway, events[n]) })
		if err != nil {
			return err
		}
		if waiting, err := b.waiting(ctx); err != nil || waiting != b.PerRound {
			return fmt.Errorf("%d of %d effects wait: they were not held back: %w", waiting, b.PerRound, err)
		}
		if err := b.pause(ctx, false); err != nil {
			return err
		}
		began := time.Now()
		if err := b.processed(ctx); err != nil {
			return err
		}
		if round == 0 {
			if _, err := b.lab.Admin.Exec(ctx, `ANALYZE`); err != nil { // as autovacuum does in time
				return fmt.Errorf("analyze: %w", err)
			}
			continue // connections and caches are made
		}
		applied = append(applied, float64(b.PerRound)/time.Since(began).Seconds())
		naive, rates = append(naive, rate), append(rates, own)
		p50, p99 = append(p50, quantile(ownLatency, 0.5)), append(p99, quantile(ownLatency, 0.99))
		bareP99 = append(bareP99, quantile(latency, 0.99))
	}
	n := b.PerRound * rounds
	sheet.Value("webhooks_bare", median(naive), "per_second", n)
	sheet.Value("webhooks_bare_p99", median(bareP99), "ms", n)
	sheet.Value("webhooks", median(rates), "per_second", n)
	sheet.Value("webhooks_p50", median(p50), "ms", n)
	sheet.Value("webhooks_p99", median(p99), "ms", n)
	sheet.Value("webhook_effects", median(applied), "per_second", n)
	sheet.Value("webhooks_ratio", median(rates)/median(naive), "of_bare", n)
	return nil
}

// prepare starts sync and the gateway, makes people and writes the webhooks out.
func (b *Webhooks) prepare(ctx context.Context) (string, error) {
	replica, err := b.lab.Replica(ctx)
	if err != nil {
		return "", err
	}
	if err := replica.Up(ctx); err != nil {
		return "", err
	}
	admin, err := b.lab.Gateway(principal.Principal{Kind: principal.KindAdmin}, replica.Target)
	if err != nil {
		return "", err
	}
	defer admin.Close()
	contacts := make([]simulator.Contact, 500)
	for i := range contacts {
		contacts[i] = simulator.Contact{ID: fmt.Sprintf("BenchContact%08d", i), Phone: fmt.Sprintf("+1555%07d", i)}
	}
	if _, err := b.lab.Tenant(ctx, admin, place, contacts); err != nil {
		return "", err
	}
	for n := range b.PerRound * (rounds + 1) {
		message, err := b.lab.AddInboundMessage(place, contacts[n%len(contacts)].ID, simulator.SMS, text)
		if err != nil {
			return "", err
		}
		raw := message.Webhook.Raw()
		b.events = append(b.events, delivery{raw: raw, signature: b.lab.Sign(raw)})
	}
	gateway, err := b.lab.GatewayProcess(ctx, replica.Target)
	if err != nil {
		return "", err
	}
	return gateway + "/api/webhooks/ghl", nil
}

// bare serves the handler that does nothing but store.
func (b *Webhooks) bare(ctx context.Context) (string, func(), error) {
	cfg, err := pgxpool.ParseConfig(b.lab.PG.DSN("relance"))
	if err != nil {
		return "", nil, fmt.Errorf("bare handler: %w", err)
	}
	cfg.MaxConns = inFlight / 2
	if b.naive, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return "", nil, fmt.Errorf("bare handler: %w", err)
	}
	if _, err := b.naive.Exec(ctx, `CREATE TABLE public.bare_inbox (id uuid PRIMARY KEY, body bytea NOT NULL)`); err != nil {
		return "", nil, fmt.Errorf("bare handler: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("bare handler: %w", err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = b.naive.Exec(r.Context(), `INSERT INTO public.bare_inbox (id, body) VALUES ($1, $2)`, uuid.New(), body)
		}
		if err != nil {
			http.Error(w, "not stored", http.StatusTooManyRequests)
		}
	})}
	go func() { _ = server.Serve(listener) }() // ends with Close
	return "http://" + listener.Addr().String(), func() { _ = server.Close(); b.naive.Close() }, nil
}

func (b *Webhooks) post(ctx context.Context, url string, d delivery) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(d.raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(simulator.SignatureHeader, d.signature)
	resp, err := b.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("webhook: status %d: %s: %w", resp.StatusCode, answer, err)
	}
	return nil
}

// pause stops or lets go the queue of effects, and waits until the service has taken notice.
func (b *Webhooks) pause(ctx context.Context, on bool) error {
	_, err := b.lab.Admin.Exec(ctx, `UPDATE sync.river_queue SET paused_at = CASE WHEN $1 THEN now() END, updated_at = now() WHERE name = 'default'`, on)
	if err != nil {
		return fmt.Errorf("pause effects: %w", err)
	}
	action := "resume"
	if on {
		action = "pause"
	}
	_, err = b.lab.Admin.Exec(ctx, `SELECT pg_notify('sync.river_control', json_build_object('action', $1::text, 'queue', 'default')::text)`, action)
	if err != nil {
		return fmt.Errorf("pause effects: %w", err)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(500 * time.Millisecond):
		return nil
	}
}

// processed waits until the effects of what was stored are applied, so that rounds do not disturb each other.
func (b *Webhooks) processed(ctx context.Context) error {
	for {
		waiting, err := b.waiting(ctx)
		if err != nil || waiting == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (b *Webhooks) waiting(ctx context.Context) (n int, err error) {
	if err := b.lab.Admin.QueryRow(ctx, `SELECT count(*) FROM sync.webhook_inbox WHERE state = 'PENDING'`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count waiting webhooks: %w", err)
	}
	return n, nil
}
