package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store/db"
)

// Health is how a workspace's calendar is doing.
type Health struct {
	// Workspace is whose, Kind which of its calendars; State to Due are as in Row.
	Workspace uuid.UUID
	Kind      slots.SourceKind
	State     slots.State
	Reason    slots.Reason
	LastError string
	Failures  int
	AsOf, Due time.Time
	// Slots and SlotsWeek count free times: all that are known, and those of the next 7 days.
	Slots, SlotsWeek int
}

// HealthFilter chooses workspaces.
type HealthFilter struct {
	// Kind is of which calendars.
	Kind slots.SourceKind
	// States are the accepted states; none accepts all. FewerThan asks for fewer free times in the next 7 days; 0 does not.
	States    []string
	FewerThan int
	// Only, when not uuid.Nil, is the one workspace that may be seen.
	Only uuid.UUID
	// After is the workspace of the page before, Page the size of the page, Now business time.
	After uuid.UUID
	Page  int
	Now   time.Time
}

// Health lists workspaces by id.
func (s *Store) Health(ctx context.Context, f HealthFilter) ([]Health, error) {
	var out []Health
	list := func(q *db.Queries) error {
		rows, err := q.Health(ctx, db.HealthParams{
			SourceKind: string(f.Kind), Now: f.Now, After: f.After, States: append([]string{}, f.States...), FewerThan: int32(f.FewerThan), Page: int32(f.Page),
		})
		for _, row := range rows {
			h := Health{
				Workspace: row.WorkspaceID, Kind: f.Kind, State: slots.State(row.State), Reason: slots.Reason(row.Reason), LastError: row.LastError,
				Failures: int(row.Failures), Due: row.DueTime, Slots: int(row.Known), SlotsWeek: int(row.NextWeek),
			}
			if row.AsOf != nil {
				h.AsOf = *row.AsOf
			}
			out = append(out, h)
		}
		return err
	}
	var err error
	if f.Only != uuid.Nil {
		err = s.within(ctx, f.Only, list)
	} else {
		err = s.system(ctx, list)
	}
	return out, wrap("list availability health", err)
}
