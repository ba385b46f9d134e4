package server

import (
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/name"
	"github.com/relance/relance/services/followups/internal/store"
)

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func enrollmentPB(e followup.Enrollment) *followupsv1.Enrollment {
	states := map[followup.State]followupsv1.EnrollmentState{
		followup.Active:    followupsv1.EnrollmentState_ENROLLMENT_STATE_ACTIVE,
		followup.Paused:    followupsv1.EnrollmentState_ENROLLMENT_STATE_PAUSED,
		followup.Completed: followupsv1.EnrollmentState_ENROLLMENT_STATE_COMPLETED,
		followup.Cancelled: followupsv1.EnrollmentState_ENROLLMENT_STATE_CANCELLED,
		followup.Awaiting:  followupsv1.EnrollmentState_ENROLLMENT_STATE_AWAITING_OUTCOME,
	}
	return &followupsv1.Enrollment{
		Name: name.Child(e.Workspace, "enrollments", e.ID), Lead: name.Lead(e.Workspace, e.Lead),
		Sequence: name.Child(e.Workspace, "sequences", e.Sequence), SequenceVersion: int32(e.Version),
		State: states[e.State], Reason: e.Reason, NextStepPosition: int32(e.Position), NextStepTime: stamp(e.Next),
		StartTime: stamp(e.Start), EndTime: stamp(e.End),
	}
}

func taskStates() map[followup.TaskState]followupsv1.TaskState {
	return map[followup.TaskState]followupsv1.TaskState{
		followup.TaskPending:   followupsv1.TaskState_TASK_STATE_PENDING,
		followup.TaskCompleted: followupsv1.TaskState_TASK_STATE_COMPLETED,
		followup.TaskSkipped:   followupsv1.TaskState_TASK_STATE_SKIPPED,
		followup.TaskCancelled: followupsv1.TaskState_TASK_STATE_CANCELLED,
	}
}

func countsPB(c store.Counts) *followupsv1.RunCounts {
	return &followupsv1.RunCounts{
		Processed: int32(c.Processed()), Succeeded: int32(c[followup.Succeeded]), Failed: int32(c[followup.Failed]),
		Skipped: int32(c[followup.Skipped]), Deferred: int32(c[followup.Deferred]), Unknown: int32(c[followup.Unknown]),
	}
}

func runPB(run store.Run) *followupsv1.Run {
	out := &followupsv1.Run{
		Name: name.Run(run.ID), Results: countsPB(run.Counts), Errors: run.Failures, Finished: run.Finished,
		StartTime: stamp(run.Start), EndTime: stamp(run.End),
		Pauses: &followupsv1.PauseCounts{
			Checked: int32(run.Counts.Checked()), Resumed: int32(run.Counts[followup.Resumed]), Waiting: int32(run.Counts[followup.Waiting]),
		},
	}
	if found := run.Silences; found.Reasons != nil {
		out.Silences = &followupsv1.SilenceCounts{
			Enabled: found.Enabled, WorkspacesChecked: int32(found.Workspaces), LeadsChecked: int32(found.Checked),
			LeadsEnrolled: int32(found.Enrolled), Reasons: make(map[string]int32, len(found.Reasons)),
		}
		for reason, n := range found.Reasons {
			out.Silences.Reasons[reason] = int32(n)
		}
	}
	for _, r := range run.Reasons {
		out.Reasons = append(out.Reasons, &followupsv1.ReasonCount{Outcome: string(r.Result), Reason: r.Reason, Count: int32(r.Count)})
	}
	for _, w := range run.Workspaces {
		out.Workspaces = append(out.Workspaces, &followupsv1.WorkspaceCounts{
			Workspace: name.Workspace(w.Workspace), Counts: countsPB(w.Counts),
		})
	}
	return out
}

// weekday converts between time.Weekday, where Sunday is 0, and the API's, where Monday is 1 and Sunday 7.
func weekday(day followupsv1.Weekday) time.Weekday { return time.Weekday(day % 7) }

func weekdayPB(day time.Weekday) followupsv1.Weekday {
	if day == time.Sunday {
		return followupsv1.Weekday_WEEKDAY_SUNDAY
	}
	return followupsv1.Weekday(day)
}

func settingsPB(workspace uuid.UUID, s store.Settings) *followupsv1.Settings {
	out := &followupsv1.Settings{
		Name: name.Workspace(workspace) + "/followUpSettings", WorkStart: followup.FormatClock(s.Hours.Start),
		WorkEnd: followup.FormatClock(s.Hours.End), PausedUntilTime: stamp(s.PausedUntil), SenderName: s.SenderName,
		CompanyName: s.CompanyName, TargetResult: s.TargetResult, QualificationQuestions: s.Questions, UpdateTime: stamp(s.Updated),
		RefusalRules: policyPB(s.Refusals), DailyCapPerChannel: int32(s.DailyCap), GhostAfterDays: int32(s.GhostDays),
	}
	for _, day := range s.Hours.Days {
		out.WorkDays = append(out.WorkDays, weekdayPB(day))
	}
	for _, channel := range s.PausedChannels {
		out.PausedChannels = append(out.PausedChannels, channelPB(channel))
	}
	return out
}
