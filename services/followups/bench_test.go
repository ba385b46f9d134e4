package followups_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/platform/postgres"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups/internal/run"
	"github.com/relance/relance/services/followups/internal/store"
)

// figure prints one measured figure; `make bench/followups` shows these lines.
func figure(name string, value float64, unit string, n int) {
	_, _ = fmt.Fprintf(os.Stdout, "figure %s %.3g %s n=%d\n", name, value, unit, n)
}

func rate(n int, took time.Duration) float64 { return float64(n) / took.Seconds() }

// benchSize is a number of rows, smaller by RELANCE_BENCH_SCALE (a divisor) for a quick look.
func benchSize(n int) int {
	if scale, err := strconv.Atoi(os.Getenv("RELANCE_BENCH_SCALE")); err == nil && scale > 0 {
		return max(n/scale, 1)
	}
	return n
}

// TestBench measures; it proves nothing and is skipped unless RELANCE_BENCH is set. The other side is a sync that answers
// at once over mutual TLS, so that the figures are those of followups alone.
func TestBench(t *testing.T) {
	if os.Getenv("RELANCE_BENCH") == "" {
		t.Skip("set RELANCE_BENCH=1, or run make bench/followups")
	}
	t.Run("throughput", benchThroughput)
	t.Run("replicas", benchReplicas)
	t.Run("claim", benchClaim)
	t.Run("simulate", benchSimulate)
	t.Run("memory", benchMemory)
}

func (w *world) config() (cfg run.Config) {
	w.runner(func(c *run.Config) { c.BatchSize = run.DefaultBatchSize; cfg = *c })
	return cfg
}

// drain runs until nothing is due.
func (w *world) drain(runner *run.Runner) (processed int) {
	for {
		receipt, err := runner.Run(w.t.Context(), run.Request{Budget: run.MaxBudget})
		if err != nil {
			w.t.Fatal(err)
		}
		processed += receipt.Counts.Processed()
		if receipt.Finished {
			return processed
		}
	}
}

func benchThroughput(t *testing.T) {
	w := setup(t)
	n, cfg := benchSize(4000), w.config()
	sequence := w.sequence(sms("Hi {firstName}", 0, 0))
	began := time.Now()
	w.sendBare(cfg.Sync, n)
	bare := rate(n, time.Since(began))
	figure("send_bare", bare, "messages/s", n)
	w.plant(sequence, n)
	began = time.Now()
	got := w.drain(run.New(cfg))
	figure("decided_sent_recorded", rate(got, time.Since(began)), "steps/s", got)
	figure("decided_sent_recorded_of_bare", rate(got, time.Since(began))/bare, "ratio", got)
	w.plant(sequence, n)
	planted{world: w}.settings(&followupsv1.Settings{WorkStart: "00:00", WorkEnd: "00:01"}, "work_start", "work_end")
	began = time.Now()
	got = w.drain(run.New(cfg))
	figure("refused_at_the_gate", rate(got, time.Since(began)), "steps/s", got)
}

func (w *world) sendBare(client syncv1.SyncServiceClient, n int) {
	lead := w.lead()
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for range n / 8 {
				_, err := client.SendMessage(context.WithoutCancel(w.t.Context()), &syncv1.SendMessageRequest{
					Lead: lead, Channel: syncv1.Channel_CHANNEL_SMS, Body: "Hi", RequestId: uuid.NewString(),
				})
				if err != nil {
					w.t.Errorf("worker %d: %v", worker, err)
					return
				}
			}
		})
	}
	group.Wait()
}

func benchReplicas(t *testing.T) {
	for _, replicas := range []int{1, 2, 4} {
		w := setup(t)
		n := benchSize(4000)
		w.plant(w.sequence(sms("Hi", 0, 0)), n)
		began := time.Now()
		var group sync.WaitGroup
		for range replicas {
			group.Go(func() { w.drain(run.New(w.config())) })
		}
		group.Wait()
		took := time.Since(began)
		ids := map[string]bool{}
		for _, call := range w.sync.calls {
			ids[call.GetRequestId()] = true
		}
		figure("replicas_"+strconv.Itoa(replicas), rate(n, took), "steps/s", n)
		figure("replicas_"+strconv.Itoa(replicas)+"_duplicates", float64(len(w.sync.calls)-len(ids)), "messages", len(w.sync.calls))
		if len(ids) != n {
			t.Fatalf("%d of %d steps", len(ids), n)
		}
	}
}

// idle adds enrollments that are due in a year.
func (w *world) idle(sequence string, n int) {
	w.t.Helper()
	err := postgres.InTx(w.t.Context(), w.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(w.t.Context(), `INSERT INTO enrollment (workspace_id, id, lead_id, sequence_id, sequence_version, state, position,
				base_time, due_time, next_time, start_time, replied_since, create_time, update_time)
			SELECT $1, gen_random_uuid(), gen_random_uuid(), $2, 1, 'active', 1, $3, later, later, $3, $3, $3, $3
			FROM (SELECT $3::timestamptz + interval '1 year' + make_interval(secs => n) AS later FROM generate_series(1, $4::int) AS n) AS rows`,
			sequence[11:47], sequence[len(sequence)-36:], w.clock.Now(), n)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := postgres.InTx(w.t.Context(), w.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(w.t.Context(), `ANALYZE enrollment`)
		return err
	}); err != nil {
		w.t.Log(err) // the role may not own the table
	}
}

func benchClaim(t *testing.T) {
	const due, batch = 1000, 50
	var costs []float64
	for _, rows := range []int{10_000, benchSize(2_000_000)} {
		w := setup(t)
		sequence := w.sequence(sms("Hi", 0, 0))
		w.idle(sequence, rows-due)
		w.plant(sequence, due)
		began, claimed := time.Now(), 0
		for {
			got, err := store.New(w.pool).Claim(t.Context(), store.Claim{Now: w.clock.Now(), Size: batch, Lease: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Items) == 0 {
				break
			}
			claimed += len(got.Items)
		}
		cost := time.Since(began).Seconds() * 1000 / (due / batch)
		costs = append(costs, cost)
		figure("claim_of_"+strconv.Itoa(rows), cost, "ms/batch", claimed)
	}
	figure("claim_ratio", costs[1]/costs[0], "ratio", due)
}

func benchSimulate(t *testing.T) {
	w := setup(t)
	var steps []*followupsv1.SequenceStep
	for range 10 {
		steps = append(steps, sms("Hi {firstName}", 1, 0))
	}
	req := &followupsv1.SimulateSequenceRequest{Name: w.sequence(steps...)}
	n := benchSize(10_000)
	for range n {
		req.Leads = append(req.Leads, w.lead())
	}
	began := time.Now()
	plans, _, err := w.simulate(req)
	if err != nil || len(plans) != n {
		t.Fatalf("%d plans, %v", len(plans), err)
	}
	figure("simulate_10_steps", time.Since(began).Seconds(), "s", n)
}

// resident is the process's memory in MiB, with PostgreSQL apart.
func resident(t *testing.T) float64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc here")
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}

func benchMemory(t *testing.T) {
	for _, due := range []int{10_000, benchSize(1_000_000)} {
		w := setup(t)
		sequence := w.sequence(sms("Hi", 0, 0))
		w.idle(sequence, due)
		w.clock.Advance(2 * 365 * 24 * time.Hour)
		_, err := run.New(w.config()).Run(t.Context(), run.Request{Budget: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		figure("rss_with_due_"+strconv.Itoa(due), resident(t), "MiB", due)
	}
}
