package sync_test

import (
	"context"
	"log/slog"
	"net"
	"net/http/httptest"
	stdsync "sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/config"
	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/platform/rpc"
	"github.com/relance/relance/platform/secretbox"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/simulator"
)

const patience = time.Minute

// rig is a running sync service with the simulator as its provider and a followups that writes down what it gets.
type rig struct {
	*testing.T
	sim      *simulator.Simulator
	provider *httptest.Server
	clock    *clock.Movable
	db       *pgtest.DB
	ca       *rpc.CA
	target   string
	cfg      relancesync.Config
	events   *eventLog

	admin     syncv1.SyncServiceClient
	followups syncv1.SyncServiceClient
}

// eventLog is a followups service that takes every event, unless it refuses a call.
type eventLog struct {
	followupsv1.UnimplementedFollowUpsServiceServer
	mu     stdsync.Mutex
	events []*followupsv1.LeadEvent
	refuse func([]*followupsv1.LeadEvent) error
}

// refusing changes what is refused; nil takes everything.
func (l *eventLog) refusing(refuse func([]*followupsv1.LeadEvent) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = refuse
}

func (l *eventLog) isRefusing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refuse != nil
}

// HandleLeadEvents keeps the events.
func (l *eventLog) HandleLeadEvents(_ context.Context, req *followupsv1.HandleLeadEventsRequest) (*followupsv1.HandleLeadEventsResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		if err := l.refuse(req.GetEvents()); err != nil {
			return nil, err
		}
	}
	l.events = append(l.events, req.GetEvents()...)
	return &followupsv1.HandleLeadEventsResponse{Handled: int32(len(req.GetEvents()))}, nil
}

// of lists the types of a lead's events in order, without repeats of an id.
func (l *eventLog) of(lead string) []followupsv1.LeadEventType {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := map[string]bool{}
	var out []followupsv1.LeadEventType
	for _, e := range l.events {
		if e.GetLead() == lead && !seen[e.GetEventId()] {
			seen[e.GetEventId()] = true
			out = append(out, e.GetType())
		}
	}
	return out
}

func newRig(t *testing.T, change ...func(*relancesync.Config)) *rig {
	t.Helper()
	r := &rig{
		T: t, clock: clock.NewMovable(time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)), db: pgtest.New(t, relancesync.Migrations()),
		events: &eventLog{},
	}
	r.sim = simulator.New(simulator.Config{
		Now: r.clock.Now, RateLimit: simulator.RateLimit{Disabled: true},
		// A busy machine answers late or asks for the webhook again; no test is about a sender that gives up.
		Delivery: simulator.DeliveryLimits{Attempts: 1000, MaxWait: 50 * time.Millisecond, Timeout: patience},
	})
	r.provider = httptest.NewServer(r.sim.Handler())
	t.Cleanup(func() { _ = r.sim.Close(); r.provider.Close() }) // in this order: the calls that it holds end first
	var err error
	if r.ca, err = rpc.NewCA(rpc.TrustDomain); err != nil {
		t.Fatal(err)
	}
	keyset, err := secretbox.GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	cfg := relancesync.Config{
		DatabaseURL: r.db.DSN("sync"), GHLBaseURL: r.provider.URL, KeysetJSON: config.Secret{Secret: redact.Secret(keyset)},
		FollowUpsTarget: r.startFollowUps(), AllowVolatileDatabase: true,
		SendWrite: 4 * time.Second, SendPause: 100 * time.Millisecond, SendCall: 4 * time.Second, SendDelay: 300 * time.Millisecond,
		SendVisible: time.Second, SendSettle: 10 * time.Second, DrainTimeout: 5 * time.Second,
	}
	for _, c := range change {
		c(&cfg)
	}
	r.cfg = cfg
	r.start(cfg)
	r.admin = syncv1.NewSyncServiceClient(r.as(principal.Principal{Kind: principal.KindAdmin}))
	r.followups = syncv1.NewSyncServiceClient(r.conn("followups"))
	return r
}

func (r *rig) start(cfg relancesync.Config) {
	listener := r.listen()
	r.target = listener.Addr().String()
	service, err := relancesync.New(r.Context(), cfg, relancesync.Deps{
		Listener: listener, Identity: r.identity("sync"), Clock: r.clock, Logger: slog.New(slog.NewTextHandler(r.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		r.Fatal(err)
	}
	r.background(service.Run)
}

func (r *rig) startFollowUps() string {
	listener := r.listen()
	server, err := rpc.NewServer(rpc.ServerConfig{
		Service: "followups", Listener: listener, Identity: r.identity("followups"), DrainTimeout: time.Second,
		Policy: everyMethod(followupsv1.FollowUpsService_ServiceDesc, principal.KindSync),
	})
	if err != nil {
		r.Fatal(err)
	}
	followupsv1.RegisterFollowUpsServiceServer(server.Registrar(), r.events)
	r.background(server.Serve)
	return listener.Addr().String()
}

func everyMethod(desc grpc.ServiceDesc, kind principal.Kind) principal.Policy {
	policy := principal.Policy{}
	for _, m := range desc.Methods {
		policy["/"+desc.ServiceName+"/"+m.MethodName] = []principal.Kind{kind}
	}
	for _, m := range desc.Streams {
		policy["/"+desc.ServiceName+"/"+m.StreamName] = []principal.Kind{kind}
	}
	return policy
}

func (r *rig) background(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	r.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.Errorf("run: %v", err)
		}
	})
}

func (r *rig) listen() net.Listener {
	listener, err := (&net.ListenConfig{}).Listen(r.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		r.Fatal(err)
	}
	return listener
}

func (r *rig) identity(service string) *rpc.Identity {
	identity, err := r.ca.Issue(service)
	if err != nil {
		r.Fatal(err)
	}
	return identity
}

func (r *rig) conn(service string, opts ...grpc.DialOption) *grpc.ClientConn {
	conn, err := rpc.Dial(rpc.ClientConfig{
		Target: r.target, Service: "sync", Identity: r.identity(service), DefaultTimeout: 15 * time.Second, Options: opts,
	})
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = conn.Close() })
	return conn
}

// as connects as the gateway with a token for p.
func (r *rig) as(p principal.Principal) *grpc.ClientConn {
	gateway := r.identity("gateway")
	signer := principal.NewSigner(gateway.Signer(), time.Now)
	mint := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		token, err := signer.Token(p, "sync")
		if err != nil {
			return err
		}
		return invoke(principal.OutgoingToken(ctx, token), method, req, reply, cc, opts...)
	}
	conn, err := rpc.Dial(rpc.ClientConfig{
		Target: r.target, Service: "sync", Identity: gateway, DefaultTimeout: 15 * time.Second,
		Options: []grpc.DialOption{grpc.WithChainUnaryInterceptor(mint)},
	})
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = conn.Close() })
	return conn
}

// tenant is a connected workspace.
type tenant struct {
	*rig
	name, location string
}

func (r *rig) tenant(location string) tenant {
	const token = "pit-0123456789"
	if err := r.sim.AddLocation(simulator.Location{ID: location, Token: token + location}); err != nil {
		r.Fatal(err)
	}
	w, err := r.admin.CreateWorkspace(r.Context(), &syncv1.CreateWorkspaceRequest{
		Workspace: &syncv1.Workspace{DisplayName: "Acme", TimeZone: "America/New_York"}, RequestId: uuid.NewString(),
	})
	if err != nil {
		r.Fatal(err)
	}
	_, err = r.admin.SetConnection(r.Context(), &syncv1.SetConnectionRequest{
		Parent: w.GetWorkspace().GetName(), Connection: &syncv1.Connection{Location: location, Token: token + location},
	})
	if err != nil {
		r.Fatal(err)
	}
	return tenant{rig: r, name: w.GetWorkspace().GetName(), location: location}
}

// lead makes a contact at the provider and its lead.
func (w tenant) lead(c simulator.Contact) (string, simulator.Contact) {
	w.Helper()
	c, err := w.sim.AddContact(w.location, c)
	if err != nil {
		w.Fatal(err)
	}
	l, err := w.admin.UpsertLead(w.Context(), &syncv1.UpsertLeadRequest{Parent: w.name, Lead: &syncv1.Lead{
		GhlContactId: c.ID, Email: c.Email, Phone: c.Phone, FirstName: c.FirstName,
	}})
	if err != nil {
		w.Fatal(err)
	}
	return l.GetLead().GetName(), c
}

func sms(lead, body string) *syncv1.SendMessageRequest {
	return &syncv1.SendMessageRequest{Lead: lead, Channel: syncv1.Channel_CHANNEL_SMS, Body: body, RequestId: uuid.NewString()}
}

// eventually polls a condition.
func (r *rig) eventually(what string, ok func() bool) {
	r.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			r.Fatalf("did not happen: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// count runs a counting query over all workspaces.
func (r *rig) count(query string, args ...any) (n int) {
	r.Helper()
	pool := r.db.Pool(r.T, "sync")
	err := postgres.InTx(r.Context(), pool, func(tx pgx.Tx) error { return tx.QueryRow(r.Context(), query, args...).Scan(&n) })
	if err != nil {
		r.Fatal(err)
	}
	return n
}

// exec changes rows over all workspaces.
func (r *rig) exec(query string, args ...any) {
	r.Helper()
	pool := r.db.Pool(r.T, "sync")
	err := postgres.InTx(r.Context(), pool, func(tx pgx.Tx) error { _, err := tx.Exec(r.Context(), query, args...); return err })
	if err != nil {
		r.Fatal(err)
	}
}
