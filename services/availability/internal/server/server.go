// Package server answers AvailabilityService: it validates, asks the store and the refresher, and maps to the API.
package server

import (
	"context"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/principal"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/booking"
	"github.com/relance/relance/services/availability/internal/readcache"
	"github.com/relance/relance/services/availability/internal/refresh"
	"github.com/relance/relance/services/availability/internal/store"
)

// Directory knows which workspaces exist.
type Directory interface {
	// Exists reports whether there is such a workspace.
	Exists(ctx context.Context, workspace uuid.UUID) (bool, error)
}

// Server implements AvailabilityService.
type Server struct {
	availabilityv1.UnimplementedAvailabilityServiceServer
	store     *store.Store
	refresher *refresh.Refresher
	directory Directory
	bookings  booking.Bookings
	clock     clock.Clock
	cache     *readcache.Cache[*view]
}

// Deps is what a Server is made of; all but CacheSlots are required.
type Deps struct {
	Store     *store.Store
	Refresher *refresh.Refresher
	Directory Directory
	// Bookings carries out bookings.
	Bookings booking.Bookings
	Clock    clock.Clock
	// CacheSlots bounds the free times kept in memory, over all workspaces. 0 means DefaultCacheSlots.
	CacheSlots int
}

// DefaultCacheSlots are about 500 MB at most, should all be asked for in several zones.
const DefaultCacheSlots = 1_000_000

// New makes a Server, which observes the Store. Until it is told by changes.Run that it hears of changes, it reads every
// row from the database.
func New(d Deps) *Server {
	if d.CacheSlots <= 0 {
		d.CacheSlots = DefaultCacheSlots
	}
	s := &Server{
		store: d.Store, refresher: d.Refresher, directory: d.Directory, bookings: d.Bookings, clock: d.Clock,
		cache: readcache.New(d.CacheSlots, (*view).weight),
	}
	d.Store.Observe(s.cache.Forget)
	return s
}

// Policy is the table method to callers of the service; what is not in it is refused.
func Policy() principal.Policy {
	admin := []principal.Kind{principal.KindAdmin}
	return principal.Policy{
		availabilityv1.AvailabilityService_CreateCalendarLink_FullMethodName:        admin,
		availabilityv1.AvailabilityService_ListCalendarLinks_FullMethodName:         admin,
		availabilityv1.AvailabilityService_UpdateCalendarLink_FullMethodName:        admin,
		availabilityv1.AvailabilityService_DeleteCalendarLink_FullMethodName:        admin,
		availabilityv1.AvailabilityService_SetDefaultCalendarLink_FullMethodName:    admin,
		availabilityv1.AvailabilityService_SetDirectBookCalendarLink_FullMethodName: admin,
		availabilityv1.AvailabilityService_GetSettings_FullMethodName:               admin,
		availabilityv1.AvailabilityService_UpdateSettings_FullMethodName:            admin,
		availabilityv1.AvailabilityService_GetSlots_FullMethodName: {
			principal.KindFollowUps, principal.KindAdmin,
		},
		availabilityv1.AvailabilityService_OfferSlots_FullMethodName: {
			principal.KindFollowUps, principal.KindAdmin,
		},
		availabilityv1.AvailabilityService_BookSlot_FullMethodName: {
			principal.KindFollowUps, principal.KindAdmin,
		},
		availabilityv1.AvailabilityService_ListOffers_FullMethodName: {
			principal.KindFollowUps, principal.KindAdmin,
		},
		availabilityv1.AvailabilityService_ExplainAvailability_FullMethodName: {
			principal.KindFollowUps, principal.KindAdmin,
		},
		availabilityv1.AvailabilityService_ListAvailabilityHealth_FullMethodName: admin,
		availabilityv1.AvailabilityService_ListRefreshRuns_FullMethodName:        admin,
		availabilityv1.AvailabilityService_RefreshDueAvailability_FullMethodName: {
			principal.KindCron, principal.KindAvailability, principal.KindAdmin,
		},
	}
}

// admit lets the caller into a workspace that exists, and sees to it that it has a row.
func (s *Server) admit(ctx context.Context, workspace uuid.UUID) error {
	if err := principal.AuthorizeWorkspace(ctx, workspace.String()); err != nil {
		return err
	}
	known, err := s.store.Known(ctx, workspace)
	if err != nil || known {
		return toStatus(err)
	}
	exists, err := s.directory.Exists(ctx, workspace)
	if err != nil {
		return errDirectory(err)
	}
	if !exists {
		return errNotFound("workspace", workspaceName(workspace))
	}
	return toStatus(s.store.AddWorkspaces(ctx, []uuid.UUID{workspace}))
}

// linkError is the answer to a store error about one link.
func linkError(err error, workspace, id uuid.UUID) error {
	if postgres.IsNoRows(err) {
		return errNotFound("calendar_link", linkName(workspace, id))
	}
	return toStatus(err)
}
