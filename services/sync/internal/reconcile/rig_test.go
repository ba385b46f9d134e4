package reconcile_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/secretbox"
	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/lateness"
	"github.com/relance/relance/services/sync/internal/reconcile"
	"github.com/relance/relance/services/sync/internal/sender"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	credentials "github.com/relance/relance/services/sync/internal/token"
	"github.com/relance/relance/services/sync/internal/work"
	"github.com/relance/relance/simulator"
)

const location, token = "locationAcme0000001", "pit-0123456789"

// rig is the real store on PostgreSQL, the real sender and reconciler, and the simulator as the provider. No job runs by
// itself: tests make the looks, and move the database's clock by moving the times of rows back.
type rig struct {
	*testing.T
	sim       *simulator.Simulator
	clock     *clock.Movable
	db        *pgtest.DB
	pool      *pgxpool.Pool
	store     *store.Store
	sender    *sender.Sender
	budget    *openBudget
	stopped   atomic.Bool
	timing    sending.Timing
	client    *ghl.Client
	workspace uuid.UUID
	reconcile *reconcile.Reconciler
}

// openBudget gives every read, unless it is shut.
type openBudget struct {
	shut  atomic.Bool
	reads atomic.Int64
}

func (b *openBudget) Read(context.Context, string) (time.Duration, error) {
	if b.shut.Load() {
		return time.Minute, nil
	}
	b.reads.Add(1)
	return 0, nil
}

func newRig(t *testing.T, change ...func(*sending.Timing)) *rig {
	t.Helper()
	r := &rig{
		T: t, clock: clock.NewMovable(time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)), budget: &openBudget{},
		timing: sending.Timing{
			Write: 5 * time.Second, Pause: time.Minute, Call: 2 * time.Second, Delay: 2 * time.Minute, Visible: 10 * time.Minute, Settle: 15 * time.Minute,
		},
	}
	for _, c := range change {
		c(&r.timing)
	}
	r.sim = simulator.New(simulator.Config{Now: r.clock.Now, RateLimit: simulator.RateLimit{Disabled: true}})
	provider := httptest.NewServer(r.sim.Handler())
	t.Cleanup(func() { provider.Close(); _ = r.sim.Close() })
	r.db = pgtest.New(t, store.Migrations())
	r.pool = r.db.Pool(t, "sync")
	r.store = r.newStore()
	var err error
	if r.client, err = ghl.New(ghl.Config{BaseURL: provider.URL, Timeout: r.timing.Call}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.client.Close)
	r.reconcile = r.newReconciler()
	r.sender = r.newSender(r.reconcile)
	r.seed()
	return r
}

func (r *rig) newStore() *store.Store {
	keyset, err := secretbox.GenerateKeyset()
	if err != nil {
		r.Fatal(err)
	}
	box, err := secretbox.New(keyset)
	if err != nil {
		r.Fatal(err)
	}
	jobs, err := river.NewClient(riverpgxv5.New(r.pool), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		r.Fatal(err)
	}
	return store.New(store.Config{Pool: r.pool, Box: box, Queue: work.NewQueue(jobs), Clock: r.clock})
}

func (r *rig) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(r.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func (r *rig) newReconciler() *reconcile.Reconciler {
	return reconcile.New(reconcile.Config{
		Store: r.store, Client: r.client, Budget: r.budget, Clock: r.clock, Assumed: lateness.New(r.timing), Logger: r.logger(),
		Account: credentials.NewKeeper(credentials.Config{Store: r.store, Logger: r.logger()}).UsableOf,
	})
}

func (r *rig) newSender(looker sender.Looker) *sender.Sender {
	return sender.New(sender.Config{
		Store: r.store, Client: r.client, Looker: looker, Clock: r.clock, Timing: r.timing, MaxFailures: 5, Stopped: r.stopped.Load,
		Logger: r.logger(), Accounts: credentials.NewKeeper(credentials.Config{Store: r.store, Logger: r.logger()}), Budget: budget.New(budget.Config{
			Rows: r.store.Budgets(), Clock: clock.System(), Initial: func(budget.Key) budget.Limit { return ghl.DefaultLimit() },
		}),
	})
}

// seed makes a connected workspace.
func (r *rig) seed() {
	if err := r.sim.AddLocation(simulator.Location{ID: location, Token: token}); err != nil {
		r.Fatal(err)
	}
	r.workspace = uuid.New()
	r.system(func(tx *store.Tx) error {
		_, err := tx.InsertWorkspace(r.Context(), db.InsertWorkspaceParams{ID: r.workspace, DisplayName: "Acme", TimeZone: "UTC", UnknownPolicy: "resend", ContactPolicy: []byte("{}"), Now: tx.Now})
		if err != nil {
			return err
		}
		sealed, err := tx.Seal(token, store.TokenPlace(r.workspace))
		if err != nil {
			return err
		}
		return tx.UpsertConnection(r.Context(), db.UpsertConnectionParams{WorkspaceID: r.workspace, Location: location, TokenEnc: sealed, Now: tx.Now})
	})
}

func (r *rig) system(fn func(*store.Tx) error) {
	r.Helper()
	if err := r.store.System(r.Context(), fn); err != nil {
		r.Fatal(err)
	}
}

// person is a contact at the provider and its lead.
type person struct {
	*rig
	lead    uuid.UUID
	contact string
}

func (r *rig) person(phone string) person {
	r.Helper()
	c, err := r.sim.AddContact(location, simulator.Contact{Phone: phone, Email: "p" + phone[len(phone)-4:] + "@example.com"})
	if err != nil {
		r.Fatal(err)
	}
	p := person{rig: r, lead: uuid.New(), contact: c.ID}
	r.system(func(tx *store.Tx) error {
		_, err := tx.InsertLead(r.Context(), db.InsertLeadParams{
			WorkspaceID: r.workspace, ID: p.lead, GhlContactID: &c.ID, Phone: &c.Phone, Email: &c.Email, Now: tx.Now,
		})
		return err
	})
	return p
}

func (p person) request(text string) sender.Request {
	return sender.Request{
		Workspace: p.workspace, Lead: p.lead, RequestID: uuid.New(), Channel: sending.SMS, Content: sending.Content{Body: text},
	}
}

// send sends and tells the outcome.
func (p person) send(r sender.Request) sender.Outcome {
	p.Helper()
	out, err := p.sender.Send(p.Context(), r)
	if err != nil {
		p.Fatal(err)
	}
	return out
}

// lost sends a message whose answer the fault eats, and demands that it is UNKNOWN.
func (p person) lost(r sender.Request, f simulator.Fault) uuid.UUID {
	p.Helper()
	f.Match, f.Times = simulator.SendsTo(p.contact), 1
	p.sim.AddFault(f)
	out := p.send(r)
	if out.State != sending.Unknown {
		p.Fatalf("state = %s, want UNKNOWN", out.State)
	}
	return out.Message
}

// age moves a send back in time by the database's clock, as if d had passed.
func (r *rig) age(intent uuid.UUID, d time.Duration) {
	r.Helper()
	r.exec(`UPDATE send_intent SET intent_at = intent_at - $2::interval, lease_until = lease_until - $2::interval,
		next_look = next_look - $2::interval WHERE id = $1`, intent, d)
}

func (r *rig) exec(sql string, args ...any) {
	r.Helper()
	err := postgres.InTx(r.Context(), r.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(r.Context(), sql, args...)
		return err
	})
	if err != nil {
		r.Fatal(err)
	}
}

// admin runs a statement as the owner of the tables.
func (r *rig) admin(sql string) {
	r.Helper()
	conn, err := pgx.Connect(r.Context(), r.db.AdminDSN)
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = conn.Close(r.Context()) }()
	if _, err := conn.Exec(r.Context(), sql); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) count(sql string, args ...any) (n int) {
	r.Helper()
	err := postgres.InTx(r.Context(), r.pool, func(tx pgx.Tx) error { return tx.QueryRow(r.Context(), sql, args...).Scan(&n) })
	if err != nil {
		r.Fatal(err)
	}
	return n
}

// tick makes the looks that are due.
func (r *rig) tick() int {
	r.Helper()
	n, err := r.reconcile.Tick(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return n
}

func (r *rig) row(intent uuid.UUID) (row db.SendIntent) {
	r.Helper()
	r.system(func(tx *store.Tx) (err error) {
		row, err = tx.Intent(r.Context(), db.IntentParams{WorkspaceID: r.workspace, ID: intent})
		return err
	})
	return row
}

// is demands a state and a reason.
func (r *rig) is(intent uuid.UUID, state sending.State, reason sending.Reason) db.SendIntent {
	r.Helper()
	row := r.row(intent)
	if row.State != string(state) || row.Reason != string(reason) {
		r.Fatalf("send is %s(%s), want %s(%s)", row.State, row.Reason, state, reason)
	}
	return row
}

func (p person) posts() int    { return len(p.sim.Sends(simulator.Filter{Contact: p.contact})) }
func (p person) accepted() int { return len(p.sim.Accepted(simulator.Filter{Contact: p.contact})) }

// events counts outcome events of a send to followups.
func (r *rig) events(intent uuid.UUID, outcome string) int {
	r.Helper()
	return r.count(`SELECT count(*) FROM outbox WHERE type = 'MESSAGE_SETTLED' AND payload->>'message' LIKE '%' || $1 AND payload->>'outcome' = $2`,
		intent.String(), outcome)
}

// jobs works the resume jobs that are waiting, as River would.
func (r *rig) jobs(intent uuid.UUID) {
	r.Helper()
	if err := r.sender.Resume(r.Context(), r.workspace, intent); err != nil && !errors.Is(err, context.Canceled) {
		r.Fatal(err)
	}
}
