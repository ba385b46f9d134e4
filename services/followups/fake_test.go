package followups_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/followups"
	"github.com/relance/relance/services/followups/internal/run"
	"github.com/relance/relance/services/followups/internal/server"
	"github.com/relance/relance/services/followups/internal/store"
)

// fakeSync keeps leads and answers sends as sync does: the same request id with the same content answers the same
// message, with other content REQUEST_ID_REUSED. It exists in tests only.
type fakeSync struct {
	syncv1.UnimplementedSyncServiceServer
	mu   sync.Mutex
	zone string
	// disabled is the kill switch.
	disabled bool
	leads    map[string]*syncv1.Lead
	// calls are all SendMessage requests; sent are the distinct ones accepted.
	calls []*syncv1.SendMessageRequest
	sent  map[string]*syncv1.SendMessageRequest
	// texts are those of replies, by message.
	texts map[string]string
	// textsAway: texts cannot be read.
	textsAway atomic.Bool
	// checks are the questions to the gate; foretold, if set, answers them instead of the leads' flags.
	checks   int
	foretold func(*syncv1.SendCheck) *syncv1.SendCheckResult
	// connections are the states of connections by provider; with a nil map GHL is connected.
	connections map[string]syncv1.ConnectionState
	// before, if set, is called first for each SendMessage, without the lock.
	before func(*syncv1.SendMessageRequest)
	// answer, if set, replaces the acceptance.
	answer func(*syncv1.SendMessageRequest) (*syncv1.Message, error)
	down   atomic.Bool
}

func (f *fakeSync) GetWorkspace(_ context.Context, req *syncv1.GetWorkspaceRequest) (*syncv1.GetWorkspaceResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &syncv1.GetWorkspaceResponse{Workspace: &syncv1.Workspace{Name: req.GetName(), TimeZone: f.zone, SendingDisabled: f.disabled}}, nil
}

func (f *fakeSync) GetLead(_ context.Context, req *syncv1.GetLeadRequest) (*syncv1.GetLeadResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	lead, ok := f.leads[req.GetName()]
	if !ok {
		return nil, apierr.NotFound("lead", req.GetName())
	}
	return &syncv1.GetLeadResponse{Lead: proto.CloneOf(lead)}, nil
}

func (f *fakeSync) BatchGetLeads(_ context.Context, req *syncv1.BatchGetLeadsRequest) (*syncv1.BatchGetLeadsResponse, error) {
	if f.down.Load() {
		return nil, apierr.Unavailable("away", nil)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := &syncv1.BatchGetLeadsResponse{}
	for _, name := range req.GetNames() {
		if lead, ok := f.leads[name]; ok {
			out.Leads = append(out.Leads, proto.CloneOf(lead))
		}
	}
	return out, nil
}

func (f *fakeSync) SendMessage(_ context.Context, req *syncv1.SendMessageRequest) (*syncv1.SendMessageResponse, error) {
	if f.before != nil {
		f.before(req)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, proto.CloneOf(req))
	if before, ok := f.sent[req.GetRequestId()]; ok && before.GetBody() != req.GetBody() {
		return nil, apierr.New(codes.AlreadyExists, "sync.relance.dev", "REQUEST_ID_REUSED", "other content")
	}
	if f.answer != nil {
		message, err := f.answer(req)
		if message != nil || err != nil {
			return &syncv1.SendMessageResponse{Message: message}, err
		}
	}
	f.sent[req.GetRequestId()] = proto.CloneOf(req)
	return &syncv1.SendMessageResponse{Message: &syncv1.Message{
		Name: "workspaces/" + req.GetLead()[11:47] + "/messages/" + req.GetRequestId(), State: syncv1.MessageState_MESSAGE_STATE_ACCEPTED,
	}}, nil
}

func (f *fakeSync) GetConnectionHealth(_ context.Context, req *syncv1.GetConnectionHealthRequest) (*syncv1.GetConnectionHealthResponse, error) {
	if f.down.Load() {
		return nil, apierr.Unavailable("away", nil)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	state, ok := f.connections[req.GetProvider()]
	if f.connections == nil && req.GetProvider() == "ghl" {
		state, ok = syncv1.ConnectionState_CONNECTION_STATE_CONNECTED, true
	}
	if !ok {
		return nil, refusal("PROVIDER_NOT_CONNECTED")
	}
	return &syncv1.GetConnectionHealthResponse{Connection: &syncv1.Connection{State: state}}, nil
}

// CheckSend answers as the gate would.
func (f *fakeSync) CheckSend(_ context.Context, req *syncv1.CheckSendRequest) (*syncv1.CheckSendResponse, error) {
	if f.down.Load() {
		return nil, apierr.Unavailable("away", nil)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checks += len(req.GetChecks())
	out := &syncv1.CheckSendResponse{}
	for _, check := range req.GetChecks() {
		if f.foretold != nil {
			out.Results = append(out.Results, f.foretold(check))
			continue
		}
		result := &syncv1.SendCheckResult{Verdict: syncv1.SendVerdict_SEND_VERDICT_ALLOW}
		if _, err := f.gate(&syncv1.SendMessageRequest{Lead: check.GetLead(), Channel: check.GetChannel()}); err != nil {
			refused, _ := apierr.From(err)
			result.Verdict, result.Reason, result.Metadata = syncv1.SendVerdict_SEND_VERDICT_DENY, refused.Reason, refused.Metadata
		}
		out.Results = append(out.Results, result)
	}
	return out, nil
}

// GetMessage gives the text of a reply.
func (f *fakeSync) GetMessage(_ context.Context, req *syncv1.GetMessageRequest) (*syncv1.GetMessageResponse, error) {
	if f.textsAway.Load() {
		return nil, apierr.Unavailable("away", nil)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	text, ok := f.texts[req.GetName()]
	if !ok {
		return nil, apierr.NotFound("message", req.GetName())
	}
	return &syncv1.GetMessageResponse{Message: &syncv1.Message{Name: req.GetName(), Body: text}}, nil
}

func (f *fakeSync) callCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls)
}

func (f *fakeSync) answerWith(fn func(*syncv1.SendMessageRequest) (*syncv1.Message, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = fn
}

func refusal(reason string) error {
	return apierr.New(codes.FailedPrecondition, "sync.relance.dev", reason, "refused")
}

// fakeAvailability offers two slots, or refuses.
type fakeAvailability struct {
	availabilityv1.UnimplementedAvailabilityServiceServer
	mu    sync.Mutex
	err   error
	calls int
	// offers are what was offered, by request id; offered counts those of times.
	offers  map[string]*fakeOffer
	offered int
	// first, if set, is the earliest time of an offer.
	first time.Time
}

func (f *fakeAvailability) GetSlots(context.Context, *availabilityv1.GetSlotsRequest) (*availabilityv1.GetSlotsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.err != nil {
		return nil, f.err
	}
	return &availabilityv1.GetSlotsResponse{
		State: availabilityv1.AvailabilityState_AVAILABILITY_STATE_OK, PublicUrl: "https://book.example.com/acme",
		Suggestions: []*availabilityv1.Slot{{Label: fmt.Sprintf("slot A%d", f.calls)}, {Label: "slot B"}},
	}, nil
}

func (f *fakeAvailability) OfferSlots(_ context.Context, req *availabilityv1.OfferSlotsRequest) (*availabilityv1.OfferSlotsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.err != nil {
		return nil, f.err
	}
	if old := f.offers[req.GetRequestId()]; old != nil {
		if !proto.Equal(old.asked, req) {
			return nil, apierr.New(codes.AlreadyExists, "availability.relance.dev", "REQUEST_ID_REUSED", "another offer")
		}
		return &availabilityv1.OfferSlotsResponse{Offer: old.offer}, nil
	}
	offer := &availabilityv1.Offer{Lead: req.GetLead(), PublicUrl: "https://book.example.com/acme", State: availabilityv1.AvailabilityState_AVAILABILITY_STATE_OK}
	if !req.GetLinkOnly() {
		f.offered++
		label := fmt.Sprintf("slot A%d", f.offered)
		if req.GetTimeZone() != "America/New_York" {
			label += " " + req.GetTimeZone()
		}
		offer.Slots = []*availabilityv1.Slot{{Label: label}, {Label: "slot B"}}
		if !f.first.IsZero() {
			offer.Slots[0].StartTime = timestamppb.New(f.first.Add(time.Hour))
			offer.Slots[1].StartTime = timestamppb.New(f.first)
		}
	}
	if f.offers == nil {
		f.offers = map[string]*fakeOffer{}
	}
	f.offers[req.GetRequestId()] = &fakeOffer{asked: req, offer: offer}
	return &availabilityv1.OfferSlotsResponse{Offer: offer}, nil
}

type fakeOffer struct {
	asked *availabilityv1.OfferSlotsRequest
	offer *availabilityv1.Offer
}

// world is a followups service on a real database between fakes.
type world struct {
	t            *testing.T
	db           *pgtest.DB
	pool         *pgxpool.Pool
	clock        *clock.Movable
	sync         *fakeSync
	availability *fakeAvailability
	server       *rpctest.Server
	runner       func(func(*run.Config)) *run.Runner
	admin, cron  followupsv1.FollowUpsServiceClient
	events       followupsv1.FollowUpsServiceClient
	workspace    string
}

// start is Wednesday, 10:00 in New York.
func start() time.Time { return time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC) }

func setup(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, clock: clock.NewMovable(start()), workspace: "workspaces/" + uuid.NewString(),
		sync:         &fakeSync{zone: "America/New_York", leads: map[string]*syncv1.Lead{}, sent: map[string]*syncv1.SendMessageRequest{}, texts: map[string]string{}},
		availability: &fakeAvailability{},
	}
	w.db = pgtest.New(t, followups.Migrations())
	w.pool = w.db.Pool(t, followups.Name)
	syncServer := serveSync(t, w.sync)
	availabilityServer := rpctest.New(t, rpctest.Config{
		Service: "availability", Policy: allow(&availabilityv1.AvailabilityService_ServiceDesc),
		Register: func(r grpc.ServiceRegistrar) { availabilityv1.RegisterAvailabilityServiceServer(r, w.availability) },
	})
	base := run.Config{
		Store: store.New(w.pool), Sync: syncv1.NewSyncServiceClient(syncServer.Conn(t, "followups")),
		Availability: availabilityv1.NewAvailabilityServiceClient(availabilityServer.Conn(t, "followups")), Clock: w.clock,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), BatchSize: 20, MaxAttempts: 3,
	}
	w.runner = func(change func(*run.Config)) *run.Runner {
		cfg := base
		change(&cfg)
		return run.New(cfg)
	}
	w.server = rpctest.New(t, rpctest.Config{
		Service: followups.Name, Policy: followups.Policy(),
		Register: func(r grpc.ServiceRegistrar) {
			followupsv1.RegisterFollowUpsServiceServer(r, server.New(server.Config{
				Store: base.Store, Runner: run.New(base), Sync: base.Sync, Availability: base.Availability, Clock: w.clock, MaxAttempts: 3,
			}))
		},
	})
	w.admin = w.as(principal.Principal{Kind: principal.KindAdmin})
	w.cron = w.as(principal.Principal{Kind: principal.KindCron})
	w.events = w.as(principal.Principal{Kind: principal.KindSync})
	return w
}

func serveSync(t *testing.T, impl syncv1.SyncServiceServer) *rpctest.Server {
	t.Helper()
	return rpctest.New(t, rpctest.Config{
		Service: "sync", Policy: allow(&syncv1.SyncService_ServiceDesc),
		Register: func(r grpc.ServiceRegistrar) { syncv1.RegisterSyncServiceServer(r, impl) },
	})
}

func (w *world) as(p principal.Principal) followupsv1.FollowUpsServiceClient {
	return followupsv1.NewFollowUpsServiceClient(w.server.ConnAs(w.t, p))
}

func allow(desc *grpc.ServiceDesc) principal.Policy {
	policy := principal.Policy{}
	for _, method := range desc.Methods {
		policy["/"+desc.ServiceName+"/"+method.MethodName] = []principal.Kind{principal.KindFollowUps}
	}
	for _, method := range desc.Streams {
		policy["/"+desc.ServiceName+"/"+method.StreamName] = []principal.Kind{principal.KindFollowUps}
	}
	return policy
}

// lead adds a lead named Ada to the fake and gives its name.
func (w *world) lead() string {
	name := w.workspace + "/leads/" + uuid.NewString()
	w.sync.mu.Lock()
	defer w.sync.mu.Unlock()
	w.sync.leads[name] = &syncv1.Lead{Name: name, FirstName: "Ada", Email: "ada@example.com", Phone: "+12025550123"}
	return name
}

func (w *world) sequence(steps ...*followupsv1.SequenceStep) string {
	w.t.Helper()
	resp, err := w.admin.CreateSequence(w.t.Context(), &followupsv1.CreateSequenceRequest{
		Parent: w.workspace, Sequence: &followupsv1.Sequence{
			DisplayName: "s" + uuid.NewString(), Active: true, Trigger: followupsv1.Trigger_TRIGGER_LEAD_CREATED, Steps: steps,
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.GetSequence().GetName()
}

// oldSequence is one that became active before the workspace lost what it needs.
func (w *world) oldSequence(steps ...*followupsv1.SequenceStep) string {
	w.t.Helper()
	resp, err := w.admin.CreateSequence(w.t.Context(), &followupsv1.CreateSequenceRequest{
		Parent: w.workspace, Sequence: &followupsv1.Sequence{DisplayName: "s" + uuid.NewString(), Steps: steps},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	_, id, _ := strings.Cut(resp.GetSequence().GetName(), "/sequences/")
	w.exec(`UPDATE sequence SET active = true WHERE id = '` + id + `'`)
	return resp.GetSequence().GetName()
}

func (w *world) enroll(lead, sequence string) string {
	w.t.Helper()
	resp, err := w.admin.EnrollLead(w.t.Context(), &followupsv1.EnrollLeadRequest{
		Parent: w.workspace, Enrollment: &followupsv1.Enrollment{Lead: lead, Sequence: sequence},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.GetEnrollment().GetName()
}

func (w *world) enrollment(name string) *followupsv1.Enrollment {
	w.t.Helper()
	resp, err := w.admin.GetEnrollment(w.t.Context(), &followupsv1.GetEnrollmentRequest{Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.GetEnrollment()
}

func (w *world) tasks() []*followupsv1.Task {
	w.t.Helper()
	resp, err := w.admin.ListTasks(w.t.Context(), &followupsv1.ListTasksRequest{Parent: w.workspace, PageSize: 500})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.GetTasks()
}

// tick runs what is due and checks that the receipt adds up.
func (w *world) tick() *followupsv1.Run {
	w.t.Helper()
	resp, err := w.cron.RunDueFollowUps(w.t.Context(), &followupsv1.RunDueFollowUpsRequest{})
	if err != nil {
		w.t.Fatal(err)
	}
	c := resp.GetRun().GetResults()
	if c.GetProcessed() != c.GetSucceeded()+c.GetFailed()+c.GetSkipped()+c.GetDeferred()+c.GetUnknown() {
		w.t.Fatalf("the receipt does not add up: %v", c)
	}
	return resp.GetRun()
}

// expect checks the enrollment's state, reason and position.
func (w *world) expect(name string, state followupsv1.EnrollmentState, reason string, position int32) *followupsv1.Enrollment {
	w.t.Helper()
	e := w.enrollment(name)
	if e.GetState() != state || e.GetReason() != reason || e.GetNextStepPosition() != position {
		w.t.Fatalf("enrollment is %s %q at step %d, want %s %q at step %d",
			e.GetState(), e.GetReason(), e.GetNextStepPosition(), state, reason, position)
	}
	return e
}

func sms(body string, days, minutes int32) *followupsv1.SequenceStep {
	return &followupsv1.SequenceStep{
		Channel: followupsv1.StepChannel_STEP_CHANNEL_SMS, BodyTemplate: body, DelayDays: days, DelayMinutes: minutes,
	}
}

func email(subject, body string, days int32) *followupsv1.SequenceStep {
	return &followupsv1.SequenceStep{
		Channel: followupsv1.StepChannel_STEP_CHANNEL_EMAIL, SubjectTemplate: subject, BodyTemplate: body, DelayDays: days,
	}
}

const (
	active    = followupsv1.EnrollmentState_ENROLLMENT_STATE_ACTIVE
	paused    = followupsv1.EnrollmentState_ENROLLMENT_STATE_PAUSED
	completed = followupsv1.EnrollmentState_ENROLLMENT_STATE_COMPLETED
	cancelled = followupsv1.EnrollmentState_ENROLLMENT_STATE_CANCELLED
	awaiting  = followupsv1.EnrollmentState_ENROLLMENT_STATE_AWAITING_OUTCOME
)
