package followups_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/rpctest"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
)

func (w *world) pending() []*followupsv1.Task {
	w.t.Helper()
	resp, err := w.admin.ListTasks(w.t.Context(), &followupsv1.ListTasksRequest{
		Parent: w.workspace, State: followupsv1.TaskState_TASK_STATE_PENDING, PageSize: 500,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.GetTasks()
}

func TestApprovalAndPersonsTasksLetTheSequenceGoOn(t *testing.T) {
	t.Parallel()
	approve, call := sms("Hi {firstName}", 0, 0), sms("Ask about the offer", 0, 5)
	approve.RequiresApproval, call.RequiresApproval = true, true
	call.Channel = followupsv1.StepChannel_STEP_CHANNEL_CALL
	for _, done := range []bool{true, false} {
		w := setup(t)
		e := w.enroll(w.lead(), w.sequence(approve, call, email("S", "B", 0)))
		w.tick()
		w.expect(e, paused, "awaiting_approval", 1)
		finish := func() {
			t.Helper()
			tasks := w.pending()
			if len(tasks) != 1 || tasks[0].GetWhy() == "" || tasks[0].GetSuggestedBody() == "" {
				t.Fatalf("tasks: %v", tasks)
			}
			var err error
			for range 2 { // finishing it again changes nothing
				if done {
					_, err = w.admin.CompleteTask(t.Context(), &followupsv1.CompleteTaskRequest{Name: tasks[0].GetName(), Note: "n"})
				} else {
					_, err = w.admin.SkipTask(t.Context(), &followupsv1.SkipTaskRequest{Name: tasks[0].GetName()})
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			_, err = w.admin.AssignTask(t.Context(), &followupsv1.AssignTaskRequest{Name: tasks[0].GetName(), Assignee: "x"})
			rpctest.RequireError(t, err, codes.FailedPrecondition, "TASK_NOT_PENDING")
		}
		finish()
		if done { // the approved message leaves, as it was approved
			w.tick()
			if w.sync.callCount() != 1 || w.sync.calls[0].GetBody() != "Hi Ada" {
				t.Fatalf("calls: %v", w.sync.calls)
			}
		}
		w.expect(e, active, "", 2)
		w.clock.Advance(5 * time.Minute)
		w.tick()
		w.expect(e, paused, "awaiting_approval", 2)
		finish()
		w.tick()
		w.expect(e, completed, "", 4)
		if len(w.pending()) != 0 {
			t.Fatal("tasks are left")
		}
	}
}

func TestAssignTask(t *testing.T) {
	t.Parallel()
	w := setup(t)
	call := sms("Ask", 0, 0)
	call.Channel = followupsv1.StepChannel_STEP_CHANNEL_CALL
	w.enroll(w.lead(), w.sequence(call))
	w.tick()
	name := w.pending()[0].GetName()
	if _, err := w.admin.AssignTask(t.Context(), &followupsv1.AssignTaskRequest{Name: name, Assignee: "sam"}); err != nil {
		t.Fatal(err)
	}
	if got := w.pending()[0].GetAssignee(); got != "sam" {
		t.Fatalf("assignee %q", got)
	}
	_, err := w.admin.CompleteTask(t.Context(), &followupsv1.CompleteTaskRequest{Name: w.workspace + "/tasks/00000000-0000-0000-0000-000000000001"})
	rpctest.RequireError(t, err, codes.NotFound, "")
}

func TestScheduledFollowUpHoldsTheSequences(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead := w.lead()
	e := w.enroll(lead, w.sequence(sms("Hi", 1, 0)))
	schedule := func(req *followupsv1.ScheduleFollowUpRequest) ([]*followupsv1.Task, error) {
		req.Lead = lead
		resp, err := w.admin.ScheduleFollowUp(t.Context(), req)
		return resp.GetTasks(), err
	}
	for want := 1; want <= 2; want++ { // asking again renews the question
		tasks, err := schedule(&followupsv1.ScheduleFollowUpRequest{})
		if err != nil || len(tasks) != 1 || tasks[0].GetKind() != followupsv1.TaskKind_TASK_KIND_CLARIFICATION {
			t.Fatalf("%v, %v", tasks, err)
		}
	}
	w.expect(e, active, "", 1)
	_, err := schedule(&followupsv1.ScheduleFollowUpRequest{Time: timestamppb.New(start().Add(time.Minute))})
	rpctest.RequireError(t, err, codes.InvalidArgument, "")
	at := start().AddDate(0, 0, 20)
	for range 2 {
		tasks, err := schedule(&followupsv1.ScheduleFollowUpRequest{Time: timestamppb.New(at), Note: "wants a call"})
		if err != nil || len(tasks) != 1 || !tasks[0].GetDueTime().AsTime().Equal(at) || tasks[0].GetNote() != "wants a call" {
			t.Fatalf("%v, %v", tasks, err)
		}
	}
	if got := w.expect(e, paused, "lead_snoozed", 1); !got.GetNextStepTime().AsTime().Equal(at) {
		t.Fatalf("held until %v", got.GetNextStepTime().AsTime())
	}
	// A window in March: told now, written to again a week before its first day, a Sunday, so on the Friday.
	window := time.Date(2026, 3, 8, 15, 0, 0, 0, time.UTC)
	tasks, err := schedule(&followupsv1.ScheduleFollowUpRequest{WindowStartTime: timestamppb.New(window)})
	if err != nil || len(tasks) != 3 {
		t.Fatalf("%v, %v", tasks, err)
	}
	again := tasks[2].GetDueTime().AsTime()
	if want := time.Date(2026, 2, 27, 15, 0, 0, 0, time.UTC); !again.Equal(want) {
		t.Fatalf("again at %v, want %v", again, want)
	}
}

func TestCancelledMeetingMakesOneTask(t *testing.T) {
	t.Parallel()
	w := setup(t)
	lead := w.lead()
	for minute := 1; minute <= 3; minute++ {
		w.tell(lead, typeUnbooked, start().Add(time.Duration(minute)*time.Minute), func(event *followupsv1.LeadEvent) {
			event.BookingId, event.BookingTime = "a", timestamppb.New(start().AddDate(0, 0, 1))
		})
	}
	if got := w.pending(); len(got) != 1 || got[0].GetKind() != followupsv1.TaskKind_TASK_KIND_RESCHEDULE || got[0].GetTitle() == "" {
		t.Fatalf("%v", got)
	}
	w.tell(lead, typeBlocked, start(), nil)
	if got := w.pending(); len(got) != 0 {
		t.Fatalf("tasks of a blocked lead: %v", got)
	}
}
