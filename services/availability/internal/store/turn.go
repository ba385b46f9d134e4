package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store/db"
)

// Turn is an agency's part in a run over all workspaces: how far the run has come with it, and how much was left when the
// run began.
type Turn struct {
	// Agency is whose turn it is; empty is one too. Left is how many workspaces had work.
	Agency string
	Left   int

	due time.Time
	id  uuid.UUID
}

// Work is what a run over all workspaces is to do: the calendars of one kind, by the mode, at business time Now.
type Work struct {
	Kind slots.SourceKind
	Mode Mode
	Now  time.Time
}

// Turns gives the agencies with work, the one that waits longest first.
func (s *Store) Turns(ctx context.Context, work Work) ([]*Turn, error) {
	var turns []*Turn
	err := s.system(ctx, func(q *db.Queries) error {
		if err := q.ByIndexOnly(ctx); err != nil {
			return err
		}
		if work.Mode == ModeAll {
			rows, err := q.AllAgencies(ctx, db.AllAgenciesParams{SourceKind: string(work.Kind), Now: work.Now})
			for _, row := range rows {
				turns = append(turns, &Turn{Agency: row.Agency, Left: int(row.Due)})
			}
			return err
		}
		rows, err := q.DueAgencies(ctx, db.DueAgenciesParams{SourceKind: string(work.Kind), Now: work.Now})
		for _, row := range rows {
			turns = append(turns, &Turn{Agency: row.Agency, Left: int(row.Due)})
		}
		return err
	})
	return turns, wrap("list agencies with work", err)
}

// ClaimNext takes the lease of the agency's calendar that is due longest, past the turn, which moves. ok is false when
// nothing is left of it.
func (s *Store) ClaimNext(ctx context.Context, work Work, lease time.Duration, turn *Turn) (row Row, ok bool, err error) {
	token, err := uuid.NewV7()
	if err != nil {
		return Row{}, false, wrap("claim due availability", err)
	}
	params := db.LeaseNextDueParams{
		Token: &token, Seconds: lease.Seconds(), SourceKind: string(work.Kind), Agency: turn.Agency, Now: work.Now, AfterDue: turn.due, AfterID: turn.id,
	}
	err = s.system(ctx, func(q *db.Queries) error {
		var record db.Availability
		var err error
		if work.Mode == ModeAll {
			record, err = q.LeaseNextAny(ctx, db.LeaseNextAnyParams(params))
		} else {
			record, err = q.LeaseNextDue(ctx, params)
		}
		if err != nil {
			return err
		}
		turn.due, turn.id = record.DueTime, record.WorkspaceID
		row, err = s.complete(ctx, q, record)
		return err
	})
	if postgres.IsNoRows(err) {
		return Row{}, false, nil
	}
	return row, err == nil, wrap("claim due availability", err)
}

// Learn makes rows with default settings, due at once, for workspaces that have none, and notes which agency each belongs
// to. The lists are of one length.
func (s *Store) Learn(ctx context.Context, workspaces []uuid.UUID, agencies []string) error {
	err := s.system(ctx, func(q *db.Queries) error {
		return q.LearnWorkspaces(ctx, db.LearnWorkspacesParams{WorkspaceIds: workspaces, Agencies: agencies})
	})
	return wrap("learn workspaces", err)
}

// Census counts the workspaces by state. Its cost grows with the number of workspaces.
type Census map[string]int

// Total is the number of workspaces.
func (c Census) Total() int {
	sum := 0
	for _, known := range c {
		sum += known
	}
	return sum
}

// Census counts.
func (s *Store) Census(ctx context.Context) (Census, error) {
	out := Census{}
	err := s.system(ctx, func(q *db.Queries) error {
		rows, err := q.CountByState(ctx)
		for _, row := range rows {
			out[row.State] = int(row.Known)
		}
		return err
	})
	return out, wrap("count workspaces", err)
}

// Stands is how the looks stand; it costs the same however many workspaces there are.
type Stands struct {
	// Unreachable is how many default calendars cannot be read, Oldest the oldest look of each state that is served from.
	Unreachable int
	// UnreachableDirect is how many calendars for direct bookings cannot be read.
	UnreachableDirect int
	Oldest            map[slots.State]time.Time
}

// Stands tells.
func (s *Store) Stands(ctx context.Context) (Stands, error) {
	out := Stands{Oldest: map[slots.State]time.Time{}}
	err := s.system(ctx, func(q *db.Queries) error {
		if err := q.ByIndexOnly(ctx); err != nil {
			return err
		}
		for kind, count := range map[slots.SourceKind]*int{
			slots.SourceDefault: &out.Unreachable, slots.SourceDirectBook: &out.UnreachableDirect,
		} {
			unreachable, err := q.CountErroring(ctx, string(kind))
			if err != nil {
				return err
			}
			*count = int(unreachable)
		}
		for _, state := range []slots.State{slots.StateOK, slots.StateEmpty, slots.StateUnreachable} {
			row, err := q.Oldest(ctx, string(state))
			if postgres.IsNoRows(err) {
				continue
			}
			if err != nil {
				return err
			}
			out.Oldest[state] = *row.AsOf
		}
		return nil
	})
	return out, wrap("see how looks stand", err)
}
