package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

const (
	inFlight = 64
	rounds   = 3
	place    = "locationBench0000001"
)

// Sends compares SendMessage with a bare loop: for each message one durable insert, one POST, one durable update; and with the
// same loop behind a door of its own.
type Sends struct {
	Binary string
	// PerRound messages are sent in each of three rounds by each side.
	PerRound int

	lab     *lab.Lab
	replica *lab.Replica
	metrics string
	tenant  *lab.Tenant
	clients *lab.Clients
	doorway *lab.Clients
	naive   *pgxpool.Pool
	http    *http.Client
}

// Run measures and prints.
func (b *Sends) Run(ctx context.Context, sheet *figure.Sheet) error {
	var err error
	if b.lab, err = lab.New(ctx, lab.Options{Binary: b.Binary, Timing: lab.Production()}); err != nil {
		return err
	}
	defer func() { _ = b.lab.Close() }()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer b.clients.Close()
	defer b.naive.Close()
	doorway, stop, err := (&door{send: b.bare}).open(ctx, b.lab)
	if err != nil {
		return err
	}
	defer stop()
	b.doorway = doorway
	server, err := b.lab.PG.PID()
	if err != nil {
		return err
	}
	sides := b.sides(server)
	for round := range rounds + 1 {
		for i := range sides {
			if err := b.measure(ctx, &sides[i], func(ctx context.Context, n int) error { return sides[i].do(ctx, round*b.PerRound+n) }); err != nil {
				return err
			}
		}
		if round == 0 {
			// Connections and caches are made, and the tables are no longer empty: what autovacuum does in time is done now, so
			// that no plan is kept that was made for an empty table.
			if _, err := b.lab.Admin.Exec(ctx, `ANALYZE`); err != nil {
				return fmt.Errorf("analyze: %w", err)
			}
			sides = b.sides(server)
		}
	}
	if took, want := len(b.lab.Accepted(simulator.Filter{Location: place})), len(sides)*(rounds+1)*b.PerRound; took != want {
		return fmt.Errorf("the provider took %d messages, want %d", took, want)
	}
	b.print(sheet, sides[0], sides[1], sides[2])
	return nil
}

// side is what was measured of one of them, a value for each round.
type side struct {
	do              func(context.Context, int) error
	rates, p50, p99 []float64
	commits, trips  int64
	spent           *stopwatch
}

// sides are the bare loop, the bare loop behind its door, and the service, without any measurement yet. The callers, the
// provider and the door are in this process.
func (b *Sends) sides(server int) [3]side {
	pids := map[string]int{"bench": own, "postgres": server}
	return [3]side{
		{do: b.bare, spent: newStopwatch(pids)},
		{do: b.behind, spent: newStopwatch(pids)},
		{do: b.send, spent: newStopwatch(map[string]int{"bench": own, "postgres": server, "sync": b.replica.PID()})},
	}
}

// measure is one round of one side.
func (b *Sends) measure(ctx context.Context, into *side, do func(context.Context, int) error) error {
	committed, err := b.commits(ctx)
	if err != nil {
		return err
	}
	asked, err := queries(ctx, b.metrics)
	if err != nil {
		return err
	}
	var rate float64
	var latency []time.Duration
	err = into.spent.during(func() (err error) {
		rate, latency, err = load(ctx, b.PerRound, do)
		return err
	})
	if err != nil {
		return err
	}
	ended, err := b.commits(ctx)
	if err != nil {
		return err
	}
	told, err := queries(ctx, b.metrics)
	if err != nil {
		return err
	}
	into.rates = append(into.rates, rate)
	into.p50, into.p99 = append(into.p50, quantile(latency, 0.5)), append(into.p99, quantile(latency, 0.99))
	into.commits, into.trips = into.commits+ended-committed, into.trips+told-asked
	return nil
}

func (b *Sends) print(sheet *figure.Sheet, bare, behind, ours side) {
	n := b.PerRound * rounds
	sheet.Value("sends_bare", median(bare.rates), "per_second", n)
	sheet.Value("sends_door", median(behind.rates), "per_second", n)
	sheet.Value("sends", median(ours.rates), "per_second", n)
	sheet.Value("sends_p50", median(ours.p50), "ms", n)
	sheet.Value("sends_p99", median(ours.p99), "ms", n)
	sheet.Value("commits_per_send", float64(ours.commits)/float64(n), "commits", n)
	sheet.Value("statements_per_send", float64(ours.trips)/float64(n), "statements", n)
	bare.spent.each(n, func(name string, us float64) { sheet.Value("sends_bare_cpu_"+name, us, "us_each", n) })
	behind.spent.each(n, func(name string, us float64) { sheet.Value("sends_door_cpu_"+name, us, "us_each", n) })
	ours.spent.each(n, func(name string, us float64) { sheet.Value("sends_cpu_"+name, us, "us_each", n) })
	more := ours.spent.total() - bare.spent.total()
	sheet.Value("sends_gap_by_door", float64(behind.spent.total()-bare.spent.total())/float64(more), "of_gap", n)
	sheet.Value("sends_cpu_ratio_door", float64(behind.spent.total())/float64(ours.spent.total()), "of_door", n)
	sheet.Value("sends_cpu_ratio", float64(bare.spent.total())/float64(ours.spent.total()), "of_bare", n)
	sheet.Value("sends_ratio_door", median(ours.rates)/median(behind.rates), "of_door", n)
	sheet.Value("sends_ratio", median(ours.rates)/median(bare.rates), "of_bare", n)
}

func (b *Sends) prepare(ctx context.Context) error {
	admin, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	b.metrics = "http://" + admin + "/metrics"
	if b.replica, err = b.lab.Replica(ctx, "RELANCE_ADMIN_LISTEN="+admin); err != nil {
		return err
	}
	if err := b.replica.Up(ctx); err != nil {
		return err
	}
	gateway, err := b.lab.Gateway(principal.Principal{Kind: principal.KindAdmin}, b.replica.Target)
	if err != nil {
		return err
	}
	defer gateway.Close()
	contacts := make([]simulator.Contact, b.PerRound)
	for i := range contacts {
		contacts[i] = simulator.Contact{ID: fmt.Sprintf("BenchContact%08d", i), Phone: fmt.Sprintf("+1555%07d", i)}
	}
	if b.tenant, err = b.lab.Tenant(ctx, gateway, place, contacts); err != nil {
		return err
	}
	if err := idle(ctx, b.lab); err != nil {
		return err
	}
	if b.clients, err = b.lab.FollowUps(b.replica.Target); err != nil {
		return err
	}
	cfg, err := pgxpool.ParseConfig(b.lab.PG.DSN("relance"))
	if err != nil {
		return fmt.Errorf("bare loop: %w", err)
	}
	cfg.MaxConns = inFlight / 2
	if b.naive, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return fmt.Errorf("bare loop: %w", err)
	}
	b.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: inFlight, MaxConnsPerHost: inFlight}}
	_, err = b.naive.Exec(ctx, `CREATE TABLE public.bare (id uuid PRIMARY KEY, body text NOT NULL, state text NOT NULL, provider_id text)`)
	return err
}

// commits is how many transactions have written something so far: each draws one number. The statistics' count would come up
// to ten seconds late, and to the other side's account.
func (b *Sends) commits(ctx context.Context) (n int64, err error) {
	err = b.lab.Admin.QueryRow(ctx, `SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint`).Scan(&n)
	return n, err
}

func (b *Sends) send(ctx context.Context, n int) error {
	out, err := b.clients.At(0).SendMessage(ctx, &syncv1.SendMessageRequest{
		Lead: b.tenant.People[n%b.PerRound].Lead, Channel: syncv1.Channel_CHANNEL_SMS, Body: text, RequestId: uuid.NewString(),
	})
	if err != nil {
		return err
	}
	if state := out.GetMessage().GetState(); state != syncv1.MessageState_MESSAGE_STATE_ACCEPTED {
		return fmt.Errorf("message is %s", state)
	}
	return nil
}

// behind is the bare loop by way of the door.
func (b *Sends) behind(ctx context.Context, n int) error {
	_, err := b.doorway.At(0).SendMessage(ctx, &syncv1.SendMessageRequest{
		Lead: b.tenant.People[n%b.PerRound].Lead, Channel: syncv1.Channel_CHANNEL_SMS, Body: text, RequestId: uuid.NewString(),
		Subject: strconv.Itoa(n % b.PerRound),
	})
	return err
}

const text = "Hi Sam, are you still looking for a table on Thursday? We have two left, at seven and at nine."

func (b *Sends) bare(ctx context.Context, n int) error {
	id := uuid.New()
	if _, err := b.naive.Exec(ctx, `INSERT INTO public.bare (id, body, state) VALUES ($1, $2, 'SENDING')`, id, text); err != nil {
		return err
	}
	body := fmt.Sprintf(`{"type":"SMS","contactId":%q,"locationId":%q,"message":%q}`, b.tenant.People[n%b.PerRound].Contact, place, text)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.lab.URL+"/conversations/messages", bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer pit-"+place)
	req.Header.Set("Version", "2021-04-15")
	req.Header.Set("Content-Type", "application/json")
	resp, err := b.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("bare POST: status %d: %w", resp.StatusCode, err)
	}
	_, err = b.naive.Exec(ctx, `UPDATE public.bare SET state = 'ACCEPTED', provider_id = $2 WHERE id = $1`, id, string(answer[:min(40, len(answer))]))
	return err
}
