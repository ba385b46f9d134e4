package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store/db"
)

// SetDirectBook makes a link the one for direct bookings; uuid.Nil leaves none, and gives the zero Link. A no-rows error when there
// is no such link. Any back-off ends, also when it was the one before.
func (s *Store) SetDirectBook(ctx context.Context, workspace, id uuid.UUID, now time.Time) (Link, error) {
	var link Link
	key := slots.Key{Workspace: workspace, Kind: slots.SourceDirectBook}
	err := s.configure(ctx, workspace, func(q *db.Queries, _ Row) error {
		if err := q.ClearDirectBook(ctx, db.ClearDirectBookParams{WorkspaceID: workspace, ID: id, Now: now}); err != nil || id == uuid.Nil {
			return err
		}
		before, err := q.Link(ctx, db.LinkParams{WorkspaceID: workspace, ID: id})
		if err != nil {
			return err
		}
		record, err := q.MakeDirectBook(ctx, db.MakeDirectBookParams{WorkspaceID: workspace, ID: id, Now: now})
		if err != nil {
			return err
		}
		if link, err = s.open(record); err != nil {
			return err
		}
		if !before.IsDirectBook {
			return reset(ctx, q, key)
		}
		return q.Hasten(ctx, db.HastenParams{WorkspaceID: workspace, SourceKind: string(key.Kind)})
	})
	return link, wrap("set calendar link for direct bookings", err)
}

// alignDirectBook keeps the row for direct bookings where a calendar is set for them that is not the default one, and nowhere else.
func (s *Store) alignDirectBook(ctx context.Context, q *db.Queries, workspace uuid.UUID) error {
	distinct, err := s.hasDirectBook(ctx, q, workspace)
	switch {
	case err != nil:
		return err
	case distinct:
		_, err = q.AddDirectBook(ctx, workspace)
		return err
	default:
		return q.DropDirectBook(ctx, workspace)
	}
}

func (s *Store) hasDirectBook(ctx context.Context, q *db.Queries, workspace uuid.UUID) (bool, error) {
	record, err := q.DirectBookLink(ctx, workspace)
	if postgres.IsNoRows(err) {
		return false, nil
	}
	if err != nil || record.IsDefault {
		return false, err
	}
	direct, err := s.open(record)
	if err != nil {
		return false, err
	}
	record, err = q.DefaultLink(ctx, workspace)
	if postgres.IsNoRows(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	byDefault, err := s.open(record)
	return direct.Provider != byDefault.Provider || !direct.sameCalendar(byDefault), err
}

// reset forgets what was read under a key; a row that is not there is left so.
func reset(ctx context.Context, q *db.Queries, key slots.Key) error {
	kind := string(key.Kind)
	return q.Reset(ctx, db.ResetParams{WorkspaceID: key.Workspace, SourceKind: &kind})
}

// resetRead forgets what was read of the link, for whatever it is used.
func (l Link) resetRead(ctx context.Context, q *db.Queries) error {
	for kind, used := range map[slots.SourceKind]bool{slots.SourceDefault: l.Default, slots.SourceDirectBook: l.DirectBook} {
		if !used {
			continue
		}
		if err := reset(ctx, q, slots.Key{Workspace: l.Workspace, Kind: kind}); err != nil {
			return err
		}
	}
	return nil
}
