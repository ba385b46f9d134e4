package edge

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpc"
	"github.com/relance/relance/platform/rpctest"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
)

const (
	cronSecret  = "cron-secret-of-the-tests-1"
	cronSecret2 = "cron-secret-of-the-tests-2"
	adminSecret = "admin-secret-of-the-tests"
	workspaceID = "0190d2a4-7c1e-7a10-8a51-3f6f3a5c0001"
	leadName    = "workspaces/" + workspaceID + "/leads/0190d2a4-7c1e-7a10-8a51-3f6f3a5c0002"
)

// seen is what a service saw of its newest call.
type seen struct {
	mu    sync.Mutex
	who   principal.Principal
	meta  metadata.MD
	calls int
	body  []byte
	req   any
	fail  error
}

func (s *seen) note(ctx context.Context, req any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.who, _ = principal.FromContext(ctx)
	s.meta, _ = metadata.FromIncomingContext(ctx)
	s.req = req
	s.calls++
	return s.fail
}

func (s *seen) get() (principal.Principal, metadata.MD, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.who, s.meta, s.calls
}

type fakeSync struct {
	syncv1.UnimplementedSyncServiceServer
	seen
	identify  error
	duplicate bool
	connected string
	hangs     atomic.Bool
	// whole makes a failure that of the call, not of each webhook in it; old is a sync that does not know batches.
	whole, old bool
	batches    []batch
}

func (f *fakeSync) GetLead(ctx context.Context, r *syncv1.GetLeadRequest) (*syncv1.GetLeadResponse, error) {
	if err := f.note(ctx, r); err != nil {
		return nil, err
	}
	return &syncv1.GetLeadResponse{Lead: &syncv1.Lead{Name: r.GetName()}}, nil
}

func (f *fakeSync) ListLeads(ctx context.Context, r *syncv1.ListLeadsRequest) (*syncv1.ListLeadsResponse, error) {
	return &syncv1.ListLeadsResponse{}, f.note(ctx, r)
}

func (f *fakeSync) UpdateWorkspace(ctx context.Context, r *syncv1.UpdateWorkspaceRequest) (*syncv1.UpdateWorkspaceResponse, error) {
	return &syncv1.UpdateWorkspaceResponse{Workspace: r.GetWorkspace()}, f.note(ctx, r)
}

func (f *fakeSync) SendMessage(ctx context.Context, r *syncv1.SendMessageRequest) (*syncv1.SendMessageResponse, error) {
	if err := f.note(ctx, r); err != nil {
		return nil, err
	}
	return &syncv1.SendMessageResponse{Message: &syncv1.Message{Lead: r.GetLead(), State: syncv1.MessageState_MESSAGE_STATE_ACCEPTED}}, nil
}

func (f *fakeSync) SyncDueConversations(ctx context.Context, r *syncv1.SyncDueConversationsRequest) (*syncv1.SyncDueConversationsResponse, error) {
	return &syncv1.SyncDueConversationsResponse{
		Run: "r2", Checked: 10, Proven: 1, Unproven: 2, Deferred: 3, Failed: 4, Imported: 5, Healed: 6, Finished: true,
	}, f.note(ctx, r)
}

func (f *fakeSync) IdentifyWebhookSender(ctx context.Context, r *syncv1.IdentifyWebhookSenderRequest) (*syncv1.IdentifyWebhookSenderResponse, error) {
	who, _ := principal.FromContext(ctx)
	byPath := r.GetSource() == syncv1.WebhookSource_WEBHOOK_SOURCE_CALENDLY && r.GetWorkspace() == "workspaces/"+workspaceID
	if who.Kind != principal.KindGateway || (len(r.GetSecretSha256()) == 32) == byPath {
		return nil, errors.New("identify: not the gateway itself")
	}
	if f.identify != nil {
		return nil, f.identify
	}
	return &syncv1.IdentifyWebhookSenderResponse{Workspace: "workspaces/" + workspaceID}, nil
}

func (f *fakeSync) AcceptWebhook(ctx context.Context, r *syncv1.AcceptWebhookRequest) (*syncv1.AcceptWebhookResponse, error) {
	if f.hangs.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := f.note(ctx, r); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.body = r.GetBody()
	return &syncv1.AcceptWebhookResponse{
		Event: "webhookEvents/1", State: syncv1.WebhookState_WEBHOOK_STATE_PENDING, Duplicate: f.duplicate,
	}, nil
}

func (f *fakeSync) CreateWorkspace(ctx context.Context, r *syncv1.CreateWorkspaceRequest) (*syncv1.CreateWorkspaceResponse, error) {
	if err := f.note(ctx, r); err != nil {
		return nil, err
	}
	existed := f.connected != ""
	f.connected = r.GetConnection().GetLocation()
	return &syncv1.CreateWorkspaceResponse{Existed: existed, Workspace: &syncv1.Workspace{
		Name: "workspaces/" + workspaceID, DisplayName: r.GetWorkspace().GetDisplayName(),
		TimeZone: r.GetWorkspace().GetTimeZone(), GhlLocation: f.connected,
	}}, nil
}

func (f *fakeSync) SetConnection(ctx context.Context, r *syncv1.SetConnectionRequest) (*syncv1.SetConnectionResponse, error) {
	if err := f.note(ctx, r); err != nil {
		return nil, err
	}
	f.connected = r.GetConnection().GetLocation()
	return &syncv1.SetConnectionResponse{Connection: &syncv1.Connection{Location: f.connected}}, nil
}

type fakeFollowUps struct {
	followupsv1.UnimplementedFollowUpsServiceServer
	seen
}

// SimulateSequence answers in two parts, or fails before or after the first.
func (f *fakeFollowUps) SimulateSequence(r *followupsv1.SimulateSequenceRequest, stream grpc.ServerStreamingServer[followupsv1.SimulateSequenceResponse]) error {
	failure := f.note(stream.Context(), r)
	if failure != nil && len(r.GetLeads()) == 0 {
		return failure
	}
	if err := stream.Send(&followupsv1.SimulateSequenceResponse{Done: 1, Total: 2}); err != nil || failure != nil {
		return failure
	}
	return stream.Send(&followupsv1.SimulateSequenceResponse{Done: 2, Total: 2, Counts: &followupsv1.SimulationCounts{Leads: 2}})
}

func (f *fakeFollowUps) RunDueFollowUps(ctx context.Context, r *followupsv1.RunDueFollowUpsRequest) (*followupsv1.RunDueFollowUpsResponse, error) {
	if err := f.note(ctx, r); err != nil {
		return nil, err
	}
	return &followupsv1.RunDueFollowUpsResponse{Run: &followupsv1.Run{
		Name:       "runs/r1",
		Results:    &followupsv1.RunCounts{Processed: 15, Succeeded: 1, Failed: 2, Skipped: 3, Deferred: 4, Unknown: 5},
		Reasons:    []*followupsv1.ReasonCount{{Outcome: "skipped", Reason: "DND_ACTIVE", Count: 3}},
		Workspaces: []*followupsv1.WorkspaceCounts{{Workspace: "workspaces/w", Counts: &followupsv1.RunCounts{Processed: 15}}},
		Errors:     []string{"Enrollment e: POISONED"}, Finished: true,
		Silences: &followupsv1.SilenceCounts{
			Enabled: true, WorkspacesChecked: 2, LeadsChecked: 5, LeadsEnrolled: 3, Reasons: map[string]int32{"already_running": 2},
		},
	}}, nil
}

type fakeAvailability struct {
	availabilityv1.UnimplementedAvailabilityServiceServer
	seen
}

func (f *fakeAvailability) RefreshDueAvailability(ctx context.Context, r *availabilityv1.RefreshDueAvailabilityRequest) (*availabilityv1.RefreshDueAvailabilityResponse, error) {
	if err := f.note(ctx, r); err != nil {
		return nil, err
	}
	return &availabilityv1.RefreshDueAvailabilityResponse{FinishedWithinBudget: true, Run: "refreshRuns/r3", Receipt: &availabilityv1.RefreshReceipt{
		Checked: 15, Attempted: 6, Refreshed: 1, SkippedNoDefault: 2, SkippedUnsupportedDuration: 3, SkippedBackoff: 4, Errors: 5,
		ErrorDetails: []*availabilityv1.RefreshError{{Workspace: "workspaces/w", Reason: "CALENDAR_UNREACHABLE"}},
		Metrics: &availabilityv1.RefreshMetrics{
			TotalCaches: 20, DueCaches: 2, ErroringCaches: 5, OldestWorkspace: "workspaces/o",
			OldestAsOfTime: timestamppb.New(time.Date(2026, 1, 7, 14, 50, 0, 0, time.UTC)),
		},
	}}, nil
}

// policyOf gives every method of a service to the admin, but the named ones to their kinds.
func policyOf(desc grpc.ServiceDesc, special map[string]principal.Kind) principal.Policy {
	policy := principal.Policy{}
	for _, m := range desc.Methods {
		kind, ok := special[m.MethodName]
		if !ok {
			kind = principal.KindAdmin
		}
		policy["/"+desc.ServiceName+"/"+m.MethodName] = []principal.Kind{kind}
	}
	for _, m := range desc.Streams {
		kind, ok := special[m.StreamName]
		if !ok {
			kind = principal.KindAdmin
		}
		policy["/"+desc.ServiceName+"/"+m.StreamName] = []principal.Kind{kind}
	}
	return policy
}

// signerByAudience stands in for one signer: each test server trusts an authority of its own.
type signerByAudience map[string]*principal.Signer

func (s signerByAudience) Token(p principal.Principal, audience string) (string, error) {
	return s[audience].Token(p, audience)
}

type harness struct {
	edge         *Edge
	sync         *fakeSync
	followups    *fakeFollowUps
	availability *fakeAvailability
	key          ed25519.PrivateKey
	logs         *lockedBuffer
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// newHarness starts the three services as fakes behind real mutual TLS and an edge in front of them.
func newHarness(t testing.TB, change ...func(*Options)) *harness {
	t.Helper()
	h := &harness{sync: &fakeSync{}, followups: &fakeFollowUps{}, availability: &fakeAvailability{}, logs: &lockedBuffer{}}
	signers := signerByAudience{}
	dial := func(cfg rpctest.Config) *grpc.ClientConn {
		server := rpctest.New(t, cfg)
		identity := server.Identity(t, "gateway")
		signers[cfg.Service] = principal.NewSigner(identity.Signer(), time.Now)
		conn, err := rpc.Dial(rpc.ClientConfig{Target: server.Target(), Service: cfg.Service, Identity: identity})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	h.key = private
	cron, err := NewSecrets(cronSecret, cronSecret2)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := NewSecrets(adminSecret)
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{
		Sync: dial(rpctest.Config{
			Service: "sync",
			Policy: policyOf(syncv1.SyncService_ServiceDesc, map[string]principal.Kind{
				"IdentifyWebhookSender": principal.KindGateway, "AcceptWebhook": principal.KindWebhook,
				"BatchAcceptWebhooks": principal.KindWebhook, "SyncDueConversations": principal.KindCron,
			}),
			Register: func(r grpc.ServiceRegistrar) { syncv1.RegisterSyncServiceServer(r, h.sync) },
		}),
		FollowUps: dial(rpctest.Config{
			Service:  "followups",
			Policy:   policyOf(followupsv1.FollowUpsService_ServiceDesc, map[string]principal.Kind{"RunDueFollowUps": principal.KindCron}),
			Register: func(r grpc.ServiceRegistrar) { followupsv1.RegisterFollowUpsServiceServer(r, h.followups) },
		}),
		Availability: dial(rpctest.Config{
			Service:  "availability",
			Policy:   policyOf(availabilityv1.AvailabilityService_ServiceDesc, map[string]principal.Kind{"RefreshDueAvailability": principal.KindCron}),
			Register: func(r grpc.ServiceRegistrar) { availabilityv1.RegisterAvailabilityServiceServer(r, h.availability) },
		}),
		Tokens: signers,
		Cron:   cron, Admin: admin, WebhookKeys: []ed25519.PublicKey{public},
		CronBudget: 5 * time.Second, CallTimeout: 5 * time.Second, WebhookTimeout: 5 * time.Second,
		Clock:  clock.NewMovable(time.Date(2026, 1, 7, 15, 0, 0, 250e6, time.UTC)),
		Logger: slog.New(slog.NewJSONHandler(h.logs, nil)),
	}
	for _, c := range change {
		c(&opts)
	}
	h.edge, err = New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// untouchable is a body whose first Read fails the test.
type untouchable struct{ t testing.TB }

func (u untouchable) Read([]byte) (int, error) {
	u.t.Helper()
	u.t.Error("the body was read")
	return 0, io.ErrUnexpectedEOF
}

func (h *harness) do(t testing.TB, method, path string, header map[string]string, body io.Reader) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, body)
	for key, value := range header {
		r.Header.Set(key, value)
	}
	w := httptest.NewRecorder()
	h.edge.ServeHTTP(w, r)
	return w
}

func admin() map[string]string { return map[string]string{"X-Admin-Secret": adminSecret} }

func object(t testing.TB, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	out := map[string]any{}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("answer %q is not JSON: %v", w.Body.String(), err)
	}
	return out
}

// requireStatus checks the HTTP status and, for errors, the reason in the google.rpc.Status body.
func requireStatus(t testing.TB, w *httptest.ResponseRecorder, code int, reason string) {
	t.Helper()
	if w.Code != code {
		t.Fatalf("status = %d, want %d; body %s", w.Code, code, w.Body.String())
	}
	if code < http.StatusBadRequest {
		return
	}
	body := object(t, w)
	if _, ok := body["code"].(float64); !ok {
		t.Fatalf("body %s is not a google.rpc.Status", w.Body.String())
	}
	if reason != "" && !strings.Contains(w.Body.String(), reason) {
		t.Fatalf("body %s lacks reason %s", w.Body.String(), reason)
	}
}
