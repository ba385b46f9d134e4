package store

import (
	"context"
	"reflect"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store/db"
)

// CreateLink stores a link; the workspace's first becomes its default, which ends any back-off. With a request id (not
// uuid.Nil) that was used before, the link made then is given.
func (s *Store) CreateLink(ctx context.Context, link Link, request uuid.UUID) (Link, error) {
	err := s.configure(ctx, link.Workspace, func(q *db.Queries, _ Row) error {
		sealed, err := s.seal(link)
		if err != nil {
			return err
		}
		params := db.InsertLinkParams{
			WorkspaceID: link.Workspace, ID: link.ID, DisplayName: link.DisplayName, Provider: string(link.Provider),
			ExternalID: link.ExternalID, PublicUrl: link.PublicURL, SourceEnc: sealed.source, TokenEnc: sealed.token,
			Hours: sealed.hours, Now: link.CreateTime,
		}
		if request != uuid.Nil {
			params.RequestID = &request
			old, err := q.LinkByRequest(ctx, db.LinkByRequestParams{WorkspaceID: link.Workspace, RequestID: &request})
			if err == nil {
				link, err = s.open(old)
			}
			if !postgres.IsNoRows(err) {
				return err
			}
		}
		record, err := q.InsertLink(ctx, params)
		if err != nil {
			return err
		}
		link.Default, link.UpdateTime = record.IsDefault, record.UpdateTime
		if !link.Default {
			return nil
		}
		return reset(ctx, q, slots.Default(link.Workspace))
	})
	return link, wrap("create calendar link", err)
}

// Links gives up to page links with ids after the given one, oldest first.
func (s *Store) Links(ctx context.Context, workspace, after uuid.UUID, page int) ([]Link, error) {
	var links []Link
	err := s.within(ctx, workspace, func(q *db.Queries) error {
		records, err := q.Links(ctx, db.LinksParams{WorkspaceID: workspace, After: after, Page: int32(page)})
		if err != nil {
			return err
		}
		for _, record := range records {
			link, err := s.open(record)
			if err != nil {
				return err
			}
			links = append(links, link)
		}
		return nil
	})
	return links, wrap("list calendar links", err)
}

// Link gives one link; a no-rows error when there is none.
func (s *Store) Link(ctx context.Context, workspace, id uuid.UUID) (Link, error) {
	var link Link
	err := s.within(ctx, workspace, func(q *db.Queries) error {
		record, err := q.Link(ctx, db.LinkParams{WorkspaceID: workspace, ID: id})
		if err == nil {
			link, err = s.open(record)
		}
		return err
	})
	return link, wrap("read calendar link", err)
}

// UpdateLink changes a link by a function that sees it as it is; its error is given back as it is. A no-rows error when
// there is no such link. Slots of another calendar are forgotten.
func (s *Store) UpdateLink(ctx context.Context, link Link, change func(*Link) error) (Link, error) {
	now := link.UpdateTime
	err := s.configure(ctx, link.Workspace, func(q *db.Queries, _ Row) error {
		record, err := q.Link(ctx, db.LinkParams{WorkspaceID: link.Workspace, ID: link.ID})
		if err != nil {
			return err
		}
		before, err := s.open(record)
		if err != nil {
			return err
		}
		link = before
		if err := change(&link); err != nil {
			return err
		}
		sealed, err := s.seal(link)
		if err != nil {
			return err
		}
		moved := !link.sameCalendar(before)
		if moved {
			link.Resolved = ""
		}
		link.UpdateTime = now
		_, err = q.UpdateLink(ctx, db.UpdateLinkParams{
			WorkspaceID: link.Workspace, ID: link.ID, DisplayName: link.DisplayName, ExternalID: link.ExternalID,
			PublicUrl: link.PublicURL, SourceEnc: sealed.source, TokenEnc: sealed.token, Hours: sealed.hours, Forget: moved, Now: now,
		})
		if err != nil || !moved {
			return err
		}
		return link.resetRead(ctx, q)
	})
	return link, wrap("update calendar link", err)
}

// sameCalendar reports whether both are read in the same way.
func (l Link) sameCalendar(other Link) bool {
	return l.ExternalID == other.ExternalID && l.SourceURL == other.SourceURL && l.Token == other.Token &&
		reflect.DeepEqual(l.Hours, other.Hours)
}

// DeleteLink removes a link; a no-rows error when there is none.
func (s *Store) DeleteLink(ctx context.Context, workspace, id uuid.UUID) error {
	err := s.configure(ctx, workspace, func(q *db.Queries, _ Row) error {
		record, err := q.DeleteLink(ctx, db.DeleteLinkParams{WorkspaceID: workspace, ID: id})
		if err != nil || !record.IsDefault {
			return err
		}
		return reset(ctx, q, slots.Default(workspace))
	})
	return wrap("delete calendar link", err)
}

// SetDefault makes a link the default; a no-rows error when there is none. Any back-off ends, also when it was the
// default before.
func (s *Store) SetDefault(ctx context.Context, workspace, id uuid.UUID, now time.Time) (Link, error) {
	var link Link
	err := s.configure(ctx, workspace, func(q *db.Queries, _ Row) error {
		before, err := q.Link(ctx, db.LinkParams{WorkspaceID: workspace, ID: id})
		if err != nil {
			return err
		}
		if err := q.ClearDefault(ctx, db.ClearDefaultParams{WorkspaceID: workspace, ID: id, Now: now}); err != nil {
			return err
		}
		record, err := q.MakeDefault(ctx, db.MakeDefaultParams{WorkspaceID: workspace, ID: id, Now: now})
		if err != nil {
			return err
		}
		if link, err = s.open(record); err != nil {
			return err
		}
		if !before.IsDefault {
			return reset(ctx, q, slots.Default(workspace))
		}
		return q.Hasten(ctx, db.HastenParams(defaultRow(workspace)))
	})
	return link, wrap("set default calendar link", err)
}
