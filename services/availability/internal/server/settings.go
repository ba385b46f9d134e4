package server

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

const (
	minMeeting, maxMeeting     = 5 * time.Minute, 8 * time.Hour
	meetingStep                = 5 * time.Minute
	minLookAhead, maxLookAhead = time.Hour, 31 * 24 * time.Hour
	maxLocale, maxLowSlots     = 64, 1000
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
	row, err := s.store.Read(ctx, slots.Default(workspace))
	if err != nil {
		return nil, toStatus(err)
	}
	return &availabilityv1.GetSettingsResponse{Settings: settingsProto(row)}, nil
}

// UpdateSettings changes the fields of the mask.
func (s *Server) UpdateSettings(ctx context.Context, req *availabilityv1.UpdateSettingsRequest) (*availabilityv1.UpdateSettingsResponse, error) {
	var bad problems
	workspace := bad.workspace(req.GetParent())
	paths := bad.mask(req.GetUpdateMask(), "meeting_duration", "look_ahead", "offer_strategy", "locale", "low_slots_threshold")
	change := store.Settings{Now: s.clock.Now()}
	if paths["meeting_duration"] {
		change.Meeting = bad.duration("settings.meeting_duration", req.GetSettings().GetMeetingDuration(),
			bounds{minMeeting, maxMeeting, meetingStep})
	}
	if paths["look_ahead"] {
		change.LookAhead = bad.duration("settings.look_ahead", req.GetSettings().GetLookAhead(),
			bounds{minLookAhead, maxLookAhead, time.Second})
	}
	bad.offering(req.GetSettings(), paths, &change)
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

// offering reads how times are chosen and said, and when few are told of.
func (p *problems) offering(in *availabilityv1.Settings, paths map[string]bool, change *store.Settings) {
	if paths["offer_strategy"] {
		strategy, known := strategies[in.GetOfferStrategy()]
		if !known {
			p.add("settings.offer_strategy", "is not known")
		}
		if strategy == "" {
			strategy = slots.Distributed
		}
		change.Strategy = &strategy
	}
	if paths["locale"] {
		locale := in.GetLocale()
		if locale == "" {
			locale = slots.DefaultLocale
		}
		if _, err := slots.FindLocale(locale); err != nil || len(locale) > maxLocale {
			p.add("settings.locale", "must be a BCP 47 tag of English, French, German, Spanish, Italian, Portuguese or Dutch")
		}
		change.Locale = &locale
	}
	if paths["low_slots_threshold"] {
		threshold := int(in.GetLowSlotsThreshold())
		if threshold < 0 || threshold > maxLowSlots {
			p.add("settings.low_slots_threshold", "must be 0 to %d", maxLowSlots)
		}
		change.LowThreshold = &threshold
	}
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
		LookAhead: durationpb.New(row.LookAhead), OfferStrategy: strategyProto(row.Strategy), Locale: row.Locale,
		LowSlotsThreshold: int32(row.LowThreshold),
	}
	if !row.SettingsTime.IsZero() {
		out.UpdateTime = timestamppb.New(row.SettingsTime)
	}
	return out
}
