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

	"github.com/relance/relance/platform/pgserver"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups/internal/run"
)

// TestBench measures; it proves nothing and is skipped unless RELANCE_BENCH is set. The other side is a sync that answers
// at once over mutual TLS, so that the figures are those of followups alone; PostgreSQL is durable, as in production.
func TestBench(t *testing.T) {
	if os.Getenv("RELANCE_BENCH") == "" {
		t.Skip("set RELANCE_BENCH=1, or run make bench/followups")
	}
	server, err := pgserver.Start(t.Context(), pgserver.Config{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	t.Setenv("RELANCE_TEST_DATABASE_URL", server.DSN("postgres"))
	t.Run("throughput", benchThroughput)
	t.Run("replicas", benchReplicas)
	t.Run("claim", benchClaim)
	t.Run("fairness", benchFairness)
	t.Run("simulate", benchSimulate)
	t.Run("memory", benchMemory)
}

// figure prints one measured figure; `make bench/followups` shows these lines.
func figure(name string, value float64, unit string, n int) {
	_, _ = fmt.Fprintf(os.Stdout, "figure %s %s %s n=%d\n", name, strconv.FormatFloat(value, 'g', 4, 64), unit, n)
}

func rate(n int, took time.Duration) float64 { return float64(n) / took.Seconds() }

// benchSize is a number of rows, smaller by RELANCE_BENCH_SCALE (a divisor) for a quick look.
func benchSize(n int) int {
	if scale, err := strconv.Atoi(os.Getenv("RELANCE_BENCH_SCALE")); err == nil && scale > 0 {
		return max(n/scale, 1)
	}
	return n
}

// benchSync answers at once, knows every lead, and remembers no more than the ids that it was asked for.
type benchSync struct {
	syncv1.UnimplementedSyncServiceServer
	mu  sync.Mutex
	ids map[string]int
	// slow is how long a message takes, by workspace id.
	slow map[string]time.Duration
	// took, if set, is called for each message.
	took func(workspace string)
}

func (f *benchSync) GetWorkspace(_ context.Context, req *syncv1.GetWorkspaceRequest) (*syncv1.GetWorkspaceResponse, error) {
	return &syncv1.GetWorkspaceResponse{Workspace: &syncv1.Workspace{Name: req.GetName(), TimeZone: "America/New_York"}}, nil
}

func (f *benchSync) BatchGetLeads(_ context.Context, req *syncv1.BatchGetLeadsRequest) (*syncv1.BatchGetLeadsResponse, error) {
	out := &syncv1.BatchGetLeadsResponse{}
	for _, name := range req.GetNames() {
		out.Leads = append(out.Leads, &syncv1.Lead{Name: name, FirstName: "Ada", Email: "ada@example.com", Phone: "+12025550123"})
	}
	return out, nil
}

func (f *benchSync) SendMessage(_ context.Context, req *syncv1.SendMessageRequest) (*syncv1.SendMessageResponse, error) {
	workspace := req.GetLead()[11:47]
	time.Sleep(f.slow[workspace])
	f.mu.Lock()
	f.ids[req.GetRequestId()]++
	took := f.took
	f.mu.Unlock()
	if took != nil {
		took(workspace)
	}
	return &syncv1.SendMessageResponse{Message: &syncv1.Message{
		Name: "workspaces/" + workspace + "/messages/" + req.GetRequestId(), State: syncv1.MessageState_MESSAGE_STATE_ACCEPTED,
	}}, nil
}

// bench is a world whose sync answers at once.
type bench struct {
	*world
	other *benchSync
	cfg   run.Config
}

func benchWorld(t *testing.T) *bench {
	t.Helper()
	b := &bench{world: setup(t), other: &benchSync{ids: map[string]int{}}}
	b.runner(func(c *run.Config) { b.cfg = *c })
	b.cfg.BatchSize, b.cfg.Logger = run.DefaultBatchSize, nil
	b.cfg.Sync = syncv1.NewSyncServiceClient(serveSync(t, b.other).Conn(t, "followups"))
	return b
}

// drain runs until nothing is due.
func (b *bench) drain(runner *run.Runner) (processed int) {
	for {
		receipt, err := runner.Run(b.t.Context(), run.Request{Budget: run.MaxBudget})
		if err != nil {
			b.t.Fatal(err)
		}
		processed += receipt.Counts.Processed()
		if receipt.Finished {
			return processed
		}
	}
}

func benchThroughput(t *testing.T) {
	b := benchWorld(t)
	n := benchSize(40_000)
	sequence := b.sequence(sms("Hi {firstName}", 0, 0), sms("Hi {firstName}, still there?", 3, 0))
	bare := b.sendBare(n)
	figure("send_bare", bare, "messages/s", n)
	b.due(sequence, n)
	began := time.Now()
	got := b.drain(run.New(b.cfg))
	sent := rate(got, time.Since(began))
	figure("decided_sent_recorded", sent, "steps/s", got)
	figure("decided_sent_recorded_of_bare", sent/bare, "ratio", got)
	if got != n {
		t.Fatalf("%d of %d steps", got, n)
	}
	b.due(sequence, n)
	planted{world: b.world}.settings(&followupsv1.Settings{WorkStart: "00:00", WorkEnd: "00:01"}, "work_start", "work_end")
	began = time.Now()
	got = b.drain(run.New(b.cfg))
	figure("refused_at_the_gate", rate(got, time.Since(began)), "steps/s", got)
}

// sendBare is the rate of the calls alone: as many at once as a run makes, without a database.
func (b *bench) sendBare(n int) float64 {
	const workers = 32
	lead := b.lead()
	var group sync.WaitGroup
	began := time.Now()
	for range workers {
		group.Go(func() {
			for range n / workers {
				_, err := b.cfg.Sync.SendMessage(context.WithoutCancel(b.t.Context()), &syncv1.SendMessageRequest{
					Lead: lead, Channel: syncv1.Channel_CHANNEL_SMS, Body: "Hi", RequestId: uuid.NewString(),
				})
				if err != nil {
					b.t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	return rate(n/workers*workers, time.Since(began))
}

func benchReplicas(t *testing.T) {
	for _, replicas := range []int{1, 2, 4} {
		b := benchWorld(t)
		n := benchSize(20_000)
		b.due(b.sequence(sms("Hi", 0, 0)), n)
		began := time.Now()
		var group sync.WaitGroup
		for range replicas {
			group.Go(func() { b.drain(run.New(b.cfg)) })
		}
		group.Wait()
		took := time.Since(began)
		calls := 0
		for _, times := range b.other.ids {
			calls += times
		}
		name := "replicas_" + strconv.Itoa(replicas)
		figure(name, rate(n, took), "steps/s", n)
		figure(name+"_duplicates", float64(calls-len(b.other.ids)), "messages", calls)
		if len(b.other.ids) != n {
			t.Fatalf("%d of %d steps", len(b.other.ids), n)
		}
	}
}

func benchSimulate(t *testing.T) {
	b := benchWorld(t)
	var steps []*followupsv1.SequenceStep
	for range 10 {
		steps = append(steps, sms("Hi {firstName}", 1, 0))
	}
	req := &followupsv1.SimulateSequenceRequest{Name: b.sequence(steps...)}
	n := benchSize(10_000)
	for range n {
		req.Leads = append(req.Leads, b.lead())
	}
	began := time.Now()
	plans, _, err := b.simulate(req)
	if err != nil || len(plans) != n {
		t.Fatalf("%d plans, %v", len(plans), err)
	}
	figure("simulate_10_steps", time.Since(began).Seconds(), "s", n)
}

func benchMemory(t *testing.T) {
	for _, n := range []int{10_000, benchSize(1_000_000)} {
		b := benchWorld(t)
		b.due(b.sequence(sms("Hi", 0, 0)), n)
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		peak := make(chan float64)
		go func() { peak <- peakResident(ctx) }()
		if _, err := run.New(b.cfg).Run(t.Context(), run.Request{Budget: 8 * time.Second}); err != nil {
			t.Fatal(err)
		}
		stop()
		figure("rss_with_due_"+strconv.Itoa(n), <-peak, "MiB", n)
	}
}

// peakResident is the most memory of this process, the sync that answers included and PostgreSQL not, in MiB, until ctx ends.
func peakResident(ctx context.Context) (peak float64) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		peak = max(peak, resident())
		select {
		case <-ctx.Done():
			return peak
		case <-ticker.C:
		}
	}
}

// resident is this process's memory in MiB; 0 where the kernel does not tell.
func resident() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}
