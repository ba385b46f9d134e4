package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/relance/relance/platform/apierr"
	followupsv1 "github.com/relance/relance/proto/gen/relance/followups/v1"
	"github.com/relance/relance/services/followups/internal/followup"
)

const (
	maxSetting   = 500
	maxQuestions = 10
	maxDailyCap  = 20
	maxGhostDays = 90
)

// GetSettings reads a workspace's settings.
func (s *Server) GetSettings(ctx context.Context, req *followupsv1.GetSettingsRequest) (*followupsv1.GetSettingsResponse, error) {
	workspace, err := parent(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	settings, err := s.cfg.Store.GetSettings(ctx, workspace)
	if err != nil {
		return nil, mapped(err, "workspace", req.GetParent())
	}
	return &followupsv1.GetSettingsResponse{Settings: settingsPB(workspace, settings)}, nil
}

// UpdateSettings changes the fields of the mask.
func (s *Server) UpdateSettings(ctx context.Context, req *followupsv1.UpdateSettingsRequest) (*followupsv1.UpdateSettingsResponse, error) {
	workspace, err := parent(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	paths := req.GetUpdateMask().GetPaths()
	err = checkMask(paths, "work_start", "work_end", "work_days", "paused_until_time", "sender_name", "company_name",
		"target_result", "qualification_questions", "refusal_rules", "daily_cap_per_channel", "paused_channels", "ghost_after_days")
	if err != nil {
		return nil, err
	}
	settings, err := s.cfg.Store.UpdateSettings(ctx, workspace, s.now(), func(current *followup.Settings) error {
		var violations []apierr.FieldViolation
		for _, path := range paths {
			if path == "refusal_rules" {
				violations = append(violations, setRefusals(current, req.GetSettings().GetRefusalRules())...)
				continue
			}
			if problem := set(current, path, req.GetSettings()); problem != "" {
				violations = append(violations, apierr.FieldViolation{Field: "settings." + path, Description: problem})
			}
		}
		if len(violations) > 0 {
			return apierr.Invalid(violations...)
		}
		return nil
	})
	if err != nil {
		return nil, mapped(err, "workspace", req.GetParent())
	}
	return &followupsv1.UpdateSettingsResponse{Settings: settingsPB(workspace, settings)}, nil
}

// set changes one field and tells what is wrong with its new value.
func set(current *followup.Settings, path string, in *followupsv1.Settings) string {
	switch path {
	case "work_start":
		return setClock(&current.Hours.Start, in.GetWorkStart())
	case "work_end":
		return setClock(&current.Hours.End, in.GetWorkEnd())
	case "work_days":
		return setDays(current, in.GetWorkDays())
	case "paused_until_time":
		current.PausedUntil = time.Time{}
		if in.GetPausedUntilTime() != nil {
			if in.GetPausedUntilTime().CheckValid() != nil {
				return "is not a time"
			}
			current.PausedUntil = in.GetPausedUntilTime().AsTime()
		}
	case "sender_name":
		return setText(&current.SenderName, in.GetSenderName())
	case "company_name":
		return setText(&current.CompanyName, in.GetCompanyName())
	case "target_result":
		return setText(&current.TargetResult, in.GetTargetResult())
	case "daily_cap_per_channel":
		if in.GetDailyCapPerChannel() < 0 || in.GetDailyCapPerChannel() > maxDailyCap {
			return fmt.Sprintf("must be 0 to %d", maxDailyCap)
		}
		current.DailyCap = int(in.GetDailyCapPerChannel())
	case "ghost_after_days":
		if in.GetGhostAfterDays() < 1 || in.GetGhostAfterDays() > maxGhostDays {
			return fmt.Sprintf("must be 1 to %d", maxGhostDays)
		}
		current.GhostDays = int(in.GetGhostAfterDays())
	case "paused_channels":
		return setChannels(&current.PausedChannels, in.GetPausedChannels())
	case "qualification_questions":
		if len(in.GetQualificationQuestions()) > maxQuestions {
			return fmt.Sprintf("must be at most %d", maxQuestions)
		}
		current.Questions = make([]string, len(in.GetQualificationQuestions()))
		for i, question := range in.GetQualificationQuestions() {
			if problem := setText(&current.Questions[i], question); problem != "" {
				return problem
			}
		}
	}
	return ""
}

func setRefusals(current *followup.Settings, rules []*followupsv1.RefusalRule) []apierr.FieldViolation {
	var read reader
	current.Refusals = read.policy("settings.", rules)
	return append(read.violations, fields(current.Refusals.Check("settings."))...)
}

func setClock(field *int, text string) string {
	minutes, err := followup.ParseClock(text)
	if err != nil {
		return `must be "HH:MM"`
	}
	*field = minutes
	return ""
}

func setText(field *string, text string) string {
	if utf8.RuneCountInString(text) > maxSetting || strings.ContainsRune(text, 0) {
		return fmt.Sprintf("must have at most %d characters", maxSetting)
	}
	*field = text
	return ""
}

func setChannels(field *[]followup.Channel, in []followupsv1.StepChannel) string {
	var out []followup.Channel
	for _, channel := range in {
		own := channels().of(channel)
		if own == "" || own == followup.Wait {
			return "must be SMS, EMAIL, LINKEDIN or CALL"
		}
		if !slices.Contains(out, own) {
			out = append(out, own)
		}
	}
	*field = out
	return ""
}

func setDays(current *followup.Settings, days []followupsv1.Weekday) string {
	if len(days) == 0 {
		return "needs at least one day"
	}
	var out []time.Weekday
	for _, day := range days {
		if day < followupsv1.Weekday_WEEKDAY_MONDAY || day > followupsv1.Weekday_WEEKDAY_SUNDAY {
			return "is not a weekday"
		}
		if !slices.Contains(out, weekday(day)) {
			out = append(out, weekday(day))
		}
	}
	current.Hours.Days = out
	return ""
}
