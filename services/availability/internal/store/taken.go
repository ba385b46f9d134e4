package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store/db"
)

// takenLag is how long after an appointment a calendar may still be read without it: providers keep their own caches.
const takenLag = 2 * time.Minute

// Taken is a time that an appointment takes, or gives back.
type Taken struct {
	Workspace uuid.UUID
	// Provider, Calendar and Appointment are the provider's names. An empty Calendar is any.
	Provider, Calendar, Appointment string
	slots.Span
	// Free says that the time was given back.
	Free bool
	// Learnt is when it was learnt that the time is taken.
	Learnt time.Time
}

// TakenSince gives the times that appointments take on the row's calendar and that the row's slots may not tell of, since they
// became known after it was read. now bounds them: what is over is left out.
func (s *Store) TakenSince(ctx context.Context, row Row, now time.Time) ([]slots.Span, error) {
	if row.Link == nil || len(row.Slots) == 0 {
		return nil, nil
	}
	var out []slots.Span
	err := s.within(ctx, row.Workspace, func(q *db.Queries) error {
		rows, err := q.TakenSince(ctx, db.TakenSinceParams{
			WorkspaceID: row.Workspace, Provider: string(row.Link.Provider), Since: row.AsOf.Add(-takenLag), Now: now,
		})
		for _, t := range rows {
			if t.Calendar == "" || row.Link.Provider.Same(t.Calendar, row.Link.ExternalID, row.Link.Resolved) {
				out = append(out, slots.Span{Start: t.StartTime, End: t.EndTime})
			}
		}
		return err
	})
	return out, wrap("read taken times", err)
}

// Take keeps what became known of one time. Readers hear of it.
func (s *Store) Take(ctx context.Context, t Taken) error {
	defer s.changed(t.Workspace)
	return wrap("keep taken time", s.within(ctx, t.Workspace, func(q *db.Queries) error { return take(ctx, q, t) }))
}

func take(ctx context.Context, q *db.Queries, t Taken) error {
	if t.Free {
		return q.GiveBackTime(ctx, db.GiveBackTimeParams{WorkspaceID: t.Workspace, Provider: t.Provider, Appointment: t.Appointment})
	}
	return q.TakeTime(ctx, db.TakeTimeParams{
		WorkspaceID: t.Workspace, Provider: t.Provider, Calendar: t.Calendar, Appointment: t.Appointment,
		StartTime: t.Start, EndTime: t.End, TakenTime: t.Learnt,
	})
}

// TakenCursor is where the reading of the feed of taken times stands.
func (s *Store) TakenCursor(ctx context.Context) (string, error) {
	var cursor string
	err := s.system(ctx, func(q *db.Queries) (err error) {
		cursor, err = q.TakenCursor(ctx)
		return err
	})
	return cursor, wrap("read cursor of taken times", err)
}

// errMoved rolls back a page that another replica has read on from.
var errMoved = errors.New("the cursor moved")

// TakePage keeps a part of the feed that was read from before, and goes on to next. It reports false, and keeps nothing, when
// another replica has read on from there. What is over by now is dropped.
func (s *Store) TakePage(ctx context.Context, before, next string, page []Taken, now time.Time) (bool, error) {
	err := s.system(ctx, func(q *db.Queries) error {
		moved, err := q.MoveTakenCursor(ctx, db.MoveTakenCursorParams{Next: next, Before: before})
		if err != nil {
			return err
		}
		if moved == 0 {
			return errMoved
		}
		for _, t := range page {
			if t.End.Before(now) {
				continue
			}
			if err := take(ctx, q, t); err != nil {
				return err
			}
		}
		return q.ForgetTaken(ctx, now.Add(-time.Hour))
	})
	for _, t := range page {
		s.changed(t.Workspace)
	}
	if errors.Is(err, errMoved) {
		return false, nil
	}
	return err == nil, wrap("keep taken times", err)
}
