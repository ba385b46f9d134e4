package server

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/linker"
	"github.com/relance/relance/services/sync/internal/linking"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// EnsureContact gives a lead its contact and answers where that stands.
func (s *Server) EnsureContact(ctx context.Context, req *syncv1.EnsureContactRequest) (*syncv1.EnsureContactResponse, error) {
	var c check
	in := linker.Request{Contact: req.GetContact()}
	in.Workspace, in.Lead = c.child("lead", req.GetLead(), "leads")
	in.RequestID = c.id("request_id", req.GetRequestId())
	c.when(in.Contact != "" && !lead.ValidID(in.Contact), "contact", "must be 15 to 64 letters and digits")
	if err := c.err(); err != nil {
		return nil, err
	}
	if err := authorize(ctx, in.Workspace); err != nil {
		return nil, err
	}
	out, err := s.Linker.Ensure(ctx, in)
	if err != nil {
		return nil, callError(err, req.GetLead(), otherContent, "the database did not acknowledge the link; ask again with the same request_id")
	}
	if out.Refusal != nil {
		return nil, refusal(*out.Refusal, req.GetLead(), 0)
	}
	return &syncv1.EnsureContactResponse{ContactLink: linkProto(out.Row)}, nil
}

// GetContactLink reads one link.
func (s *Server) GetContactLink(ctx context.Context, req *syncv1.GetContactLinkRequest) (*syncv1.GetContactLinkResponse, error) {
	var c check
	workspace, id := c.child("name", req.GetName(), "contactLinks")
	if err := c.err(); err != nil {
		return nil, err
	}
	var row db.ContactLink
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) (err error) {
		row, err = tx.OneLink(ctx, db.OneLinkParams{WorkspaceID: workspace, ID: id})
		return found(err, "contactLink", req.GetName())
	})
	if err != nil {
		return nil, err
	}
	return &syncv1.GetContactLinkResponse{ContactLink: linkProto(row)}, nil
}

// ListContactLinks lists the links of a workspace, newest first.
func (s *Server) ListContactLinks(ctx context.Context, req *syncv1.ListContactLinksRequest) (*syncv1.ListContactLinksResponse, error) {
	var c check
	workspace := c.workspace("parent", req.GetParent())
	states := c.linkStates(req.GetStates())
	scope := "contactLinks:" + req.GetParent() + ":" + strings.Join(states, ",")
	size, last := c.page(scope, req.GetPageSize(), req.GetPageToken())
	if err := c.err(); err != nil {
		return nil, err
	}
	var rows []db.ContactLink
	err := s.inWorkspace(ctx, workspace, func(tx *store.Tx) (err error) {
		rows, err = tx.ListLinks(ctx, db.ListLinksParams{WorkspaceID: workspace, States: states, Before: before(last), Page: size + 1})
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &syncv1.ListContactLinksResponse{}
	if len(rows) > int(size) {
		rows = rows[:size]
		out.NextPageToken = pageToken(scope, rows[size-1].ID)
	}
	for _, row := range rows {
		out.ContactLinks = append(out.ContactLinks, linkProto(row))
	}
	return out, nil
}

// linkStates are the states to list; those that wait for a person unless some are named.
func (c *check) linkStates(asked []syncv1.ContactLinkState) []string {
	if len(asked) == 0 {
		return []string{string(linking.Conflict), string(linking.Refused)}
	}
	var out []string
	for _, state := range asked {
		name, known := syncv1.ContactLinkState_name[int32(state)]
		c.when(!known || state == syncv1.ContactLinkState_CONTACT_LINK_STATE_UNSPECIFIED, "states", "must be known states")
		out = append(out, strings.TrimPrefix(name, "CONTACT_LINK_STATE_"))
	}
	return out
}

func linkProto(row db.ContactLink) *syncv1.ContactLink {
	out := &syncv1.ContactLink{
		Lead: leadName(row.WorkspaceID, row.LeadID), Contact: row.Contact, Reason: row.Reason, CallCount: row.Attempt,
		State:    syncv1.ContactLinkState(syncv1.ContactLinkState_value["CONTACT_LINK_STATE_"+row.State]),
		Origin:   syncv1.ContactOrigin(syncv1.ContactOrigin_value["CONTACT_ORIGIN_"+row.How]),
		NextTime: optStamp(row.NextTime),
	}
	_ = json.Unmarshal(row.ReasonMeta, &out.Metadata) // our own column; without it the reason still stands
	if row.ID != uuid.Nil {
		out.Name, out.CreateTime, out.UpdateTime = linker.Name(row.WorkspaceID, row.ID), stamp(row.CreateTime), stamp(row.UpdateTime)
	}
	return out
}
