package server

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/principal"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/calendar"
	"github.com/relance/relance/services/availability/internal/store"
)

// CreateCalendarLink adds a link.
func (s *Server) CreateCalendarLink(ctx context.Context, req *availabilityv1.CreateCalendarLinkRequest) (*availabilityv1.CreateCalendarLinkResponse, error) {
	var bad problems
	workspace := bad.workspace(req.GetParent())
	request := bad.requestID(req.GetRequestId())
	in := req.GetCalendarLink()
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("make link id: %w", err)
	}
	link := store.Link{Workspace: workspace, ID: id, Provider: kinds[in.GetProvider()], CreateTime: s.clock.Now()}
	form := linkForm{in: in, bad: bad}
	if in.GetProvider() != availabilityv1.CalendarProvider_CALENDAR_PROVIDER_UNSPECIFIED && link.Provider == "" {
		form.bad.add("calendar_link.provider", "is not known")
	}
	form.fill(&link, all(linkPaths))
	if err := form.err(); err != nil {
		return nil, err
	}
	if err := s.admit(ctx, workspace); err != nil {
		return nil, err
	}
	if link, err = s.store.CreateLink(ctx, link, request); err != nil {
		return nil, toStatus(err)
	}
	return &availabilityv1.CreateCalendarLinkResponse{CalendarLink: linkProto(link)}, nil
}

// ListCalendarLinks lists links, oldest first.
func (s *Server) ListCalendarLinks(ctx context.Context, req *availabilityv1.ListCalendarLinksRequest) (*availabilityv1.ListCalendarLinksResponse, error) {
	var bad problems
	workspace := bad.workspace(req.GetParent())
	size := bad.pageSize(req.GetPageSize())
	after := bad.pageToken(req.GetPageToken(), workspace)
	if err := bad.err(); err != nil {
		return nil, err
	}
	if err := principal.AuthorizeWorkspace(ctx, workspace.String()); err != nil {
		return nil, err
	}
	links, err := s.store.Links(ctx, workspace, after, size+1)
	if err != nil {
		return nil, toStatus(err)
	}
	out := &availabilityv1.ListCalendarLinksResponse{}
	if len(links) > size {
		links = links[:size]
		out.NextPageToken = pageToken(workspace, links[size-1].ID)
	}
	for _, link := range links {
		out.CalendarLinks = append(out.CalendarLinks, linkProto(link))
	}
	return out, nil
}

// UpdateCalendarLink changes the fields of the mask.
func (s *Server) UpdateCalendarLink(ctx context.Context, req *availabilityv1.UpdateCalendarLinkRequest) (*availabilityv1.UpdateCalendarLinkResponse, error) {
	var bad problems
	in := req.GetCalendarLink()
	workspace, id := bad.link("calendar_link.name", in.GetName())
	paths := bad.mask(req.GetUpdateMask(), linkPaths...)
	if err := bad.err(); err != nil {
		return nil, err
	}
	if err := s.admit(ctx, workspace); err != nil {
		return nil, err
	}
	link, err := s.store.UpdateLink(ctx, store.Link{Workspace: workspace, ID: id, UpdateTime: s.clock.Now()}, func(link *store.Link) error {
		form := linkForm{in: in}
		form.fill(link, paths)
		return form.err()
	})
	if err != nil {
		return nil, linkError(err, workspace, id)
	}
	return &availabilityv1.UpdateCalendarLinkResponse{CalendarLink: linkProto(link)}, nil
}

// DeleteCalendarLink removes a link.
func (s *Server) DeleteCalendarLink(ctx context.Context, req *availabilityv1.DeleteCalendarLinkRequest) (*availabilityv1.DeleteCalendarLinkResponse, error) {
	workspace, id, err := s.one(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	if err := s.store.DeleteLink(ctx, workspace, id); err != nil {
		return nil, linkError(err, workspace, id)
	}
	return &availabilityv1.DeleteCalendarLinkResponse{}, nil
}

// SetDefaultCalendarLink makes a link the default and ends any back-off.
func (s *Server) SetDefaultCalendarLink(ctx context.Context, req *availabilityv1.SetDefaultCalendarLinkRequest) (*availabilityv1.SetDefaultCalendarLinkResponse, error) {
	workspace, id, err := s.one(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	link, err := s.store.SetDefault(ctx, workspace, id, s.clock.Now())
	if err != nil {
		return nil, linkError(err, workspace, id)
	}
	return &availabilityv1.SetDefaultCalendarLinkResponse{CalendarLink: linkProto(link)}, nil
}

// SetDirectBookCalendarLink makes a link the one for direct bookings, or leaves none, and ends any back-off.
func (s *Server) SetDirectBookCalendarLink(ctx context.Context, req *availabilityv1.SetDirectBookCalendarLinkRequest) (*availabilityv1.SetDirectBookCalendarLinkResponse, error) {
	var bad problems
	workspace, id := bad.workspace(req.GetParent()), uuid.Nil
	if req.GetCalendarLink() != "" {
		var of uuid.UUID
		if of, id = bad.link("calendar_link", req.GetCalendarLink()); of != workspace {
			bad.add("calendar_link", "must be of the workspace")
		}
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	if err := s.admit(ctx, workspace); err != nil {
		return nil, err
	}
	link, err := s.store.SetDirectBook(ctx, workspace, id, s.clock.Now())
	if err != nil {
		return nil, linkError(err, workspace, id)
	}
	out := &availabilityv1.SetDirectBookCalendarLinkResponse{}
	if id != uuid.Nil {
		out.CalendarLink = linkProto(link)
	}
	return out, nil
}

// one reads the name of a link and lets the caller into its workspace.
func (s *Server) one(ctx context.Context, name string) (workspace, id uuid.UUID, err error) {
	var bad problems
	workspace, id = bad.link("name", name)
	if err := bad.err(); err != nil {
		return workspace, id, err
	}
	return workspace, id, s.admit(ctx, workspace)
}

func linkProto(link store.Link) *availabilityv1.CalendarLink {
	out := &availabilityv1.CalendarLink{
		Name: linkName(link.Workspace, link.ID), DisplayName: link.DisplayName, Provider: kindProto(link.Provider),
		ExternalId: link.ExternalID, PublicUrl: link.PublicURL, Default: link.Default, DirectBook: link.DirectBook,
		CreateTime: timestamppb.New(link.CreateTime), UpdateTime: timestamppb.New(link.UpdateTime),
		HasApiToken: link.Token != "", WorkingHours: hoursProto(link.Hours),
	}
	if link.Provider != calendar.ICalendar {
		out.SourceUrl = link.SourceURL.Reveal()
	}
	return out
}

func kindProto(kind calendar.Kind) availabilityv1.CalendarProvider {
	for value, known := range kinds {
		if known == kind {
			return value
		}
	}
	return availabilityv1.CalendarProvider_CALENDAR_PROVIDER_UNSPECIFIED
}
