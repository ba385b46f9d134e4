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
	service, err := sync.New(ctx, sync.Config{
		DatabaseURL: postgres.RoleDSN(s.adminDSN, "sync"), FollowUpsTarget: s.Targets["followups"],
		GHLBaseURL: s.opts.GHLBaseURL, KeysetJSON: keyset, Reflection: s.opts.Reflection,
	}, sync.Deps{Listener: s.listeners["sync"], Identity: identity, Clock: s.opts.Clock, Logger: s.logger("sync")})
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
	service, err := availability.New(ctx, availability.Config{
		KeysetJSON:  keyset,
		DatabaseURL: postgres.RoleDSN(s.adminDSN, "availability"), SyncTarget: s.Targets["sync"],
		Schedule: s.opts.SchedulerInterval > 0, ScheduleEvery: s.opts.SchedulerInterval, Reflection: s.opts.Reflection,
	}, availability.Deps{
		Listener: s.listeners["availability"], Identity: identity, Clock: s.opts.Clock, Logger: s.logger("availability"),
	})
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
	service, err := followups.New(ctx, followups.Config{
		DatabaseURL: postgres.RoleDSN(s.adminDSN, "followups"), SyncTarget: s.Targets["sync"],
		AvailabilityTarget: s.Targets["availability"], SchedulerInterval: s.opts.SchedulerInterval, Reflection: s.opts.Reflection,
	}, followups.Deps{Listener: s.listeners["followups"], Identity: identity, Clock: s.opts.Clock, Logger: s.logger("followups")})
	if err != nil {
		return process.Component{}, err
	}
	return process.Component{Name: "followups", Run: service.Run}, nil
}
