package server

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/redact"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/token"
)

// CreateWorkspace makes a tenant.
func (s *Server) CreateWorkspace(ctx context.Context, req *syncv1.CreateWorkspaceRequest) (*syncv1.CreateWorkspaceResponse, error) {
	var c check
	request := c.id("request_id", req.GetRequestId())
	w := req.GetWorkspace()
	c.when(!validName(w.GetDisplayName()), "workspace.display_name", "must be 1 to 100 characters")
	c.when(!validZone(w.GetTimeZone()), "workspace.time_zone", "must be an IANA zone such as America/New_York")
	c.policy(w)
	c.when(!validAgency(w.GetAgency()), "workspace.agency", "must be at most 100 characters")
	policy, confirmation := c.contactPolicy(w.GetContactPolicy()), c.confirmation(w.GetOptOutConfirmation())
	if in := req.GetConnection(); in != nil {
		c.firstConnection(in)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	// A principal bound to one workspace makes no other.
	if err := principal.AuthorizeWorkspace(ctx, id.String()); err != nil {
		return nil, err
	}
	var row db.WorkspaceByRequestRow
	var made int64
	err = s.Store.System(ctx, func(tx *store.Tx) (err error) {
		made, err = tx.InsertWorkspace(ctx, db.InsertWorkspaceParams{
			ID: id, RequestID: &request, DisplayName: strings.TrimSpace(w.GetDisplayName()), TimeZone: w.GetTimeZone(),
			SendingDisabled: w.GetSendingDisabled(), UnknownPolicy: workspacePolicy(w), Agency: w.GetAgency(), Now: tx.Now,
			ContactPolicy: policy, OptOutConfirmation: confirmation, CreateContacts: w.GetCreateContacts(),
		})
		if err != nil {
			return err
		}
		if row, err = tx.WorkspaceByRequest(ctx, request); err != nil || req.GetConnection() == nil {
			return err
		}
		in := req.GetConnection()
		_, err = connect(ctx, tx, connectionParams{
			workspace: row.ID, kind: provider.GHL, location: in.GetLocation(), tokens: token.Tokens{Access: redact.Secret(in.GetToken())},
		})
		row.Location = in.GetLocation()
		return err
	})
	if err != nil {
		return nil, mapped(err)
	}
	return &syncv1.CreateWorkspaceResponse{Workspace: workspaceProto(db.OneWorkspaceRow(row)), Existed: made == 0}, nil
}

// GetWorkspace reads one workspace.
func (s *Server) GetWorkspace(ctx context.Context, req *syncv1.GetWorkspaceRequest) (*syncv1.GetWorkspaceResponse, error) {
	var c check
	id := c.workspace("name", req.GetName())
	if err := c.err(); err != nil {
		return nil, err
	}
	row, err := s.workspace(ctx, id)
	if err != nil {
		return nil, err
	}
	return &syncv1.GetWorkspaceResponse{Workspace: workspaceProto(row)}, nil
}

func (s *Server) workspace(ctx context.Context, id uuid.UUID) (row db.OneWorkspaceRow, err error) {
	err = s.inWorkspace(ctx, id, func(tx *store.Tx) (err error) {
		row, err = tx.OneWorkspace(ctx, id)
		return found(err, "workspace", workspaceName(id))
	})
	return row, err
}

// ListWorkspaces lists workspaces, oldest first.
func (s *Server) ListWorkspaces(ctx context.Context, req *syncv1.ListWorkspacesRequest) (*syncv1.ListWorkspacesResponse, error) {
	const scope = "workspaces"
	var c check
	size, after := c.page(scope, req.GetPageSize(), req.GetPageToken())
	since := time.Time{}
	if req.GetUpdatedSince() != nil {
		c.when(req.GetUpdatedSince().CheckValid() != nil, "updated_since", "is not a time")
		since = req.GetUpdatedSince().AsTime()
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	var rows []db.ListWorkspacesRow
	list := func(tx *store.Tx) (err error) {
		rows, err = tx.ListWorkspaces(ctx, db.ListWorkspacesParams{After: after, Since: since, Page: size + 1})
		return err
	}
	err := s.scopeOf(ctx, list)
	if err != nil {
		return nil, err
	}
	out := &syncv1.ListWorkspacesResponse{}
	if len(rows) > int(size) {
		rows = rows[:size]
		out.NextPageToken = pageToken(scope, rows[size-1].ID)
	}
	for _, r := range rows {
		out.Workspaces = append(out.Workspaces, workspaceProto(db.OneWorkspaceRow(r)))
	}
	return out, nil
}

// scopeOf runs fn over all workspaces, or over the one that the principal is bound to.
func (s *Server) scopeOf(ctx context.Context, fn func(*store.Tx) error) error {
	who, _ := principal.FromContext(ctx)
	if id, err := uuid.Parse(who.Workspace); err == nil {
		return mapped(s.Store.Workspace(ctx, id, fn))
	}
	return mapped(s.Store.System(ctx, fn))
}

// UpdateWorkspace changes the fields of the mask.
func (s *Server) UpdateWorkspace(ctx context.Context, req *syncv1.UpdateWorkspaceRequest) (*syncv1.UpdateWorkspaceResponse, error) {
	var c check
	w := req.GetWorkspace()
	id := c.workspace("workspace.name", w.GetName())
	c.when(len(req.GetUpdateMask().GetPaths()) == 0, "update_mask", "is required")
	change := db.UpdateWorkspaceParams{ID: id}
	var policy []string
	for _, path := range req.GetUpdateMask().GetPaths() {
		switch {
		case policyPath(path, &syncv1.ContactPolicy{}, w.GetContactPolicy()):
			policy = append(policy, path)
		default:
			c.workspaceField(path, w, &change)
		}
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	err := s.inWorkspace(ctx, id, func(tx *store.Tx) error {
		var c check
		if err := mergePolicy(ctx, tx, &c, &change, policyChange{policy, w.GetContactPolicy()}); err != nil {
			return err
		}
		if err := c.err(); err != nil {
			return err
		}
		change.Now = tx.Now
		_, err := tx.UpdateWorkspace(ctx, change)
		return err
	})
	if err != nil {
		return nil, err
	}
	row, err := s.workspace(ctx, id)
	if err != nil {
		return nil, err
	}
	return &syncv1.UpdateWorkspaceResponse{Workspace: workspaceProto(row)}, nil
}

// workspaceField takes one path of the mask over.
func (c *check) workspaceField(path string, w *syncv1.Workspace, change *db.UpdateWorkspaceParams) {
	switch path {
	case "display_name":
		name := strings.TrimSpace(w.GetDisplayName())
		change.DisplayName = &name
		c.when(!validName(name), "workspace.display_name", "must be 1 to 100 characters")
	case "time_zone":
		zone := w.GetTimeZone()
		change.TimeZone = &zone
		c.when(!validZone(zone), "workspace.time_zone", "must be an IANA zone such as America/New_York")
	case "sending_disabled":
		disabled := w.GetSendingDisabled()
		change.SendingDisabled = &disabled
	case "create_contacts":
		creates := w.GetCreateContacts()
		change.CreateContacts = &creates
	case "unknown_policy":
		policy := workspacePolicy(w)
		change.UnknownPolicy = &policy
		c.policy(w)
	case "agency":
		agency := w.GetAgency()
		change.Agency = &agency
		c.when(!validAgency(agency), "workspace.agency", "must be at most 100 characters")
	case "opt_out_confirmation":
		text := c.confirmation(w.GetOptOutConfirmation())
		change.OptOutConfirmation = &text
	default:
		c.add("update_mask", "accepts display_name, time_zone, sending_disabled, unknown_policy, agency, contact_policy and its fields, opt_out_confirmation, create_contacts")
	}
}

// policyChange are the paths of a contact policy that change, and what they change to.
type policyChange struct {
	paths []string
	said  *syncv1.ContactPolicy
}

// mergePolicy puts what changes into the stored policy, with the workspace's row locked, and checks the whole.
func mergePolicy(ctx context.Context, tx *store.Tx, c *check, change *db.UpdateWorkspaceParams, p policyChange) error {
	if len(p.paths) == 0 {
		return nil
	}
	if _, err := tx.LockWorkspace(ctx, change.ID); err != nil {
		return found(err, "workspace", workspaceName(change.ID))
	}
	row, err := tx.OneWorkspace(ctx, change.ID)
	if err != nil {
		return err
	}
	kept := policyProto(row.ContactPolicy)
	if kept == nil {
		kept = &syncv1.ContactPolicy{}
	}
	for _, path := range p.paths {
		policyPath(path, kept, p.said)
	}
	change.ContactPolicy = c.contactPolicy(kept)
	return nil
}

func (c *check) policy(w *syncv1.Workspace) {
	_, known := syncv1.UnknownPolicy_name[int32(w.GetUnknownPolicy())]
	c.when(!known, "workspace.unknown_policy", "is not a known policy")
}

func workspacePolicy(w *syncv1.Workspace) string {
	if policyOf(w.GetUnknownPolicy()) == sending.Hold {
		return string(sending.Hold)
	}
	return string(sending.Resend)
}

func validName(name string) bool {
	n := utf8.RuneCountInString(strings.TrimSpace(name))
	return n >= 1 && n <= 100
}

func validAgency(agency string) bool {
	return utf8.ValidString(agency) && utf8.RuneCountInString(agency) <= 100
}

func validZone(zone string) bool {
	if zone == "" || zone == "Local" || len(zone) > 64 {
		return false
	}
	_, err := time.LoadLocation(zone)
	return err == nil
}
