package store

import (
	"context"
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
		params := db.InsertLinkParams{
			WorkspaceID: link.Workspace, ID: link.ID, DisplayName: link.DisplayName, Provider: link.Provider,
			ExternalID: link.ExternalID, PublicUrl: link.PublicURL, Now: link.CreateTime,
		}
		if request != uuid.Nil {
			params.RequestID = &request
			old, err := q.LinkByRequest(ctx, db.LinkByRequestParams{WorkspaceID: link.Workspace, RequestID: &request})
			if !postgres.IsNoRows(err) {
				link = fromLink(old)
				return err
			}
		}
		record, err := q.InsertLink(ctx, params)
		if err != nil {
			return err
		}
		link = fromLink(record)
		if !link.Default {
			return nil
		}
		return q.Reset(ctx, link.Workspace)
	})
	return link, wrap("create calendar link", err)
}

// Links gives up to page links with ids after the given one, oldest first.
func (s *Store) Links(ctx context.Context, workspace, after uuid.UUID, page int) ([]Link, error) {
	var links []Link
	err := s.within(ctx, workspace, func(q *db.Queries) error {
		records, err := q.Links(ctx, db.LinksParams{WorkspaceID: workspace, After: after, Page: int32(page)})
		for _, record := range records {
			links = append(links, fromLink(record))
		}
		return err
	})
	return links, wrap("list calendar links", err)
}

// LinkChange are the changes of UpdateLink; nil leaves a value as it is.
type LinkChange struct {
	// DisplayName, ExternalID and PublicURL replace the values of the link.
	DisplayName, ExternalID, PublicURL *string
	// Now is stored as the time of the change.
	Now time.Time
}

// UpdateLink changes a link; a no-rows error when there is none. Slots of another calendar are forgotten.
func (s *Store) UpdateLink(ctx context.Context, workspace, id uuid.UUID, change LinkChange) (Link, error) {
	var link Link
	err := s.configure(ctx, workspace, func(q *db.Queries, _ Row) error {
		before, err := q.Link(ctx, db.LinkParams{WorkspaceID: workspace, ID: id})
		if err != nil {
			return err
		}
		after, err := q.UpdateLink(ctx, db.UpdateLinkParams{
			WorkspaceID: workspace, ID: id, DisplayName: change.DisplayName, ExternalID: change.ExternalID,
			PublicUrl: change.PublicURL, Now: change.Now,
		})
		if err != nil {
			return err
		}
		link = fromLink(after)
		if !link.Default || before.ExternalID == after.ExternalID {
			return nil
		}
		return q.Reset(ctx, workspace)
	})
	return link, wrap("update calendar link", err)
}

// DeleteLink removes a link; a no-rows error when there is none.
func (s *Store) DeleteLink(ctx context.Context, workspace, id uuid.UUID) error {
	err := s.configure(ctx, workspace, func(q *db.Queries, _ Row) error {
		record, err := q.DeleteLink(ctx, db.DeleteLinkParams{WorkspaceID: workspace, ID: id})
		if err != nil || !record.IsDefault {
			return err
		}
		return q.Reset(ctx, workspace)
	})
	return wrap("delete calendar link", err)
}

// SetDefault makes a link the default; a no-rows error when there is none. Any back-off ends, also when it was the
// default before.
func (s *Store) SetDefault(ctx context.Context, workspace, id uuid.UUID, now time.Time) (Link, error) {
	var link Link
	err := s.configure(ctx, workspace, func(q *db.Queries, row Row) error {
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
		link = fromLink(record)
		switch {
		case !before.IsDefault:
			return q.Reset(ctx, workspace)
		case row.State != slots.StateOK && row.State != slots.StateEmpty:
			return q.Hasten(ctx, workspace)
		default:
			return nil
		}
	})
	return link, wrap("set default calendar link", err)
}

func fromLink(l db.CalendarLink) Link {
	return Link{
		Workspace: l.WorkspaceID, ID: l.ID, DisplayName: l.DisplayName, Provider: l.Provider, ExternalID: l.ExternalID,
		PublicURL: l.PublicUrl, Default: l.IsDefault, CreateTime: l.CreateTime, UpdateTime: l.UpdateTime,
	}
}
