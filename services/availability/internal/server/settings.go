package server

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/store"
)

const (
	minMeeting, maxMeeting     = 5 * time.Minute, 8 * time.Hour
	meetingStep                = 5 * time.Minute
	minLookAhead, maxLookAhead = time.Hour, 31 * 24 * time.Hour
)

// GetSettings reads settings.
func (s *Server) GetSettings(ctx context.Context, req *availabilityv1.GetSettingsRequest) (*availabilityv1.GetSettingsResponse, error) {
	var bad problems
	workspace := bad.workspace(req.GetParent())
	if err := bad.err(); err != nil {
		return nil, err
	}
	if err := s.admit(ctx, workspace); err != nil {
		return nil, err
	}
	row, err := s.store.Read(ctx, workspace)
	if err != nil {
		return nil, toStatus(err)
	}
	return &availabilityv1.GetSettingsResponse{Settings: settingsProto(row)}, nil
}

// UpdateSettings changes the fields of the mask.
func (s *Server) UpdateSettings(ctx context.Context, req *availabilityv1.UpdateSettingsRequest) (*availabilityv1.UpdateSettingsResponse, error) {
	var bad problems
	workspace := bad.workspace(req.GetParent())
	paths := bad.mask(req.GetUpdateMask(), "meeting_duration", "look_ahead")
	change := store.Settings{Now: s.clock.Now()}
	if paths["meeting_duration"] {
		change.Meeting = bad.duration("settings.meeting_duration", req.GetSettings().GetMeetingDuration(),
			bounds{minMeeting, maxMeeting, meetingStep})
	}
	if paths["look_ahead"] {
		change.LookAhead = bad.duration("settings.look_ahead", req.GetSettings().GetLookAhead(),
			bounds{minLookAhead, maxLookAhead, time.Second})
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	if err := s.admit(ctx, workspace); err != nil {
		return nil, err
	}
	row, err := s.store.UpdateSettings(ctx, workspace, change)
	if err != nil {
		return nil, toStatus(err)
	}
	return &availabilityv1.UpdateSettingsResponse{Settings: settingsProto(row)}, nil
}

type bounds struct{ least, most, step time.Duration }

func (p *problems) duration(field string, value *durationpb.Duration, accepted bounds) *time.Duration {
	if value == nil {
		p.add(field, "is required when the mask names it")
		return nil
	}
	d := value.AsDuration()
	if value.CheckValid() != nil || d < accepted.least || d > accepted.most || d%accepted.step != 0 {
		p.add(field, "must be %v to %v in steps of %v", accepted.least, accepted.most, accepted.step)
	}
	return &d
}

func settingsProto(row store.Row) *availabilityv1.Settings {
	out := &availabilityv1.Settings{
		Name: workspaceName(row.Workspace) + "/availabilitySettings", MeetingDuration: durationpb.New(row.Meeting),
		LookAhead: durationpb.New(row.LookAhead),
	}
	if !row.SettingsTime.IsZero() {
		out.UpdateTime = timestamppb.New(row.SettingsTime)
	}
	return out
}
