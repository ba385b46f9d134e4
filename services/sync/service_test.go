package sync_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	stdsync "sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	relancesync "github.com/relance/relance/services/sync"
	"github.com/relance/relance/simulator"
)

func stampOf(t time.Time) *timestamppb.Timestamp { return timestamppb.New(t) }

func TestPolicyOfEveryMethodAndKind(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	policy := relancesync.Policy()
	for _, kind := range principal.AllKinds() {
		who := principal.Principal{Kind: kind}
		if kind == principal.KindUser {
			who.ID = "u1"
		}
		conn := r.as(who)
		switch kind {
		case principal.KindFollowUps, principal.KindAvailability, principal.KindSync, principal.KindGateway:
			conn = r.conn(string(kind)[len("system:"):])
		}
		for _, m := range syncv1.SyncService_ServiceDesc.Methods {
			method := "/" + syncv1.SyncService_ServiceDesc.ServiceName + "/" + m.MethodName
			rows, ok := policy[method]
			if !ok {
				t.Fatalf("no row for %s", method)
			}
			want := false
			for _, k := range rows {
				want = want || k == kind
			}
			err := conn.Invoke(t.Context(), method, &syncv1.GetMessageRequest{}, &syncv1.GetMessageResponse{})
			denied := err != nil && apierr.Reason(err) == "PRINCIPAL_NOT_ALLOWED"
			if denied == want {
				t.Errorf("%s as %s: %v, want allowed = %v", method, kind, err, want)
			}
		}
	}
}

func TestBoundPrincipalStaysInItsWorkspace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	own, other := r.tenant(location), r.tenant("locationBirch000001")
	bound := syncv1.NewSyncServiceClient(r.as(principal.Principal{Kind: principal.KindAdmin, Workspace: own.name[len("workspaces/"):]}))
	if _, err := bound.GetWorkspace(t.Context(), &syncv1.GetWorkspaceRequest{Name: own.name}); err != nil {
		t.Error(err)
	}
	_, err := bound.GetWorkspace(t.Context(), &syncv1.GetWorkspaceRequest{Name: other.name})
	rpctest.RequireError(t, err, codes.PermissionDenied, "WORKSPACE_FORBIDDEN")
	list, err := bound.ListWorkspaces(t.Context(), &syncv1.ListWorkspacesRequest{})
	if err != nil || len(list.GetWorkspaces()) != 1 {
		t.Errorf("list = %v, %v", list, err)
	}
}

func TestRowsOfAnotherWorkspaceAreInvisible(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w := r.tenant(location)
	lead, c := w.lead(simulator.Contact{Phone: "+12025550123", DND: map[string]string{"SMS": "active"}})
	_, _ = w.followups.SendMessage(t.Context(), sms(lead, "Hello"))
	w.accept(w.said(c.ID, "Hi").Webhook)
	w.settled()
	if _, err := w.admin.RotateWebhookSecret(t.Context(), &syncv1.RotateWebhookSecretRequest{Parent: w.name}); err != nil {
		t.Fatal(err)
	}
	pool := r.db.Pool(t, "sync")
	tables := []string{
		"workspace", "connection", "webhook_secret", "lead", "lead_channel", "message", "send_intent", "send_attempt", "webhook_inbox",
		"outbox", "history_import",
	}
	rows := func(workspace, table string) (n int) {
		err := postgres.InWorkspace(t.Context(), pool, workspace, func(tx pgx.Tx) error {
			return tx.QueryRow(t.Context(), `SELECT count(*) FROM `+pgx.Identifier{table}.Sanitize()).Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, table := range tables {
		if n := rows(w.name[len("workspaces/"):], table); n == 0 {
			t.Errorf("%s: the control sees no row", table)
		}
		if n := rows(uuid.NewString(), table); n != 0 {
			t.Errorf("%s: a foreign workspace sees %d rows", table, n)
		}
	}
}

func TestConcurrentUpsertsMakeOneLead(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	identities := []*syncv1.Lead{
		{GhlContactId: "contactAnn000000001", Email: "Ann@Example.com"},
		{Email: "ann@example.com", Phone: "(202) 555-0123"},
		{GhlContactId: "contactAnn000000001", Email: "ann@example.com", Phone: "+12025550123"},
	}
	var wait stdsync.WaitGroup
	for i := range 30 {
		wait.Go(func() {
			_, err := w.admin.UpsertLead(t.Context(), &syncv1.UpsertLeadRequest{Parent: w.name, Lead: identities[i%3]})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	list, err := w.admin.ListLeads(t.Context(), &syncv1.ListLeadsRequest{Parent: w.name})
	if err != nil || len(list.GetLeads()) != 1 {
		t.Fatalf("leads = %v, %v", list.GetLeads(), err)
	}
	if l := list.GetLeads()[0]; l.GetPhone() != "+12025550123" || l.GetGhlContactId() == "" || l.GetEmail() != "ann@example.com" {
		t.Errorf("lead = %v", l)
	}
}

func TestProviderComesBackAndTheJobSendsOnce(t *testing.T) {
	t.Parallel()
	reserved, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := reserved.Addr().String()
	_ = reserved.Close()
	r := newRig(t, func(c *relancesync.Config) { c.GHLBaseURL = "http://" + address })
	w := r.tenant(location)
	lead, contact := w.lead(simulator.Contact{Phone: "+12025550123"})
	request := sms(lead, "Hello")
	_, err = w.followups.SendMessage(t.Context(), request)
	rpctest.RequireError(t, err, codes.Unavailable, "PROVIDER_UNAVAILABLE")
	listener, err := (&net.ListenConfig{}).Listen(context.WithoutCancel(t.Context()), "tcp", address)
	if err != nil {
		t.Skipf("the port was taken: %v", err)
	}
	server := &http.Server{Handler: r.sim.Handler(), ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	w.clock.Advance(time.Hour)
	var wait stdsync.WaitGroup
	for range 5 {
		wait.Go(func() { _, _ = w.followups.SendMessage(t.Context(), request) })
	}
	wait.Wait()
	w.eventually("accepted", func() bool {
		out, err := w.followups.SendMessage(t.Context(), request)
		return err == nil && out.GetMessage().GetState() == syncv1.MessageState_MESSAGE_STATE_ACCEPTED
	})
	if got := len(w.sim.Sends(simulator.Filter{Contact: contact.ID})); got != 1 {
		t.Errorf("POSTs = %d, want 1", got)
	}
}

func TestLeaseOfALostClaimEndsInUnknown(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, _ := w.lead(simulator.Contact{Phone: "+12025550123"})
	w.sim.AddFault(simulator.Fault{Match: simulator.SendsTo(""), Kind: simulator.Status429, RetryAfter: "3600"})
	request := sms(lead, "Hello")
	_, err := w.followups.SendMessage(t.Context(), request)
	rpctest.RequireError(t, err, codes.ResourceExhausted, "PROVIDER_RATE_LIMITED")
	w.sim.ClearFaults()
	// A process that died between its claim and its outcome leaves exactly this.
	pool := w.db.Pool(t, "sync")
	err = postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE send_intent SET state = 'SENDING', attempt = attempt + 1, lease_until = now() - interval '1 s'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.eventually("unknown", func() bool { return w.count(`SELECT count(*) FROM send_intent WHERE state = 'UNKNOWN'`) == 1 })
	out, err := w.followups.SendMessage(t.Context(), request)
	if err != nil || out.GetMessage().GetState() != syncv1.MessageState_MESSAGE_STATE_UNKNOWN {
		t.Errorf("state = %v, %v", out.GetMessage().GetState(), err)
	}
	if got := len(w.sim.Sends(simulator.Filter{})); got != 1 {
		t.Errorf("POSTs = %d, want 1", got)
	}
}

func TestTheDatabaseRefusesWrongMoves(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	lead, _ := w.lead(simulator.Contact{Phone: "+12025550123"})
	if _, err := w.followups.SendMessage(t.Context(), sms(lead, "Hello")); err != nil {
		t.Fatal(err)
	}
	pool := w.db.Pool(t, "sync")
	for _, statement := range []string{
		`UPDATE send_intent SET state = 'SENDING'`, `UPDATE send_intent SET state = 'RETRYABLE'`, `DELETE FROM send_intent`,
		`UPDATE send_attempt SET outcome = 'x'`, `DELETE FROM send_attempt`,
	} {
		err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), statement)
			return err
		})
		if err == nil {
			t.Errorf("%s was taken", statement)
		}
	}
}

func TestFreeSlots(t *testing.T) {
	t.Parallel()
	w := newRig(t).tenant(location)
	for id, inactive := range map[string]bool{"calendarOpen0000001": false, "calendarOff00000001": true} {
		if err := w.sim.AddCalendar(location, simulator.Calendar{ID: id, Inactive: inactive}); err != nil {
			t.Fatal(err)
		}
	}
	client := syncv1.NewSyncServiceClient(w.conn("availability"))
	ask := func(calendar string, days int) (*syncv1.ListFreeSlotsResponse, error) {
		return client.ListFreeSlots(t.Context(), &syncv1.ListFreeSlotsRequest{
			Parent: w.name, Calendar: calendar, StartTime: stampOf(w.clock.Now()), EndTime: stampOf(w.clock.Now().AddDate(0, 0, days)),
		})
	}
	out, err := ask("calendarOpen0000001", 7)
	if err != nil || len(out.GetStartTimes()) < 10 {
		t.Fatalf("slots = %d, %v", len(out.GetStartTimes()), err)
	}
	for i, s := range out.GetStartTimes() {
		if s.AsTime().Before(w.clock.Now()) || (i > 0 && !s.AsTime().After(out.GetStartTimes()[i-1].AsTime())) {
			t.Errorf("slot %d = %s", i, s.AsTime())
		}
	}
	if out.GetSlotDuration() != nil {
		t.Errorf("the length was not asked for: %v", out.GetSlotDuration())
	}
	if err := w.sim.AddCalendar(location, simulator.Calendar{ID: "calendarLong0000001", SlotDuration: 50 * time.Minute}); err != nil {
		t.Fatal(err)
	}
	long, err := client.ListFreeSlots(t.Context(), &syncv1.ListFreeSlotsRequest{
		Parent: w.name, Calendar: "calendarLong0000001", StartTime: stampOf(w.clock.Now()), EndTime: stampOf(w.clock.Now().AddDate(0, 0, 7)),
		WithSlotDuration: true,
	})
	if err != nil || long.GetSlotDuration().AsDuration() != 50*time.Minute || len(long.GetStartTimes()) == 0 {
		t.Errorf("length %v of %d slots, %v", long.GetSlotDuration(), len(long.GetStartTimes()), err)
	}
	_, err = ask("calendarOff00000001", 7)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "CALENDAR_INACTIVE")
	_, err = ask("calendarNone0000001", 7)
	rpctest.RequireError(t, err, codes.FailedPrecondition, "CALENDAR_INACTIVE")
	_, err = ask("calendarOpen0000001", 32)
	rpctest.RequireError(t, err, codes.InvalidArgument, "")
	// A refusal that nobody knows is the provider's, and no fault of ours.
	w.sim.AddFault(simulator.Fault{
		Match: simulator.Match{Path: "/calendars/calendarOpen0000001/free-slots"}, Kind: simulator.Refusal, Status: 422, Body: "Unheard of",
	})
	_, err = ask("calendarOpen0000001", 7)
	if e := rpctest.RequireError(t, err, codes.FailedPrecondition, "REFUSED_UNCLASSIFIED"); e.Metadata["provider_status"] != "422" {
		t.Errorf("metadata %v", e.Metadata)
	}
}

func TestWorkspaceAndConnectionRules(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w, other := r.tenant(location), r.tenant("locationBirch000001")
	_, err := r.admin.SetConnection(t.Context(), &syncv1.SetConnectionRequest{
		Parent: other.name, Connection: &syncv1.Connection{Location: location, Token: "pit-0123456789"},
	})
	rpctest.RequireError(t, err, codes.AlreadyExists, "LOCATION_IN_USE")
	_, err = r.admin.CreateWorkspace(t.Context(), &syncv1.CreateWorkspaceRequest{Workspace: &syncv1.Workspace{TimeZone: "Mars/Base"}})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 3 {
		t.Errorf("violations = %+v", e.Violations)
	}
	// What no column can hold is the caller's mistake, and no fault of ours.
	_, err = r.admin.CreateWorkspace(t.Context(), &syncv1.CreateWorkspaceRequest{
		Workspace: &syncv1.Workspace{DisplayName: "a\x00b", TimeZone: "UTC"}, RequestId: uuid.NewString(),
	})
	rpctest.RequireError(t, err, codes.InvalidArgument, "")
	_, err = r.admin.ListWebhookEvents(t.Context(), &syncv1.ListWebhookEventsRequest{
		Parent: "workspaces/-", Filter: &syncv1.WebhookEventFilter{ErrorReason: "\x00"},
	})
	rpctest.RequireError(t, err, codes.InvalidArgument, "")
	// Who is bound to a workspace has its conversations compared, and no others.
	bound := syncv1.NewSyncServiceClient(r.as(principal.Principal{Kind: principal.KindAdmin, Workspace: w.name[len("workspaces/"):]}))
	for of, allowed := range map[string]bool{w.name: true, other.name: false, "": false} {
		_, err := bound.SyncDueConversations(t.Context(), &syncv1.SyncDueConversationsRequest{Workspace: of})
		if allowed && err != nil {
			t.Errorf("%q: %v", of, err)
		} else if !allowed {
			rpctest.RequireError(t, err, codes.PermissionDenied, "WORKSPACE_FORBIDDEN")
		}
	}
	health, err := r.admin.GetConnectionHealth(t.Context(), &syncv1.GetConnectionHealthRequest{Parent: w.name, Probe: true})
	if err != nil || health.GetConnection().GetState() != syncv1.ConnectionState_CONNECTION_STATE_CONNECTED || health.GetConnection().GetLastSuccessTime() == nil {
		t.Errorf("health = %v, %v", health, err)
	}
	if err := r.sim.SetLocationActive(location, false); err != nil {
		t.Fatal(err)
	}
	health, err = r.admin.GetConnectionHealth(t.Context(), &syncv1.GetConnectionHealthRequest{Parent: w.name, Probe: true})
	if err != nil || health.GetConnection().GetState() != syncv1.ConnectionState_CONNECTION_STATE_LOCATION_INACTIVE {
		t.Errorf("health = %v, %v", health, err)
	}
	if health.GetConnection().GetToken() != "" {
		t.Error("the token was returned")
	}
	request := uuid.NewString()
	names := map[string]bool{}
	for i := range 3 {
		out, err := r.admin.CreateWorkspace(t.Context(), &syncv1.CreateWorkspaceRequest{
			Workspace: &syncv1.Workspace{DisplayName: fmt.Sprint("Cedar ", i), TimeZone: "UTC"}, RequestId: request,
		})
		if err != nil {
			t.Fatal(err)
		}
		names[out.GetWorkspace().GetName()] = true
	}
	if len(names) != 1 {
		t.Errorf("one request id made %d workspaces", len(names))
	}
}
