package availability_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/relance/relance/platform/config"
	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/platform/rpc"
	"github.com/relance/relance/platform/rpctest"
	"github.com/relance/relance/platform/secretbox"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/availability"
)

type directory struct {
	syncv1.UnimplementedSyncServiceServer
	workspace string
}

func (d directory) ListWorkspaces(context.Context, *syncv1.ListWorkspacesRequest) (*syncv1.ListWorkspacesResponse, error) {
	return &syncv1.ListWorkspacesResponse{Workspaces: []*syncv1.Workspace{{Name: d.workspace}}}, nil
}

func startSync(t *testing.T, workspace string) *rpctest.Server {
	t.Helper()
	policy := principal.Policy{}
	for _, m := range syncv1.SyncService_ServiceDesc.Methods {
		policy["/"+syncv1.SyncService_ServiceDesc.ServiceName+"/"+m.MethodName] = []principal.Kind{principal.KindAvailability}
	}
	for _, m := range syncv1.SyncService_ServiceDesc.Streams {
		policy["/"+syncv1.SyncService_ServiceDesc.ServiceName+"/"+m.StreamName] = []principal.Kind{principal.KindAvailability}
	}
	return rpctest.New(t, rpctest.Config{Service: "sync", Policy: policy, Register: func(r grpc.ServiceRegistrar) {
		syncv1.RegisterSyncServiceServer(r, directory{workspace: workspace})
	}})
}

// The assembled service is ready, refreshes by its own schedule, and stops in good order.
func TestServiceRunsItsSchedule(t *testing.T) {
	t.Parallel()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	syncServer := startSync(t, "workspaces/"+id.String())
	db := pgtest.New(t, availability.Migrations())
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	lines := &watcher{}
	keys, err := secretbox.GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	service, err := availability.New(t.Context(), availability.Config{
		KeysetJSON: config.Secret{Secret: redact.Secret(keys)}, DatabaseURL: db.DSN(availability.Name),
		SyncTarget: syncServer.Target(), Schedule: true,
	}, availability.Deps{
		Listener: listener, Identity: syncServer.Identity(t, availability.Name),
		Logger: slog.New(slog.NewJSONHandler(lines, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()
	eventually(t, "the schedule refreshed nothing", func() bool { return lines.has(id.String(), "NO_DEFAULT_CALENDAR") })
	if err := service.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	conn, err := rpc.Dial(rpc.ClientConfig{
		Target: listener.Addr().String(), Service: availability.Name, Identity: syncServer.Identity(t, "gateway"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	eventually(t, "not serving", func() bool {
		answer, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		return err == nil && answer.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING
	})
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the service does not stop")
	}
}

func TestConfigProblemsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	_, err := availability.New(t.Context(), availability.Config{TTL: time.Second, Concurrency: 201}, availability.Deps{})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"database URL", "sync target", "TTL", "concurrency"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

func eventually(t *testing.T, problem string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(problem)
		}
	}
}

type watcher struct {
	mu  sync.Mutex
	out strings.Builder
}

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(p)
}

func (w *watcher) has(texts ...string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range texts {
		if !strings.Contains(w.out.String(), text) {
			return false
		}
	}
	return true
}
