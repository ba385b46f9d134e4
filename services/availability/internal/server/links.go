package server

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/relance/relance/platform/principal"
	availabilityv1 "github.com/relance/relance/proto/gen/relance/availability/v1"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

// CreateCalendarLink adds a link.
func (s *Server) CreateCalendarLink(ctx context.Context, req *availabilityv1.CreateCalendarLinkRequest) (*availabilityv1.CreateCalendarLinkResponse, error) {
	var bad problems
	workspace := bad.workspace(req.GetParent())
	request := bad.requestID(req.GetRequestId())
	in := req.GetCalendarLink()
	if in.GetProvider() != availabilityv1.CalendarProvider_CALENDAR_PROVIDER_GHL {
		bad.add("calendar_link.provider", "must be CALENDAR_PROVIDER_GHL")
	}
	bad.text("calendar_link.display_name", in.GetDisplayName(), maxName)
	bad.ghlID("calendar_link.external_id", in.GetExternalId())
	host := bad.publicURL("calendar_link.public_url", in.GetPublicUrl())
	if err := bad.err(); err != nil {
		return nil, err
	}
	if foreignHost(host) {
		return nil, errUnsupported(host)
	}
	if err := s.admit(ctx, workspace); err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("make link id: %w", err)
	}
	now := s.clock.Now()
	link, err := s.store.CreateLink(ctx, store.Link{
		Workspace: workspace, ID: id, DisplayName: in.GetDisplayName(), Provider: slots.ProviderGHL,
		ExternalID: in.GetExternalId(), PublicURL: in.GetPublicUrl(), CreateTime: now,
	}, request)
	if err != nil {
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
	paths := bad.mask(req.GetUpdateMask(), "display_name", "external_id", "public_url")
	change := store.LinkChange{Now: s.clock.Now()}
	host := ""
	if paths["display_name"] {
		bad.text("calendar_link.display_name", in.GetDisplayName(), maxName)
		change.DisplayName = &in.DisplayName
	}
	if paths["external_id"] {
		bad.ghlID("calendar_link.external_id", in.GetExternalId())
		change.ExternalID = &in.ExternalId
	}
	if paths["public_url"] {
		host = bad.publicURL("calendar_link.public_url", in.GetPublicUrl())
		change.PublicURL = &in.PublicUrl
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	if foreignHost(host) {
		return nil, errUnsupported(host)
	}
	if err := s.admit(ctx, workspace); err != nil {
		return nil, err
	}
	link, err := s.store.UpdateLink(ctx, workspace, id, change)
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
	return &availabilityv1.CalendarLink{
		Name: linkName(link.Workspace, link.ID), DisplayName: link.DisplayName,
		Provider: availabilityv1.CalendarProvider_CALENDAR_PROVIDER_GHL, ExternalId: link.ExternalID,
		PublicUrl: link.PublicURL, Default: link.Default, CreateTime: timestamppb.New(link.CreateTime),
		UpdateTime: timestamppb.New(link.UpdateTime),
	}
}
