package stack

import (
	"context"
	"fmt"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/process"
	"github.com/relance/relance/services/availability"
	"github.com/relance/relance/services/followups"
	"github.com/relance/relance/services/sync"
)

func (s *Stack) services(ctx context.Context) error {
	for _, start := range []func(context.Context) (process.Component, error){s.sync, s.availability, s.followups} {
		part, err := start(ctx)
		if err != nil {
			return fmt.Errorf("start: %w", err)
		}
		s.parts = append(s.parts, part)
	}
	return nil
}

func (s *Stack) sync(ctx context.Context) (process.Component, error) {
	identity, err := s.CA.Issue("sync")
	if err != nil {
		return process.Component{}, err
	}
	keyset, err := s.keyset()
	if err != nil {
		return process.Component{}, err
	}
	cfg := s.opts.Settings.Sync
	cfg.DatabaseURL, cfg.FollowUpsTarget = postgres.RoleDSN(s.adminDSN, "sync"), s.Targets["followups"]
	cfg.GHLBaseURL, cfg.KeysetJSON, cfg.Reflection = s.opts.GHLBaseURL, keyset, s.opts.Reflection
	service, err := sync.New(ctx, cfg, sync.Deps{Listener: s.listeners["sync"], Identity: identity, Clock: s.opts.Clock, Logger: s.logger("sync")})
	if err != nil {
		return process.Component{}, err
	}
	return process.Component{Name: "sync", Run: service.Run}, nil
}

func (s *Stack) availability(ctx context.Context) (process.Component, error) {
	identity, err := s.CA.Issue("availability")
	if err != nil {
		return process.Component{}, err
	}
	keyset, err := s.keyset()
	if err != nil {
		return process.Component{}, err
	}
	cfg := s.opts.Settings.Availability
	cfg.DatabaseURL, cfg.SyncTarget = postgres.RoleDSN(s.adminDSN, "availability"), s.Targets["sync"]
	cfg.Schedule, cfg.ScheduleEvery = s.opts.SchedulerInterval > 0, s.opts.SchedulerInterval
	cfg.KeysetJSON, cfg.Reflection = keyset, s.opts.Reflection
	deps := availability.Deps{
		Listener: s.listeners["availability"], Identity: identity, Clock: s.opts.Clock, Logger: s.logger("availability"),
	}
	if feeds := s.opts.Feeds; feeds != nil {
		deps.FeedDial, deps.FeedRoots = feeds.Dial, feeds.Roots
	}
	service, err := availability.New(ctx, cfg, deps)
	if err != nil {
		return process.Component{}, err
	}
	return process.Component{Name: "availability", Run: service.Run}, nil
}

func (s *Stack) followups(ctx context.Context) (process.Component, error) {
	identity, err := s.CA.Issue("followups")
	if err != nil {
		return process.Component{}, err
	}
	cfg := s.opts.Settings.FollowUps
	cfg.DatabaseURL, cfg.SyncTarget = postgres.RoleDSN(s.adminDSN, "followups"), s.Targets["sync"]
	cfg.AvailabilityTarget, cfg.SchedulerInterval = s.Targets["availability"], s.opts.SchedulerInterval
	cfg.Reflection = s.opts.Reflection
	service, err := followups.New(ctx, cfg, followups.Deps{Listener: s.listeners["followups"], Identity: identity, Clock: s.opts.Clock, Logger: s.logger("followups")})
	if err != nil {
		return process.Component{}, err
	}
	return process.Component{Name: "followups", Run: service.Run}, nil
}
