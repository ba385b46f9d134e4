package server_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"

	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/changes"
	"github.com/relance/relance/services/availability/internal/provider"
	"github.com/relance/relance/services/availability/internal/provider/calendly"
	"github.com/relance/relance/services/availability/internal/refresh"
	"github.com/relance/relance/services/availability/internal/server"
	"github.com/relance/relance/services/availability/internal/store"
	"github.com/relance/relance/services/availability/internal/webfetch"
	"github.com/relance/relance/simulator/calendars"
)

// queries counts the statements that a pool sends.
type queries struct{ atomic.Int64 }

func (q *queries) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	q.Add(1)
	return ctx
}

func (q *queries) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// countedPool is a pool of the service's role through the given DSN.
func countedPool(t *testing.T, dsn string) (*pgxpool.Pool, *queries) {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	count := &queries{}
	cfg.ConnConfig.Tracer, cfg.MaxConns = count, 8
	cfg.ConnConfig.RuntimeParams["search_path"] = store.Schema
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool, count
}

// replica is one process of the service, with its own pool, memory and listener.
type replica struct {
	queries          *queries
	pool             *pgxpool.Pool
	refresher        *refresh.Refresher
	server           *rpctest.Server
	admin, followups availabilityv1.AvailabilityServiceClient
}

// newReplica starts a replica that reads calendars as providers says, and hears of changes through listenDSN.
func (w *world) newReplica(t *testing.T, providers provider.Router, listenDSN string) *replica {
	t.Helper()
	r := &replica{}
	r.pool, r.queries = countedPool(t, w.db.DSN(store.Schema))
	listen, _ := countedPool(t, listenDSN)
	rows, source := store.New(r.pool, w.box), provider.NewSync(w.syncServer.Conn(t, store.Schema))
	if providers == nil {
		providers = provider.Router{calendar.GHL: source}
	}
	logger := slog.New(slog.NewJSONHandler(w.logs, nil))
	r.refresher = refresh.New(refresh.Config{
		Store: rows, Provider: providers, Directory: source, Clock: w.clock, Logger: logger, Jitter: func() float64 { return 0 },
	})
	api := server.New(server.Deps{Store: rows, Refresher: r.refresher, Directory: source, Clock: w.clock})
	s := rpctest.New(t, rpctest.Config{Service: store.Schema, Policy: server.Policy(), Register: func(g grpc.ServiceRegistrar) {
		availabilityv1.RegisterAvailabilityServiceServer(g, api)
	}})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- changes.Run(ctx, changes.Config{Pool: listen, Logger: logger, Hearer: api}) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		r.refresher.Wait()
	})
	r.admin = availabilityv1.NewAvailabilityServiceClient(s.ConnAs(t, principal.Principal{Kind: principal.KindAdmin}))
	r.server = s
	r.followups = availabilityv1.NewAvailabilityServiceClient(s.ConnAs(t, principal.Principal{Kind: principal.KindFollowUps}))
	return r
}

func (r *replica) slots(t *testing.T, workspace string) *availabilityv1.GetSlotsResponse {
	t.Helper()
	out, err := r.followups.GetSlots(t.Context(), &availabilityv1.GetSlotsRequest{Parent: workspace})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// fromMemory reports whether the replica answers without the database.
func (r *replica) fromMemory(t *testing.T, workspace string) bool {
	t.Helper()
	before := r.queries.Load()
	r.slots(t, workspace)
	return r.queries.Load() == before
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// A change through one replica is seen by the others, which serve from memory in between.
func TestChangesReachReplicas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme, other := w.workspace(t), w.workspace(t)
	dsn := w.db.DSN(store.Schema)
	all := []*replica{w.newReplica(t, nil, dsn), w.newReplica(t, nil, dsn), w.newReplica(t, nil, dsn)}
	link := w.link(t, acme)
	w.link(t, other)
	warm := func() {
		t.Helper()
		for _, r := range all {
			for _, name := range []string{acme, other} {
				eventually(t, "slots served from memory", func() bool { return r.fromMemory(t, name) })
			}
		}
	}
	warm()
	for _, url := range []string{"https://book.example.com/second", "https://book.example.com/third"} {
		link.PublicUrl = url
		_, err := all[0].admin.UpdateCalendarLink(t.Context(), &availabilityv1.UpdateCalendarLinkRequest{
			CalendarLink: link, UpdateMask: mask("public_url"),
		})
		if err != nil {
			t.Fatal(err)
		}
		// The replica that made the change shows it at once, the others when they hear of it.
		if got := all[0].slots(t, acme).GetPublicUrl(); got != url {
			t.Errorf("the replica that changed it answers %s", got)
		}
		for _, r := range all[1:] {
			eventually(t, "the change is seen", func() bool { return r.slots(t, acme).GetPublicUrl() == url })
		}
		warm()
	}
	// Time passes without any notification: a stale row is refreshed, not served.
	reads := w.sync.count(acme)
	w.clock.Advance(2 * time.Minute)
	for _, r := range all {
		if got := r.slots(t, acme).GetAsOfTime().AsTime(); !got.Equal(w.clock.Now()) {
			t.Errorf("stale slots of %v were served", got)
		}
	}
	if got := w.sync.count(acme) - reads; got != 1 {
		t.Errorf("%d calls for one stale row on 3 replicas", got)
	}
}

// A replica whose connection is cut, or silently dead, does not trust its memory.
func TestLostListenerIsNotTrusted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme := w.workspace(t)
	link := w.link(t, acme)
	line := newLine(t, w.db.DSN(store.Schema))
	r := w.newReplica(t, nil, line.dsn)
	warm := func() bool { return r.fromMemory(t, acme) }
	eventually(t, "slots served from memory", warm)
	change := func(url string) {
		t.Helper()
		link.PublicUrl = url
		_, err := w.admin.UpdateCalendarLink(t.Context(), &availabilityv1.UpdateCalendarLinkRequest{
			CalendarLink: link, UpdateMask: mask("public_url"),
		})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the change is seen", func() bool { return r.slots(t, acme).GetPublicUrl() == url })
	}
	change("https://book.example.com/control")
	eventually(t, "slots served from memory again", warm)
	// Nothing goes over the line any more, and nobody is told.
	line.frozen.Store(true)
	change("https://book.example.com/silent")
	if r.fromMemory(t, acme) {
		t.Error("a replica that hears nothing serves from memory")
	}
	line.frozen.Store(false)
	eventually(t, "slots served from memory after the line is back", warm)
	line.cut()
	change("https://book.example.com/cut")
	eventually(t, "slots served from memory on a new connection", warm)
}

// line is a connection to the database that can be cut, or go silent.
type line struct {
	dsn    string
	frozen atomic.Bool
	mu     sync.Mutex
	conns  []net.Conn
}

func newLine(t *testing.T, dsn string) *line {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	network, target := pgNetwork(cfg)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{}
	t.Cleanup(func() {
		_ = listener.Close()
		l.cut()
	})
	u.Host = listener.Addr().String()
	q := u.Query()
	q.Del("host")
	u.RawQuery = q.Encode()
	l.dsn = u.String()
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := (&net.Dialer{}).DialContext(context.Background(), network, target)
			if err != nil {
				_ = near.Close()
				continue
			}
			l.mu.Lock()
			l.conns = append(l.conns, near, far)
			l.mu.Unlock()
			go l.carry(near, far)
			go l.carry(far, near)
		}
	}()
	return l
}

func pgNetwork(cfg *pgx.ConnConfig) (network, address string) {
	if strings.HasPrefix(cfg.Host, "/") {
		return "unix", cfg.Host + "/.s.PGSQL." + strconv.Itoa(int(cfg.Port))
	}
	return "tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
}

// carry passes what comes on; while frozen it swallows it.
func (l *line) carry(from, to net.Conn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !l.frozen.Load() {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.conns {
		_ = conn.Close()
	}
	l.conns = nil
}

// A thousand readers of one stale row on three replicas cost one call at the provider, by the provider's own count.
func TestThousandReadersOneCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sim := calendars.New(w.clock.Now)
	t.Cleanup(sim.Close)
	sim.Set(func(p *calendars.Plan) { p.Free = []time.Time{now().Add(time.Hour), now().Add(30 * time.Hour)} })
	base := sim.Server().URL
	fetch := webfetch.New(webfetch.Config{
		Control: webfetch.Anywhere(), Plain: true, RootCAs: sim.Server().Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
	})
	providers := provider.Router{calendar.Calendly: calendly.New(calendly.Config{API: base, Public: base, Fetch: fetch})}
	dsn := w.db.DSN(store.Schema)
	var replicas []*replica
	for range 3 {
		replicas = append(replicas, w.newReplica(t, providers, dsn))
	}
	acme := w.workspace(t)
	if _, err := w.create(t, acme, &availabilityv1.CalendarLink{PublicUrl: "https://calendly.com/acme/intro"}); err != nil {
		t.Fatal(err)
	}
	replicas[0].slots(t, acme)
	ctx := patient(t)
	for round := range 3 {
		before := len(sim.Calls())
		w.clock.Advance(2 * time.Minute)
		var readers sync.WaitGroup
		for i := range 1000 {
			readers.Go(func() {
				out, err := replicas[i%3].followups.GetSlots(ctx, &availabilityv1.GetSlotsRequest{Parent: acme})
				if err != nil || len(out.GetSlots()) != 2 || !out.GetAsOfTime().AsTime().Equal(w.clock.Now()) {
					t.Errorf("%v %v", out, err)
				}
			})
		}
		readers.Wait()
		if calls := sim.Calls()[before:]; len(calls) != 1 {
			t.Errorf("round %d: %d calls at the provider, want 1: %v", round, len(calls), calls)
		}
	}
}
