package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/simulator"
)

// Webhooks compares the gateway's intake (verify, store, acknowledge) with a bare net/http handler that does one durable
// insert of the same bytes, and with that insert behind the same two doors: a handler that checks the signature and makes one
// bare gRPC call over mutual TLS. All are called over loopback by the same client.
type Webhooks struct {
	Binary string
	// PerRound webhooks are delivered in each of three rounds to each side.
	PerRound int

	lab    *lab.Lab
	client *http.Client
	events []delivery
	// workspace is the id of the one whose webhooks they are.
	workspace string
	sync      *lab.Replica
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
	bare, err := openBare(ctx, b.lab)
	if err != nil {
		return err
	}
	defer bare.close()
	var out webhookFigures
	for round := range rounds + 1 {
		if err := b.round(ctx, b.events[round*b.PerRound:(round+1)*b.PerRound], [3]string{bare.url, bare.doors, gateway}, &out); err != nil {
			return err
		}
		if round > 0 {
			continue
		}
		if err := idle(ctx, b.lab); err != nil {
			return err
		}
		// Connections and caches are made: what was measured until here does not count.
		out = webhookFigures{}
		if err := b.watch(&out); err != nil {
			return err
		}
		if _, err := b.lab.Admin.Exec(ctx, `ANALYZE`); err != nil { // as autovacuum does in time
			return fmt.Errorf("analyze: %w", err)
		}
	}
	out.print(sheet, b.PerRound*rounds)
	return nil
}

// webhookFigures are what the rounds brought, one value a round.
type webhookFigures struct {
	bare, doors, rate, p50, p99, bareP99, doorsP99, applied, batch []float64
	// bareTook and took are how long the rounds lasted.
	bareTook, took time.Duration
	// bareWork, doorsWork, intake and effects are the processor time of all who take part, the client among them; nil in the first
	// round.
	bareWork, doorsWork, intake, effects *stopwatch
}

func (f *webhookFigures) print(sheet *figure.Sheet, n int) {
	sheet.Value("webhooks_bare", median(f.bare), "per_second", n)
	sheet.Value("webhooks_bare_p99", median(f.bareP99), "ms", n)
	sheet.Value("webhooks_doors", median(f.doors), "per_second", n)
	sheet.Value("webhooks_doors_p99", median(f.doorsP99), "ms", n)
	sheet.Value("webhooks", median(f.rate), "per_second", n)
	sheet.Value("webhooks_p50", median(f.p50), "ms", n)
	sheet.Value("webhooks_p99", median(f.p99), "ms", n)
	sheet.Value("webhooks_batch", median(f.batch), "each_commit", n)
	f.bareWork.each(n, func(name string, us float64) { sheet.Value("webhooks_bare_cpu_"+name, us, "us_each", n) })
	f.doorsWork.each(n, func(name string, us float64) { sheet.Value("webhooks_doors_cpu_"+name, us, "us_each", n) })
	f.intake.each(n, func(name string, us float64) { sheet.Value("webhooks_cpu_"+name, us, "us_each", n) })
	sheet.Value("webhook_effects", median(f.applied), "per_second", n)
	f.effects.each(n, func(name string, us float64) { sheet.Value("webhook_effects_cpu_"+name, us, "us_each", n) })
	// How much of the machine is at work: what is missing to 1 on a machine with nothing else to do is waiting.
	sheet.Value("webhooks_bare_busy", busy(f.bareWork, f.bareTook), "of_machine", n)
	sheet.Value("webhooks_busy", busy(f.intake, f.took), "of_machine", n)
	// What the rates' ratios are on a machine with nothing else to do.
	bare, doors, intake := float64(f.bareWork.total()), float64(f.doorsWork.total()), float64(f.intake.total())
	sheet.Value("webhooks_doors_cpu_ratio", bare/doors, "of_bare", n)
	sheet.Value("webhooks_doors_ratio", median(f.doors)/median(f.bare), "of_bare", n)
	sheet.Value("webhooks_cpu_of_doors", doors/intake, "of_doors", n)
	sheet.Value("webhooks_of_doors", median(f.rate)/median(f.doors), "of_doors", n)
	sheet.Value("webhooks_cpu_ratio", bare/intake, "of_bare", n)
	sheet.Value("webhooks_ratio", median(f.rate)/median(f.bare), "of_bare", n)
}

// watch makes the stopwatches of the processes that run now.
func (b *Webhooks) watch(out *webhookFigures) error {
	postgres, err := b.lab.PG.PID()
	if err != nil {
		return err
	}
	out.bareWork = newStopwatch(map[string]int{"client": own, "postgres": postgres}) // the bare handlers are in this process
	out.doorsWork = newStopwatch(map[string]int{"client": own, "postgres": postgres})
	out.intake = newStopwatch(map[string]int{"client": own, "sync": b.sync.PID(), "gateway": b.lab.GatewayPID(), "postgres": postgres})
	out.effects = newStopwatch(map[string]int{"sync": b.sync.PID(), "postgres": postgres})
	return nil
}

// round delivers the webhooks to all three, and then lets their effects happen: they are applied later by design, and are held
// back so that one is not the other.
func (b *Webhooks) round(ctx context.Context, events []delivery, urls [3]string, out *webhookFigures) error {
	rate, latency, err := b.deliver(ctx, events, urls[0], out.bareWork)
	if err != nil {
		return err
	}
	out.bare, out.bareP99 = append(out.bare, rate), append(out.bareP99, quantile(latency, 0.99))
	out.bareTook += lasted(len(events), rate)
	if rate, latency, err = b.deliver(ctx, events, urls[1], out.doorsWork); err != nil {
		return err
	}
	out.doors, out.doorsP99 = append(out.doors, rate), append(out.doorsP99, quantile(latency, 0.99))
	letGo, err := b.hold(ctx)
	if err != nil {
		return err
	}
	if rate, latency, err = b.deliver(ctx, events, urls[2], out.intake); err != nil {
		return err
	}
	out.rate = append(out.rate, rate)
	out.took += lasted(len(events), rate)
	out.p50, out.p99 = append(out.p50, quantile(latency, 0.5)), append(out.p99, quantile(latency, 0.99))
	if waiting, err := b.waiting(ctx); err != nil || waiting != len(events) {
		return fmt.Errorf("%d of %d effects wait: they were not held back: %w", waiting, len(events), err)
	}
	commits, err := b.count(ctx, `SELECT count(DISTINCT create_time) FROM sync.webhook_inbox WHERE state = 'PENDING'`)
	if err != nil {
		return err
	}
	out.batch = append(out.batch, float64(len(events))/float64(commits))
	if err := letGo(); err != nil {
		return err
	}
	began := time.Now()
	if err := out.effects.during(func() error { return b.processed(ctx) }); err != nil {
		return err
	}
	out.applied = append(out.applied, float64(len(events))/time.Since(began).Seconds())
	return nil
}

// deliver delivers the webhooks to one of them, and adds the work to the stopwatch.
func (b *Webhooks) deliver(ctx context.Context, events []delivery, url string, work *stopwatch) (rate float64, latency []time.Duration, err error) {
	err = work.during(func() (err error) {
		rate, latency, err = load(ctx, len(events), func(ctx context.Context, n int) error { return b.post(ctx, url, events[n]) })
		return err
	})
	return rate, latency, err
}

// prepare starts sync and the gateway, makes people and writes the webhooks out.
func (b *Webhooks) prepare(ctx context.Context) (string, error) {
	replica, err := b.lab.Replica(ctx)
	if err != nil {
		return "", err
	}
	b.sync = replica
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
	tenant, err := b.lab.Tenant(ctx, admin, place, contacts)
	if err != nil {
		return "", err
	}
	b.workspace = strings.TrimPrefix(tenant.Workspace, "workspaces/")
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

// hold keeps effects back as another replica that is at them does: by the lock of the workspace's inbox. It gives what lets
// them go.
func (b *Webhooks) hold(ctx context.Context) (func() error, error) {
	conn, err := b.lab.Admin.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("hold effects back: %w", err)
	}
	const key = `hashtextextended('relance.sync.inbox ' || $1, 0)`
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(`+key+`)`, b.workspace); err != nil {
		conn.Release()
		return nil, fmt.Errorf("hold effects back: %w", err)
	}
	return func() error {
		defer conn.Release()
		if _, err := conn.Exec(ctx, `SELECT pg_advisory_unlock(`+key+`)`, b.workspace); err != nil {
			return fmt.Errorf("let effects go: %w", err)
		}
		return nil
	}, nil
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
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (b *Webhooks) waiting(ctx context.Context) (int, error) {
	return b.count(ctx, `SELECT count(*) FROM sync.webhook_inbox WHERE state = 'PENDING'`)
}

func (b *Webhooks) count(ctx context.Context, query string) (n int, err error) {
	if err := b.lab.Admin.QueryRow(ctx, query).Scan(&n); err != nil {
		return 0, fmt.Errorf("count webhooks: %w", err)
	}
	return n, nil
}

func lasted(n int, rate float64) time.Duration {
	return time.Duration(float64(n) / rate * float64(time.Second))
}

// busy is the share of the machine's processors that were at work.
func busy(work *stopwatch, took time.Duration) float64 {
	return float64(work.total()) / float64(took) / float64(runtime.NumCPU())
}
