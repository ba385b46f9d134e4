package followups_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpctest"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/services/followups"
)

func (w *world) exec(statement string) {
	w.t.Helper()
	err := postgres.InTx(context.Background(), w.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), statement)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// count is the answer of a query for one number.
func (w *world) count(query string) (n int) {
	w.t.Helper()
	err := postgres.InTx(context.Background(), w.pool, func(tx pgx.Tx) error {
		return tx.QueryRow(context.Background(), query).Scan(&n)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) event(lead string, kind followupsv1.LeadEventType, at time.Time) *followupsv1.LeadEvent {
	return &followupsv1.LeadEvent{EventId: uuid.NewString(), Lead: lead, Type: kind, EventTime: timestamppb.New(at)}
}

func (w *world) handle(events ...*followupsv1.LeadEvent) *followupsv1.HandleLeadEventsResponse {
	w.t.Helper()
	resp, err := w.events.HandleLeadEvents(w.t.Context(), &followupsv1.HandleLeadEventsRequest{Events: events})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp
}

func TestEveryMethodForEveryKind(t *testing.T) {
	t.Parallel()
	w := setup(t)
	desc := followupsv1.FollowUpsService_ServiceDesc
	policy := followups.Policy()
	if methods := len(desc.Methods) + len(desc.Streams); len(policy) != methods {
		t.Fatalf("%d rows for %d methods", len(policy), methods)
	}
	for _, kind := range principal.AllKinds() {
		p := principal.Principal{Kind: kind}
		if kind == principal.KindUser {
			p.ID = "u1"
		}
		if kind == principal.KindWebhook {
			p.Workspace = uuid.NewString()
		}
		conn := w.server.ConnAs(t, p)
		for _, method := range desc.Streams {
			full := "/" + desc.ServiceName + "/" + method.StreamName
			stream, err := conn.NewStream(t.Context(), &method, full)
			if err == nil {
				_ = stream.SendMsg(&followupsv1.DeleteSequenceResponse{}) // the answer tells
				_ = stream.CloseSend()
				err = stream.RecvMsg(&followupsv1.DeleteSequenceResponse{})
			}
			denied := err != nil && strings.Contains(err.Error(), "may not call")
			if allowed := slices.Contains(policy[full], kind); denied == allowed {
				t.Errorf("%s calls %s: allowed %v, got %v", kind, method.StreamName, allowed, err)
			}
		}
		for _, method := range desc.Methods {
			full := "/" + desc.ServiceName + "/" + method.MethodName
			allowed := false
			for _, k := range policy[full] {
				allowed = allowed || k == kind
			}
			// An empty message of any type decodes as any other: the answer tells only whether the call passed the gate.
			err := conn.Invoke(t.Context(), full, &followupsv1.DeleteSequenceResponse{}, &followupsv1.DeleteSequenceResponse{})
			denied := err != nil && strings.Contains(err.Error(), "may not call")
			if denied == allowed {
				t.Errorf("%s calls %s: allowed %v, got %v", kind, method.MethodName, allowed, err)
			}
		}
	}
}

func TestRowsOfAnotherWorkspaceStayHidden(t *testing.T) {
	t.Parallel()
	w := setup(t)
	name := w.enroll(w.lead(), w.sequence(sms("Hi", 0, 0)))
	w.tick()
	for _, table := range []string{"sequence", "sequence_step", "enrollment", "step_plan", "task", "run_item", "run"} {
		for workspace, want := range map[string]bool{w.workspace[len("workspaces/"):]: table != "run", uuid.NewString(): false} {
			var count int
			err := postgres.InWorkspace(t.Context(), w.pool, workspace, func(tx pgx.Tx) error {
				return tx.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&count)
			})
			if err != nil || (count > 0) != want {
				t.Errorf("%s: %d rows, %v", table, count, err)
			}
		}
	}
	other := strings.Replace(name, w.workspace, "workspaces/"+uuid.NewString(), 1)
	_, err := w.admin.GetEnrollment(t.Context(), &followupsv1.GetEnrollmentRequest{Name: other})
	rpctest.RequireError(t, err, codes.NotFound, "")
	bound := w.as(principal.Principal{Kind: principal.KindAdmin, Workspace: uuid.NewString()})
	_, err = bound.GetEnrollment(t.Context(), &followupsv1.GetEnrollmentRequest{Name: name})
	rpctest.RequireError(t, err, codes.PermissionDenied, "WORKSPACE_FORBIDDEN")
	// Runs are of all workspaces, and their receipts name them.
	runs, err := w.admin.ListRuns(t.Context(), &followupsv1.ListRunsRequest{})
	if err != nil || len(runs.GetRuns()) != 1 {
		t.Fatalf("runs = %v, %v", runs, err)
	}
	_, err = bound.ListRuns(t.Context(), &followupsv1.ListRunsRequest{})
	rpctest.RequireError(t, err, codes.PermissionDenied, "WORKSPACE_FORBIDDEN")
	_, err = bound.GetRun(t.Context(), &followupsv1.GetRunRequest{Name: runs.GetRuns()[0].GetName()})
	rpctest.RequireError(t, err, codes.PermissionDenied, "WORKSPACE_FORBIDDEN")
	_, err = bound.RunDueFollowUps(t.Context(), &followupsv1.RunDueFollowUpsRequest{})
	rpctest.RequireError(t, err, codes.PermissionDenied, "WORKSPACE_FORBIDDEN")
}

func TestDatabaseRefusesReceiptsThatDoNotAddUp(t *testing.T) {
	t.Parallel()
	w := setup(t)
	receipt := w.tick()
	err := postgres.InTx(t.Context(), w.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE run SET processed = processed + 1 WHERE id = $1`, receipt.GetName()[len("runs/"):])
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "run_adds_up") {
		t.Fatalf("error: %v", err)
	}
	err = postgres.InTx(t.Context(), w.pool, func(tx pgx.Tx) error {
		w.sequence(sms("Hi", 0, 0))
		_, err := tx.Exec(t.Context(), `UPDATE sequence_step SET body_template = 'x'`)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "do not change") {
		t.Fatalf("error: %v", err)
	}
}

func TestSequenceLifecycle(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	_, err := w.admin.CreateSequence(ctx, &followupsv1.CreateSequenceRequest{Parent: w.workspace, Sequence: &followupsv1.Sequence{
		DisplayName: "bad", Active: true, Steps: []*followupsv1.SequenceStep{email("", "{foo}", 0), sms(" ", 0, 0)},
	}})
	if e := rpctest.RequireError(t, err, codes.FailedPrecondition, "SEQUENCE_INVALID"); e.Metadata["violations"] != "3" || len(e.Preconditions) != 3 {
		t.Fatalf("%+v", e)
	}
	_, err = w.admin.CreateSequence(ctx, &followupsv1.CreateSequenceRequest{Parent: w.workspace, Sequence: &followupsv1.Sequence{
		Steps: []*followupsv1.SequenceStep{{DelayDays: -1, BodyTemplate: strings.Repeat("x", 64<<10+1)}},
	}})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 4 {
		t.Fatalf("%+v", e.Violations)
	}
	req := &followupsv1.CreateSequenceRequest{Parent: w.workspace, RequestId: uuid.NewString(), Sequence: &followupsv1.Sequence{
		DisplayName: "good", Steps: []*followupsv1.SequenceStep{sms("one", 0, 0)},
	}}
	created, err := w.admin.CreateSequence(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.admin.CreateSequence(ctx, req)
	if err != nil || again.GetSequence().GetName() != created.GetSequence().GetName() || len(again.GetSequence().GetSteps()) != 1 {
		t.Fatalf("%v, %v", again, err)
	}
	seq := created.GetSequence()
	_, err = w.admin.EnrollLead(ctx, &followupsv1.EnrollLeadRequest{
		Parent: w.workspace, Enrollment: &followupsv1.Enrollment{Lead: w.lead(), Sequence: seq.GetName()},
	})
	rpctest.RequireError(t, err, codes.FailedPrecondition, "SEQUENCE_INACTIVE")
	update := func(in *followupsv1.Sequence, paths ...string) (*followupsv1.Sequence, error) {
		in.Name = seq.GetName()
		resp, err := w.admin.UpdateSequence(ctx, &followupsv1.UpdateSequenceRequest{Sequence: in, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
		return resp.GetSequence(), err
	}
	if got, err := update(&followupsv1.Sequence{Active: true}, "active"); err != nil || got.GetVersion() != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	pinned := w.enroll(w.lead(), seq.GetName())
	if got, err := update(&followupsv1.Sequence{Steps: []*followupsv1.SequenceStep{sms("two", 0, 0)}}, "steps"); err != nil || got.GetVersion() != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	_, err = update(&followupsv1.Sequence{}, "name")
	rpctest.RequireError(t, err, codes.InvalidArgument, "")
	_, err = update(&followupsv1.Sequence{}, "steps")
	rpctest.RequireError(t, err, codes.FailedPrecondition, "SEQUENCE_INVALID")
	_, err = w.admin.DeleteSequence(ctx, &followupsv1.DeleteSequenceRequest{Name: seq.GetName()})
	rpctest.RequireError(t, err, codes.FailedPrecondition, "ENROLLMENT_NOT_ACTIVE")

	if _, err := update(&followupsv1.Sequence{}, "active"); err != nil {
		t.Fatal(err)
	}
	w.tick()
	w.expect(pinned, paused, "sequence_inactive", 1)
	if _, err := update(&followupsv1.Sequence{Active: true}, "active"); err != nil {
		t.Fatal(err)
	}
	w.tick()
	w.expect(pinned, completed, "", 2)
	if w.sync.calls[0].GetBody() != "one" {
		t.Fatalf("a running enrollment left its version: %v", w.sync.calls)
	}
	if _, err := w.admin.DeleteSequence(ctx, &followupsv1.DeleteSequenceRequest{Name: seq.GetName()}); err != nil {
		t.Fatal(err)
	}
	_, err = w.admin.GetSequence(ctx, &followupsv1.GetSequenceRequest{Name: seq.GetName()})
	rpctest.RequireError(t, err, codes.NotFound, "")
}

func TestEnrollmentGuards(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := t.Context()
	sequence, lead := w.sequence(sms("Hi", 1, 0)), w.lead()
	enroll := func(lead, request string) (*followupsv1.EnrollLeadResponse, error) {
		return w.admin.EnrollLead(ctx, &followupsv1.EnrollLeadRequest{
			Parent: w.workspace, Enrollment: &followupsv1.Enrollment{Lead: lead, Sequence: sequence}, RequestId: request,
		})
	}
	request := uuid.NewString()
	first, err := enroll(lead, request)
	if err != nil {
		t.Fatal(err)
	}
	again, err := enroll(lead, request)
	if err != nil || again.GetEnrollment().GetName() != first.GetEnrollment().GetName() {
		t.Fatalf("%v, %v", again, err)
	}
	_, err = enroll(w.lead(), request)
	if e := rpctest.RequireError(t, err, codes.AlreadyExists, "REQUEST_ID_REUSED"); e.Metadata["fields"] != "lead" {
		t.Fatalf("%v", e.Metadata)
	}
	_, err = enroll(lead, uuid.NewString())
	if e := rpctest.RequireError(t, err, codes.AlreadyExists, "ALREADY_ENROLLED"); e.Metadata["enrollment"] != first.GetEnrollment().GetName() {
		t.Fatalf("%v", e.Metadata)
	}
	blocked := w.lead()
	w.sync.leads[blocked].Blocked = true
	_, err = enroll(blocked, "")
	if e := rpctest.RequireError(t, err, codes.FailedPrecondition, "LEAD_NOT_ELIGIBLE"); e.Metadata["cause"] != "blocked" {
		t.Fatalf("%v", e.Metadata)
	}
	_, err = enroll(w.workspace+"/leads/"+uuid.NewString(), "")
	rpctest.RequireError(t, err, codes.FailedPrecondition, "LEAD_NOT_ELIGIBLE")
	_, err = w.admin.EnrollLead(ctx, &followupsv1.EnrollLeadRequest{Parent: w.workspace, RequestId: "x"})
	if e := rpctest.RequireError(t, err, codes.InvalidArgument, ""); len(e.Violations) != 3 {
		t.Fatalf("%+v", e.Violations)
	}
	name := first.GetEnrollment().GetName()
	if _, err := w.admin.PauseEnrollment(ctx, &followupsv1.PauseEnrollmentRequest{Name: name}); err != nil {
		t.Fatal(err)
	}
	_, err = w.admin.PauseEnrollment(ctx, &followupsv1.PauseEnrollmentRequest{Name: name})
	if e := rpctest.RequireError(t, err, codes.FailedPrecondition, "ENROLLMENT_NOT_ACTIVE"); e.Metadata["state"] != "paused" {
		t.Fatalf("%v", e.Metadata)
	}
	if _, err := w.admin.CancelEnrollment(ctx, &followupsv1.CancelEnrollmentRequest{Name: name}); err != nil {
		t.Fatal(err)
	}
	_, err = w.admin.ResumeEnrollment(ctx, &followupsv1.ResumeEnrollmentRequest{Name: name})
	rpctest.RequireError(t, err, codes.FailedPrecondition, "ENROLLMENT_NOT_ACTIVE")
	if _, err := enroll(lead, ""); err != nil {
		t.Fatalf("a cancelled enrollment stands in the way: %v", err)
	}
}
