package server

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/jobs"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
	"github.com/relance/relance/services/sync/internal/work"
)

const digestLength = 32

// IdentifyWebhookSender finds the workspace of a workflow-dialect secret by its digest.
func (s *Server) IdentifyWebhookSender(ctx context.Context, req *syncv1.IdentifyWebhookSenderRequest) (*syncv1.IdentifyWebhookSenderResponse, error) {
	var c check
	c.when(len(req.GetSecretSha256()) != digestLength, "secret_sha256", "must be 32 bytes")
	if err := c.err(); err != nil {
		return nil, err
	}
	var workspace uuid.UUID
	err := s.Store.System(ctx, func(tx *store.Tx) (err error) {
		workspace, err = tx.WorkspaceBySecret(ctx, req.GetSecretSha256())
		return err
	})
	if postgres.IsNoRows(err) {
		return nil, typed(codes.Unauthenticated, reasonSecretUnknown, "no workspace has this webhook secret")
	}
	if err != nil {
		return nil, mapped(err)
	}
	return &syncv1.IdentifyWebhookSenderResponse{Workspace: workspaceName(workspace)}, nil
}

// AcceptWebhook stores an authenticated webhook and its job in one transaction.
func (s *Server) AcceptWebhook(ctx context.Context, req *syncv1.AcceptWebhookRequest) (*syncv1.AcceptWebhookResponse, error) {
	who, _ := principal.FromContext(ctx)
	event, source, err := s.parse(req, who)
	if err != nil {
		return nil, err
	}
	out := &syncv1.AcceptWebhookResponse{}
	err = s.Store.System(ctx, func(tx *store.Tx) error {
		workspace, err := route(ctx, tx, event, who.Workspace)
		if err != nil {
			return err
		}
		return s.storeWebhook(ctx, tx, inbound{event: event, source: source, workspace: workspace, body: req.GetBody()}, out)
	})
	if err != nil {
		return nil, mapped(err)
	}
	return out, nil
}

func (s *Server) parse(req *syncv1.AcceptWebhookRequest, who principal.Principal) (webhook.Event, string, error) {
	now := s.Clock.Now()
	var event webhook.Event
	var source string
	var err error
	switch req.GetSource() {
	case syncv1.WebhookSource_WEBHOOK_SOURCE_GHL_MARKETPLACE:
		source = jobs.SourceMarketplace
		event, err = webhook.ParseMarketplace(req.GetBody())
	case syncv1.WebhookSource_WEBHOOK_SOURCE_GHL_WORKFLOW:
		if who.Workspace == "" {
			return event, "", apierr.New(codes.PermissionDenied, apierr.PlatformDomain, apierr.ReasonWorkspaceForbidden,
				"a workflow webhook needs a principal bound to its workspace")
		}
		source = jobs.SourceWorkflow
		event, err = webhook.ParseWorkflow(req.GetBody(), who.Workspace, now)
	default:
		return event, "", apierr.Invalid(apierr.FieldViolation{Field: "source", Description: "must be a known source"})
	}
	if errors.Is(err, webhook.ErrBody) {
		return event, "", apierr.Invalid(apierr.FieldViolation{Field: "body", Description: strings.TrimPrefix(err.Error(), "webhook body: ")})
	}
	if err == nil && !event.Fresh(now) {
		err = apierr.Invalid(apierr.FieldViolation{Field: "body.timestamp", Description: "must be within 2 hours before and 5 minutes after now"})
	}
	return event, source, err
}

// route finds the workspace: by the sender's secret for workflows, whose location must then fit, else by the location.
func route(ctx context.Context, tx *store.Tx, event webhook.Event, bound string) (*uuid.UUID, error) {
	if bound == "" {
		c, err := tx.ConnectionByLocation(ctx, event.Location)
		if postgres.IsNoRows(err) {
			return nil, nil
		}
		return &c.WorkspaceID, err
	}
	id, err := uuid.Parse(bound)
	if err != nil {
		return nil, err
	}
	c, err := tx.Connection(ctx, id)
	if err != nil && !postgres.IsNoRows(err) {
		return nil, err
	}
	if err == nil && event.Location != "" && event.Location != c.Location {
		return nil, typed(codes.PermissionDenied, reasonLocationMismatch,
			"the webhook's location is not the one of the workspace whose secret it carries")
	}
	return &id, nil
}

type inbound struct {
	event     webhook.Event
	source    string
	workspace *uuid.UUID
	body      []byte
}

func (s *Server) storeWebhook(ctx context.Context, tx *store.Tx, in inbound, out *syncv1.AcceptWebhookResponse) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	sealed, err := tx.Seal(string(in.body), jobs.BodyPlace(id))
	if err != nil {
		return err
	}
	row := db.InsertInboxParams{
		ID: id, WorkspaceID: in.workspace, Source: in.source, WebhookID: in.event.WebhookID, EventType: in.event.Type,
		Location: in.event.Location, BodyEnc: sealed, State: "PENDING", Now: tx.Now,
	}
	switch {
	case in.event.Kind == webhook.Ignored:
		row.State, row.ProcessTime = "IGNORED", &tx.Now
	case in.workspace == nil:
		row.State, row.ProcessTime = "UNROUTED", &tx.Now
	}
	n, err := tx.InsertInbox(ctx, row)
	if err != nil {
		return err
	}
	if n == 0 {
		stored, err := tx.InboxByDelivery(ctx, db.InboxByDeliveryParams{Source: in.source, WebhookID: in.event.WebhookID})
		out.Event, out.State, out.Duplicate = "webhookEvents/"+stored.ID.String(), webhookState(stored.State), true
		return err
	}
	out.Event, out.State = "webhookEvents/"+id.String(), webhookState(row.State)
	if in.workspace != nil {
		err := tx.TouchConnectionWebhook(ctx, db.TouchConnectionWebhookParams{Now: &tx.Now, WorkspaceID: *in.workspace})
		if err != nil {
			return err
		}
	}
	if row.State != "PENDING" {
		return nil
	}
	return tx.Enqueue(ctx, work.ProcessWebhook{Inbox: id.String()}, 0)
}

// ListWebhookEvents lists stored webhooks, newest first.
func (s *Server) ListWebhookEvents(ctx context.Context, req *syncv1.ListWebhookEventsRequest) (*syncv1.ListWebhookEventsResponse, error) {
	var c check
	params := db.ListInboxParams{}
	all := req.GetParent() == "workspaces/-"
	if !all {
		id := c.workspace("parent", req.GetParent())
		params.WorkspaceID = &id
	}
	scope := "webhooks:" + req.GetParent()
	size, last := c.page(scope, req.GetPageSize(), req.GetPageToken())
	if err := c.err(); err != nil {
		return nil, err
	}
	params.Before, params.Page = before(last), size+1
	var rows []db.ListInboxRow
	list := func(tx *store.Tx) (err error) {
		rows, err = tx.ListInbox(ctx, params)
		return err
	}
	var err error
	if all {
		err = s.scopeOf(ctx, list)
	} else {
		err = s.inWorkspace(ctx, *params.WorkspaceID, list)
	}
	if err != nil {
		return nil, err
	}
	out := &syncv1.ListWebhookEventsResponse{}
	if len(rows) > int(size) {
		rows = rows[:size]
		out.NextPageToken = pageToken(scope, rows[size-1].ID)
	}
	for _, r := range rows {
		out.WebhookEvents = append(out.WebhookEvents, webhookProto(r))
	}
	return out, nil
}
