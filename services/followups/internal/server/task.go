package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/apierr"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/name"
	"github.com/relance/relance/services/followups/internal/store"
)

const (
	maxNote     = 2000
	maxAssignee = 200
)

func taskKinds() named[followupsv1.TaskKind, store.TaskKind] {
	return named[followupsv1.TaskKind, store.TaskKind]{
		followupsv1.TaskKind_TASK_KIND_STEP: store.TaskStep, followupsv1.TaskKind_TASK_KIND_RESCHEDULE: store.TaskReschedule,
		followupsv1.TaskKind_TASK_KIND_SCHEDULED: store.TaskScheduled, followupsv1.TaskKind_TASK_KIND_WINDOW_NOTICE: store.TaskWindowNotice,
		followupsv1.TaskKind_TASK_KIND_RECONTACT: store.TaskRecontact, followupsv1.TaskKind_TASK_KIND_CLARIFICATION: store.TaskClarification,
	}
}

func taskPB(workspace uuid.UUID, task store.Task) *followupsv1.Task {
	out := &followupsv1.Task{
		Name: name.Child(workspace, "tasks", task.ID), Lead: name.Lead(workspace, task.Lead), StepPosition: int32(task.Position),
		Channel: channelPB(task.Channel), State: taskStates()[task.State], Reason: task.Reason, Message: task.Message,
		SuggestedSubject: task.Subject, SuggestedBody: task.Body, CreateTime: stamp(task.Created), Kind: taskKinds().pb(task.Kind),
		Title: task.Title, DueTime: stamp(task.Due), Assignee: task.Assignee, Note: task.Note, FinishTime: stamp(task.Finished),
		Why: why(task),
	}
	if task.Enrollment != uuid.Nil {
		out.Enrollment = name.Child(workspace, "enrollments", task.Enrollment)
	}
	return out
}

// why says in words why a task exists.
func why(task store.Task) string {
	if task.Kind != store.TaskStep {
		return task.Title
	}
	if task.Reason == "" {
		return fmt.Sprintf("step %d was sent", task.Position)
	}
	meaning, _ := followup.MeaningOf(task.Reason)
	return fmt.Sprintf("step %d %s", task.Position, meaning.Says)
}

// checkText says what is wrong with a text of a person; empty when nothing is.
func checkText(text string, most int) string {
	if utf8.RuneCountInString(text) > most || strings.ContainsRune(text, 0) {
		return fmt.Sprintf("must have at most %d characters", most)
	}
	return ""
}

// CompleteTask records that a person did a task.
func (s *Server) CompleteTask(ctx context.Context, req *followupsv1.CompleteTaskRequest) (*followupsv1.CompleteTaskResponse, error) {
	task, err := s.finish(ctx, req.GetName(), store.Finish{Done: true, Note: req.GetNote()})
	if err != nil {
		return nil, err
	}
	return &followupsv1.CompleteTaskResponse{Task: task}, nil
}

// SkipTask records that a task is not done.
func (s *Server) SkipTask(ctx context.Context, req *followupsv1.SkipTaskRequest) (*followupsv1.SkipTaskResponse, error) {
	task, err := s.finish(ctx, req.GetName(), store.Finish{Note: req.GetNote()})
	if err != nil {
		return nil, err
	}
	return &followupsv1.SkipTaskResponse{Task: task}, nil
}

func (s *Server) finish(ctx context.Context, text string, f store.Finish) (*followupsv1.Task, error) {
	workspace, id, err := child(ctx, "name", text, "tasks")
	if err != nil {
		return nil, err
	}
	if problem := checkText(f.Note, maxNote); problem != "" {
		return nil, invalid("note", problem)
	}
	task, err := s.cfg.Store.GetTask(ctx, workspace, id)
	if err != nil {
		return nil, mapped(err, "task", text)
	}
	f.Workspace, f.Task, f.Zone = workspace, id, s.leadZone(ctx, workspace, task.Lead)
	if task, err = s.cfg.Store.FinishTask(ctx, f, s.now()); err != nil {
		return nil, taskError(err, task, text)
	}
	return taskPB(workspace, task), nil
}

func taskError(err error, task store.Task, subject string) error {
	if errors.Is(err, store.ErrNotPending) {
		return notPending(task.State, subject)
	}
	return mapped(err, "task", subject)
}

// AssignTask says who does a task.
func (s *Server) AssignTask(ctx context.Context, req *followupsv1.AssignTaskRequest) (*followupsv1.AssignTaskResponse, error) {
	workspace, id, err := child(ctx, "name", req.GetName(), "tasks")
	if err != nil {
		return nil, err
	}
	if problem := checkText(req.GetAssignee(), maxAssignee); problem != "" {
		return nil, invalid("assignee", problem)
	}
	before, err := s.cfg.Store.GetTask(ctx, workspace, id)
	if err != nil {
		return nil, mapped(err, "task", req.GetName())
	}
	task, err := s.cfg.Store.AssignTask(ctx, workspace, id, req.GetAssignee())
	if err != nil {
		return nil, taskError(err, before, req.GetName())
	}
	return &followupsv1.AssignTaskResponse{Task: taskPB(workspace, task)}, nil
}

// ScheduleFollowUp sets a one-off follow-up.
func (s *Server) ScheduleFollowUp(ctx context.Context, req *followupsv1.ScheduleFollowUpRequest) (*followupsv1.ScheduleFollowUpResponse, error) {
	workspace, lead, err := child(ctx, "lead", req.GetLead(), "leads")
	if err != nil {
		return nil, err
	}
	in := store.Schedule{Workspace: workspace, Lead: lead, Channel: channels().of(req.GetChannel()), Note: req.GetNote()}
	if problem := checkText(in.Note, maxNote); problem != "" {
		return nil, invalid("note", problem)
	}
	if in.Plan, err = s.oneOff(ctx, workspace, lead, req); err != nil {
		return nil, err
	}
	if _, err := s.eligible(ctx, req.GetLead()); err != nil {
		return nil, err
	}
	tasks, err := s.cfg.Store.ScheduleFollowUp(ctx, in, s.now())
	if err != nil {
		return nil, mapped(err, "lead", req.GetLead())
	}
	out := &followupsv1.ScheduleFollowUpResponse{}
	for _, task := range tasks {
		out.Tasks = append(out.Tasks, taskPB(workspace, task))
	}
	return out, nil
}

func (s *Server) oneOff(ctx context.Context, workspace, lead uuid.UUID, req *followupsv1.ScheduleFollowUpRequest) (followup.OneOff, error) {
	at, window := req.GetTime(), req.GetWindowStartTime()
	var violations []apierr.FieldViolation
	if at != nil && window != nil {
		violations = append(violations, apierr.FieldViolation{Field: "window_start_time", Description: "must not be set together with time"})
	}
	if at.CheckValid() != nil && at != nil {
		violations = append(violations, apierr.FieldViolation{Field: "time", Description: "is not a time"})
	}
	if window.CheckValid() != nil && window != nil {
		violations = append(violations, apierr.FieldViolation{Field: "window_start_time", Description: "is not a time"})
	}
	if len(violations) > 0 {
		return followup.OneOff{}, apierr.Invalid(violations...)
	}
	switch {
	case at != nil:
		plan, err := followup.OneOffAt(at.AsTime(), s.now())
		if err != nil {
			return plan, invalid("time", err.Error())
		}
		return plan, nil
	case window != nil:
		settings, err := s.cfg.Store.GetSettings(ctx, workspace)
		if err != nil {
			return followup.OneOff{}, mapped(err, "workspace", name.Workspace(workspace))
		}
		plan, err := followup.OneOffWindow(window.AsTime(), s.now(), settings.Hours, s.leadZone(ctx, workspace, lead))
		if err != nil {
			return plan, invalid("window_start_time", err.Error())
		}
		return plan, nil
	}
	return followup.OneOffUnclear(s.now()), nil
}
