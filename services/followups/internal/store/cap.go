package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/followups/internal/followup"
	"github.com/relance/relance/services/followups/internal/store/db"
)

// Place is one message's share of a lead's day on a channel.
type Place struct {
	// Key is the message; Lead gets it.
	Key  followup.StepKey
	Lead uuid.UUID
	// Day is the day of the workspace's zone, and Cap how many messages it has room for.
	Day time.Time
	Cap int
}

// TakePlaces takes a place for each message before it is asked for, and gives those for which the day is full. The key of
// the table is the cap: no two messages take the same place, whatever runs at the same time. A message keeps the place
// that it has.
func (s *Store) TakePlaces(ctx context.Context, places []Place, now time.Time) (full map[uuid.UUID]bool, err error) {
	if len(places) == 0 {
		return nil, nil
	}
	for range commitTries {
		full = map[uuid.UUID]bool{}
		err = s.system(ctx, func(q *db.Queries, _ pgx.Tx) error {
			for _, place := range places {
				taken, err := takePlace(ctx, q, place, now)
				if err != nil {
					return err
				}
				if !taken {
					full[place.Key.RequestID()] = true
				}
			}
			return nil
		})
		if !postgres.IsRetryable(err) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("take places of the day: %w", err)
	}
	return full, nil
}

func takePlace(ctx context.Context, q *db.Queries, p Place, now time.Time) (bool, error) {
	workspace, request := p.Key.Workspace, p.Key.RequestID()
	if err := q.LeaveOtherDays(ctx, db.LeaveOtherDaysParams{WorkspaceID: workspace, RequestID: request, Day: day(p.Day)}); err != nil {
		return false, err
	}
	has, err := q.HasPlace(ctx, db.HasPlaceParams{WorkspaceID: workspace, RequestID: request})
	if err != nil || has {
		return has, err
	}
	for range p.Cap { // another run may take the place that was seen free; there may be one more
		rows, err := q.TakePlace(ctx, db.TakePlaceParams{
			WorkspaceID: workspace, LeadID: p.Lead, Channel: string(p.Key.Channel), Day: day(p.Day), RequestID: request, Now: now,
			DailyCap: int32(p.Cap),
		})
		if err != nil || rows == 1 {
			return rows == 1, err
		}
	}
	return false, nil
}

// ListPlaces counts the places of leads' days from a day on, without those that are a lead's own: the request ids that own
// has for it. Leads are the keys of own.
func (s *Store) ListPlaces(ctx context.Context, workspace uuid.UUID, from time.Time, own map[uuid.UUID][]uuid.UUID) (map[uuid.UUID]map[followup.DayPlace]int, error) {
	out := map[uuid.UUID]map[followup.DayPlace]int{}
	params := db.ListPlacesParams{WorkspaceID: workspace, FromDay: day(from), LeadIds: slices.Collect(maps.Keys(own))}
	err := s.reading(ctx, workspace, func(q *db.Queries) error {
		rows, err := q.ListPlaces(ctx, params)
		for _, row := range rows {
			if slices.Contains(own[row.LeadID], row.RequestID) {
				continue
			}
			if out[row.LeadID] == nil {
				out[row.LeadID] = map[followup.DayPlace]int{}
			}
			out[row.LeadID][followup.DayPlace{Day: row.Day.Time, Channel: followup.Channel(row.Channel)}]++
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list places of the day: %w", err)
	}
	return out, nil
}

func day(t time.Time) pgtype.Date { return pgtype.Date{Time: t, Valid: true} }

// leavesPlace tells that nothing left, nor can leave by itself: the place is given back.
func leavesPlace(effect followup.Effect) bool {
	switch {
	case effect.Result == followup.Succeeded, effect.Result == followup.Unknown, effect.Move == followup.Await,
		effect.Reason == followup.ReasonSendInProgress, effect.Reason == followup.ReasonSyncUnavailable:
		return false
	}
	return true
}
