package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// Settings are stored settings; Updated is zero for defaults.
type Settings struct {
	followup.Settings
	// Updated is a business time.
	Updated time.Time
}

func toSettings(row db.Setting) Settings {
	out := Settings{Updated: row.UpdateTime.UTC(), Settings: followup.Settings{
		Hours:       followup.Hours{Start: int(row.WorkStart), End: int(row.WorkEnd)},
		PausedUntil: value(row.PausedUntil), SenderName: row.SenderName, CompanyName: row.CompanyName,
		TargetResult: row.TargetResult, Questions: row.Questions, Refusals: toPolicy(row.Refusals), DailyCap: int(row.DailyCap), GhostDays: int(row.GhostDays),
	}}
	for _, channel := range row.PausedChannels {
		out.PausedChannels = append(out.PausedChannels, followup.Channel(channel))
	}
	for _, day := range row.WorkDays {
		out.Hours.Days = append(out.Hours.Days, time.Weekday(day))
	}
	return out
}

// GetSettings reads a workspace's settings, or the defaults.
func (s *Store) GetSettings(ctx context.Context, workspace uuid.UUID) (out Settings, err error) {
	err = s.in(ctx, workspace, func(q *db.Queries) error {
		row, err := q.GetSettings(ctx, workspace)
		if postgres.IsNoRows(err) {
			out.Settings = followup.DefaultSettings()
			return nil
		}
		out = toSettings(row)
		return err
	})
	return out, err
}

// UpdateSettings changes the settings by change and looks again at what had been deferred because of them.
func (s *Store) UpdateSettings(ctx context.Context, workspace uuid.UUID, now time.Time, change func(*followup.Settings) error) (out Settings, err error) {
	err = s.in(ctx, workspace, func(q *db.Queries) error {
		current := followup.DefaultSettings()
		row, err := q.LockSettings(ctx, workspace)
		if err == nil {
			current = toSettings(row).Settings
		} else if !postgres.IsNoRows(err) {
			return fmt.Errorf("lock settings: %w", err)
		}
		if err := change(&current); err != nil {
			return err
		}
		params := db.SaveSettingsParams{
			WorkspaceID: workspace, WorkStart: int32(current.Hours.Start), WorkEnd: int32(current.Hours.End),
			PausedUntil: optional(current.PausedUntil), SenderName: current.SenderName, CompanyName: current.CompanyName,
			TargetResult: current.TargetResult, Questions: append([]string{}, current.Questions...),
			Refusals: fromPolicy(current.Refusals), DailyCap: int32(current.DailyCap), GhostDays: int32(current.GhostDays), Now: now,
		}
		params.PausedChannels = []string{}
		for _, channel := range current.PausedChannels {
			params.PausedChannels = append(params.PausedChannels, string(channel))
		}
		for _, day := range current.Hours.Days {
			params.WorkDays = append(params.WorkDays, int32(day))
		}
		if row, err = q.SaveSettings(ctx, params); err != nil {
			return fmt.Errorf("save settings: %w", err)
		}
		out = toSettings(row)
		err = q.RecheckPaused(ctx, db.RecheckPausedParams{WorkspaceID: workspace, Now: now, Reasons: followup.MendedBySettings()})
		if err != nil {
			return fmt.Errorf("recheck paused: %w", err)
		}
		return q.WakeDeferred(ctx, db.WakeDeferredParams{
			WorkspaceID: workspace, Now: now, Reasons: []string{followup.ReasonWorkspacePaused, followup.ReasonChannelPaused, followup.ReasonBusinessHours},
		})
	})
	return out, err
}
