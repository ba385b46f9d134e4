package server_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
	"github.com/relance/relance/platform/secretbox"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/provider"
	"github.com/relance/relance/services/availability/internal/refresh"
	"github.com/relance/relance/services/availability/internal/server"
	"github.com/relance/relance/services/availability/internal/store"
)

// fakeSync stands for the sync service: workspaces, and calendars that answer what the test says.
type fakeSync struct {
	syncv1.UnimplementedSyncServiceServer
	mu         sync.Mutex
	workspaces []uuid.UUID
	calls      map[string]int
	asked      []*syncv1.ListFreeSlotsRequest
	slots      []time.Time
	fail       error
	// failFor fails looks at single workspaces, directoryDown every question about workspaces.
	failFor       map[string]error
	directoryDown error
	// changed is when a workspace was last changed, where it was after newWorld; agencies is whose it is. listed counts the
	// pages asked for, found the workspaces on them.
	changed       map[uuid.UUID]time.Time
	agencies      map[uuid.UUID]string
	listed, found int
	// pagesAtOnce, when set, is how many more pages are answered; the others wait until the caller gives up. tokens are those asked for.
	pagesAtOnce *int
	tokens      []string
	// page is how many workspaces are listed at once; 0 means two, so that paging is walked.
	page int
	// booked are the bookings by request id, refuse is what a new one is answered, feed the taken times told.
	booked map[string]*syncv1.Booking
	refuse error
	asks   []*syncv1.BookAppointmentRequest
	feed   []*syncv1.TakenTime
	// hold, when set, keeps a look waiting until it is closed; holdFor those at single calendars.
	hold    chan struct{}
	holdFor map[string]chan struct{}
	// length is how long slots are, when it is asked for; 0 does not tell. lengthAsked counts the questions.
	length      time.Duration
	lengthAsked int
	// slotsOf are the free times of calendars that do not have those of slots.
	slotsOf map[string][]time.Time
}

func (f *fakeSync) ListFreeSlots(ctx context.Context, req *syncv1.ListFreeSlotsRequest) (*syncv1.ListFreeSlotsResponse, error) {
	f.mu.Lock()
	f.calls[req.GetParent()]++
	f.asked = append(f.asked, req)
	f.calls[req.GetCalendar()]++
	length := f.length
	if req.GetWithSlotDuration() {
		f.lengthAsked++
	}
	hold, fail, starts := f.hold, f.fail, f.slots
	if own, ok := f.slotsOf[req.GetCalendar()]; ok {
		starts = own
	}
	if only := f.holdFor[req.GetCalendar()]; only != nil {
		hold = only
	}
	for _, of := range []string{req.GetParent(), req.GetCalendar()} {
		if only := f.failFor[of]; only != nil {
			fail = only
		}
	}
	f.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if fail != nil {
		return nil, fail
	}
	out := &syncv1.ListFreeSlotsResponse{}
	if req.GetWithSlotDuration() && length > 0 {
		out.SlotDuration = durationpb.New(length)
	}
	for _, start := range starts {
		out.StartTimes = append(out.StartTimes, timestamppb.New(start))
	}
	return out, nil
}

func (f *fakeSync) ListWorkspaces(ctx context.Context, req *syncv1.ListWorkspacesRequest) (*syncv1.ListWorkspacesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokens = append(f.tokens, req.GetPageToken())
	if f.pagesAtOnce != nil {
		if *f.pagesAtOnce--; *f.pagesAtOnce < 0 {
			f.mu.Unlock()
			<-ctx.Done()
			f.mu.Lock()
			return nil, ctx.Err()
		}
	}
	if f.directoryDown != nil {
		return nil, f.directoryDown
	}
	out := &syncv1.ListWorkspacesResponse{}
	from := 0
	if req.GetPageToken() != "" {
		from = len(req.GetPageToken())
	}
	size := f.page
	if size == 0 {
		size = 2
	}
	all := f.workspaces
	if since := req.GetUpdatedSince(); since != nil {
		all = slices.DeleteFunc(slices.Clone(all), func(id uuid.UUID) bool { return f.changed[id].Before(since.AsTime()) })
	}
	to := min(from+size, len(all))
	f.listed++
	for _, id := range all[from:to] {
		f.found++
		out.Workspaces = append(out.Workspaces, &syncv1.Workspace{Name: "workspaces/" + id.String(), Agency: f.agencies[id]})
	}
	if to < len(all) {
		out.NextPageToken = strings.Repeat("x", to)
	}
	return out, nil
}

func (f *fakeSync) GetWorkspace(_ context.Context, req *syncv1.GetWorkspaceRequest) (*syncv1.GetWorkspaceResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.directoryDown != nil {
		return nil, f.directoryDown
	}
	for _, id := range f.workspaces {
		if "workspaces/"+id.String() == req.GetName() {
			return &syncv1.GetWorkspaceResponse{Workspace: &syncv1.Workspace{Name: req.GetName()}}, nil
		}
	}
	return nil, apierr.NotFound("workspace", req.GetName())
}

func (f *fakeSync) set(change func(*fakeSync)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakeSync) count(workspace string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[workspace]
}

// logs counts the lines written to it.
type logs struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *logs) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(l.out.String()), "\n")
	l.out.Reset()
	if lines[0] == "" {
		return nil
	}
	return lines
}

type world struct {
	sync       *fakeSync
	syncServer *rpctest.Server
	clock      *clock.Movable
	db         *pgtest.DB
	box        *secretbox.Box
	pool       *pgxpool.Pool
	store      *store.Store
	refresher  *refresh.Refresher
	server     *rpctest.Server
	admin      availabilityv1.AvailabilityServiceClient
	followups  availabilityv1.AvailabilityServiceClient
	cron       availabilityv1.AvailabilityServiceClient
	logs       *logs
}

// now is a Wednesday, 10:00 in New York.
func now() time.Time { return time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC) }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		sync: &fakeSync{calls: map[string]int{}, changed: map[uuid.UUID]time.Time{}, agencies: map[uuid.UUID]string{}, slots: []time.Time{
			now().Add(4 * time.Hour), now().Add(time.Hour), now().Add(29 * time.Hour), now().Add(24 * time.Hour),
		}},
		clock: clock.NewMovable(now()), logs: &logs{},
	}
	w.db = pgtest.New(t, store.Migrations())
	w.pool = w.db.Pool(t, store.Schema)
	policy := principal.Policy{}
	for _, m := range syncv1.SyncService_ServiceDesc.Methods {
		policy["/"+syncv1.SyncService_ServiceDesc.ServiceName+"/"+m.MethodName] = []principal.Kind{principal.KindAvailability}
	}
	for _, m := range syncv1.SyncService_ServiceDesc.Streams {
		policy["/"+syncv1.SyncService_ServiceDesc.ServiceName+"/"+m.StreamName] = []principal.Kind{principal.KindAvailability}
	}
	syncServer := rpctest.New(t, rpctest.Config{Service: "sync", Policy: policy, Register: func(r grpc.ServiceRegistrar) {
		syncv1.RegisterSyncServiceServer(r, w.sync)
	}})
	w.box = box(t)
	w.store, w.syncServer = store.New(w.pool, w.box), syncServer
	w.refresher = w.newRefresher(t, syncServer, 0)
	t.Cleanup(w.refresher.Wait)
	w.server = rpctest.New(t, rpctest.Config{Service: store.Schema, Policy: server.Policy(), Register: func(r grpc.ServiceRegistrar) {
		availabilityv1.RegisterAvailabilityServiceServer(r, server.New(server.Deps{
			Store: w.store, Refresher: w.refresher, Clock: w.clock,
			Directory: provider.NewSync(syncServer.Conn(t, store.Schema)), Bookings: provider.NewSync(syncServer.Conn(t, store.Schema)),
		}))
	}})
	w.admin = w.client(t, principal.KindAdmin)
	w.followups = w.client(t, principal.KindFollowUps)
	w.cron = w.client(t, principal.KindCron)
	return w
}

func box(t *testing.T) *secretbox.Box {
	t.Helper()
	keys, err := secretbox.GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	b, err := secretbox.New(keys)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newRefresher makes one that reads so many calendars at once; 0 means its default.
func (w *world) newRefresher(t *testing.T, syncServer *rpctest.Server, concurrency int) *refresh.Refresher {
	t.Helper()
	source := provider.NewSync(syncServer.Conn(t, store.Schema))
	return refresh.New(refresh.Config{
		Store: w.store, Provider: provider.Router{calendar.GHL: source}, Directory: source, Clock: w.clock,
		Logger: slog.New(slog.NewJSONHandler(w.logs, nil)), Jitter: func() float64 { return 0 },
		Concurrency: concurrency,
	})
}

func (w *world) client(t *testing.T, kind principal.Kind) availabilityv1.AvailabilityServiceClient {
	t.Helper()
	return availabilityv1.NewAvailabilityServiceClient(w.server.ConnAs(t, principal.Principal{Kind: kind}))
}

// workspace makes a workspace known to sync and gives its name.
func (w *world) workspace(t *testing.T) string {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	w.sync.set(func(f *fakeSync) { f.workspaces, f.changed[id] = append(f.workspaces, id), w.clock.Now() })
	return "workspaces/" + id.String()
}

func ghlLink() *availabilityv1.CalendarLink {
	return &availabilityv1.CalendarLink{
		DisplayName: "Intro call", Provider: availabilityv1.CalendarProvider_CALENDAR_PROVIDER_GHL,
		ExternalId: "ocQHyuzHvysMo5N5VsXc", PublicUrl: "https://book.example.com/intro",
	}
}

func (w *world) link(t *testing.T, workspace string) *availabilityv1.CalendarLink {
	t.Helper()
	out, err := w.admin.CreateCalendarLink(t.Context(), &availabilityv1.CreateCalendarLinkRequest{
		Parent: workspace, CalendarLink: ghlLink(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.GetCalendarLink()
}

func (w *world) tick(t *testing.T) *availabilityv1.RefreshReceipt {
	t.Helper()
	// The budget is shortened to what the caller's deadline leaves: a loaded machine needs all of it.
	out, err := w.cron.RefreshDueAvailability(patient(t), &availabilityv1.RefreshDueAvailabilityRequest{TimeBudget: durationpb.New(55 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	r := out.GetReceipt()
	sum := r.GetRefreshed() + r.GetSkippedNoDefault() + r.GetSkippedUnsupportedDuration() + r.GetSkippedBackoff() + r.GetErrors()
	if r.GetChecked() != sum || !out.GetFinishedWithinBudget() {
		t.Fatalf("receipt does not add up or is not finished: %v", out)
	}
	return r
}

func (w *world) slots(t *testing.T, workspace string) (*availabilityv1.GetSlotsResponse, error) {
	t.Helper()
	return w.followups.GetSlots(t.Context(), &availabilityv1.GetSlotsRequest{Parent: workspace, TimeZone: "America/New_York"})
}

// patient has a deadline of its own, instead of a call's default, for what a busy machine makes slow.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
