package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/platform/postgres"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/provider"
	"github.com/relance/relance/services/availability/internal/provider/calendly"
	"github.com/relance/relance/services/availability/internal/refresh"
	"github.com/relance/relance/services/availability/internal/store"
	"github.com/relance/relance/services/availability/internal/webfetch"
	"github.com/relance/relance/simulator/calendars"
)

// figure prints one measured figure; `make bench/availability` shows these lines.
func figure(name string, value float64, unit string, n int) {
	_, _ = fmt.Fprintf(os.Stdout, "figure %s %.3g %s n=%d\n", name, value, unit, n)
}

// benchSize is a number, smaller by RELANCE_BENCH_SCALE (a divisor) for a quick look.
func benchSize(n int) int {
	if scale, err := strconv.Atoi(os.Getenv("RELANCE_BENCH_SCALE")); err == nil && scale > 0 {
		return max(n/scale, 1)
	}
	return n
}

// TestBench measures; it proves nothing and is skipped unless RELANCE_BENCH is set.
func TestBench(t *testing.T) {
	if os.Getenv("RELANCE_BENCH") == "" {
		t.Skip("set RELANCE_BENCH=1, or run make bench/availability")
	}
	t.Run("cached", benchCached)
	t.Run("refresh", benchRefresh)
	t.Run("size", benchSizes)
}

// load makes n calls, 16 at a time, and gives how long they took in all and each.
func load(t *testing.T, n int, call func(context.Context) error) (time.Duration, []time.Duration) {
	t.Helper()
	const workers = 16
	var each [workers][]time.Duration
	var group sync.WaitGroup
	began := time.Now()
	for worker := range workers {
		group.Go(func() {
			for range n / workers {
				start := time.Now()
				if err := call(t.Context()); err != nil {
					t.Error(err)
					return
				}
				each[worker] = append(each[worker], time.Since(start))
			}
		})
	}
	group.Wait()
	return time.Since(began), slices.Concat(each[:]...)
}

func quantile(all []time.Duration, q float64) float64 {
	slices.Sort(all)
	return float64(all[int(q*float64(len(all)-1))].Microseconds()) / 1000
}

// benchCached compares slots from memory with a bare grpc-go call of the same answer size over the same kind of
// connection, in alternating rounds so that both meet the same machine.
func benchCached(t *testing.T) {
	const rounds = 24
	for _, count := range []int{20, 160} {
		w := newWorld(t)
		w.sync.set(func(f *fakeSync) {
			f.slots = nil
			for i := range count {
				f.slots = append(f.slots, now().Add(time.Duration(i/8*24)*time.Hour+time.Duration(i%8+1)*30*time.Minute))
			}
		})
		r := w.newReplica(t, nil, w.db.DSN(store.Schema))
		acme := w.workspace(t)
		w.link(t, acme)
		answer := r.slots(t, acme)
		eventually(t, "it is not served from memory", func() bool { return r.fromMemory(t, acme) })
		bare := bareCall(t, w, answer)
		cached := func(ctx context.Context) error {
			_, err := r.followups.GetSlots(ctx, &availabilityv1.GetSlotsRequest{Parent: acme})
			return err
		}
		// Three callers: a bare one of a bare service; the same one of this service, which leaves the slots in bytes too, so that
		// only the services differ; and one of the house, which decodes them: no service can do that for it.
		raw := rawCall(t, r.server, acme)
		calls := []func(context.Context) error{bare, raw, cached}
		n, before := benchSize(24_000)/rounds, r.queries.Load()
		var took [3]time.Duration
		var each [3][]time.Duration
		var ratios [3][]float64
		for range rounds {
			var round [3]time.Duration
			for i, call := range calls {
				all, one := load(t, n, call)
				round[i], took[i], each[i] = all, took[i]+all, append(each[i], one...)
				ratios[i] = append(ratios[i], round[0].Seconds()/all.Seconds())
			}
		}
		for i, name := range []string{"_bare", "", "_decoded"} {
			name = "get_slots_" + strconv.Itoa(count) + name
			figure(name, float64(len(each[i]))/took[i].Seconds(), "calls/s", len(each[i]))
			figure(name+"_p99", quantile(each[i], 0.99), "ms", len(each[i]))
			if i > 0 {
				// Of each round, so that what else the machine does between rounds does not count.
				slices.Sort(ratios[i])
				figure(name+"_of_bare", ratios[i][rounds/2], "ratio_p50", len(each[i]))
			}
		}
		figure("get_slots_"+strconv.Itoa(count)+"_statements", float64(r.queries.Load()-before)/float64(2*len(each[1])), "per_call", 2*len(each[1]))
	}
}

// benchRefresh refreshes workspaces against a Calendly that answers at once, and after 200 ms; and ten times as many at once.
func benchRefresh(t *testing.T) {
	b := newRefreshBench(t, benchSize(1000))
	b.run(t, "first", 0)
	b.run(t, "at_once", 0)
	b.run(t, "200ms", 200*time.Millisecond)
	many := newRefreshBench(t, benchSize(10_000))
	many.run(t, "many_first", 0)
	many.run(t, "many", 0)
}

// refreshBench is a replica with workspaces whose calendars are all due.
type refreshBench struct {
	*world
	n         int
	delay     *atomic.Int64
	calendly  *calendars.World
	refresher *refresh.Refresher
}

func newRefreshBench(t *testing.T, n int) *refreshBench {
	b := &refreshBench{world: newWorld(t), n: n, delay: &atomic.Int64{}}
	b.calendly = calendars.New(b.clock.Now)
	t.Cleanup(b.calendly.Close)
	b.calendly.Set(func(p *calendars.Plan) { p.Free = []time.Time{now().Add(3 * time.Hour), now().Add(50 * time.Hour)} })
	slow := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Duration(b.delay.Load()))
		b.calendly.Server().Config.Handler.ServeHTTP(rw, r)
	}))
	t.Cleanup(slow.Close)
	fetch := webfetch.New(webfetch.Config{Plain: true, Control: webfetch.Anywhere(), Timeout: 8 * time.Second})
	r := b.newReplica(t, provider.Router{
		calendar.Calendly: calendly.New(calendly.Config{API: slow.URL, Public: slow.URL, Fetch: fetch}),
	}, b.db.DSN(store.Schema))
	b.refresher = r.refresher
	b.sync.set(func(f *fakeSync) { f.page = 500 })
	for range n {
		_, err := r.admin.CreateCalendarLink(t.Context(), &availabilityv1.CreateCalendarLinkRequest{
			Parent: b.workspace(t), CalendarLink: &availabilityv1.CalendarLink{
				DisplayName: "Intro", PublicUrl: "https://calendly.com/acme/intro", ApiToken: calendars.Token,
			},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// run makes all due and refreshes them.
func (b *refreshBench) run(t *testing.T, name string, delay time.Duration) {
	b.clock.Advance(2 * time.Minute)
	b.delay.Store(int64(delay))
	calls, began := len(b.calendly.Calls()), time.Now()
	done, err := b.refresher.Run(t.Context(), refresh.Request{Budget: 10 * time.Minute})
	took := time.Since(began)
	if err != nil || !done.Finished || done.Receipt.Refreshed != b.n {
		t.Fatalf("%+v %v", done, err)
	}
	figure("refresh_"+name, took.Seconds(), "s", b.n)
	figure("refresh_"+name+"_calls", float64(len(b.calendly.Calls())-calls)/float64(b.n), "per_workspace", b.n)
	if delay > 0 {
		// Eight at a time, each one call long.
		figure("refresh_"+name+"_of_waiting", took.Seconds()/(delay.Seconds()*float64(b.n)/8), "ratio", b.n)
	}
}

// benchSizes measures what a tick with 50 due calendars and a read from the database cost among few and many workspaces.
func benchSizes(t *testing.T) {
	few := newSized(t, 100)
	many := newSized(t, benchSize(100_000))
	var ticks, reads [2][]time.Duration
	for range 15 {
		for i, s := range []*sized{few, many} {
			s.clock.Advance(2 * time.Minute)
			began := time.Now()
			if receipt := s.tick(t); receipt.GetRefreshed() != 50 {
				t.Fatalf("%v", receipt)
			}
			ticks[i] = append(ticks[i], time.Since(began))
			_, each := load(t, 320, func(context.Context) error {
				_, err := s.slots(t, s.acme)
				return err
			})
			reads[i] = append(reads[i], each...)
		}
	}
	for i, name := range []string{"100", strconv.Itoa(benchSize(100_000))} {
		figure("tick_of_50_among_"+name, quantile(ticks[i], 0.5), "ms_p50", len(ticks[i]))
		figure("read_among_"+name, quantile(reads[i], 0.5), "ms_p50", len(reads[i]))
	}
	figure("tick_ratio", quantile(ticks[1], 0.5)/quantile(ticks[0], 0.5), "ratio", len(ticks[1]))
	figure("read_ratio", quantile(reads[1], 0.5)/quantile(reads[0], 0.5), "ratio", len(reads[1]))
	// A tick also asks sync for all workspaces, to find new ones: what that adds grows with them.
	many.sync.set(func(f *fakeSync) { f.workspaces, f.page = many.others, 500 })
	began := time.Now()
	many.tick(t)
	figure("tick_that_lists_"+strconv.Itoa(benchSize(100_000)), float64(time.Since(began).Milliseconds()), "ms", 1)
}

// sized is a world with so many workspaces that are not due, besides 50 that are each minute; sync lists the 50.
type sized struct {
	*world
	acme   string
	others []uuid.UUID
}

func newSized(t *testing.T, n int) *sized {
	t.Helper()
	s := &sized{world: newWorld(t)}
	for range 50 {
		s.acme = s.workspace(t)
		s.link(t, s.acme)
	}
	for range n {
		s.others = append(s.others, newID(t))
	}
	err := postgres.InTx(t.Context(), s.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO availability (workspace_id, state, reported, slots, as_of, due_time)
			SELECT w, 'ok', 'ok ', ARRAY(SELECT $2::timestamptz + make_interval(hours => h) FROM generate_series(1, 40) AS h), $2,
				$2::timestamptz + interval '1 year' FROM unnest($1::uuid[]) AS w`, s.others, now())
		if err != nil {
			return err
		}
		_, err = tx.Exec(t.Context(), `INSERT INTO calendar_link (workspace_id, id, display_name, provider, external_id, public_url,
				is_default, create_time, update_time)
			SELECT w, w, 'Intro', 'ghl', 'x', 'https://book.example.com', true, $2, $2 FROM unnest($1::uuid[]) AS w`, s.others, now())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
