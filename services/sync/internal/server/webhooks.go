package server

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/principal"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
)

const (
	digestLength = 32
	maxDelivery  = 200
)

// IdentifyWebhookSender finds the workspace of a secret by its digest, or tells that a workspace's sender has a key.
func (s *Server) IdentifyWebhookSender(ctx context.Context, req *syncv1.IdentifyWebhookSenderRequest) (*syncv1.IdentifyWebhookSenderResponse, error) {
	var c check
	source := webhook.Workflow
	if req.GetSource() != syncv1.WebhookSource_WEBHOOK_SOURCE_UNSPECIFIED {
		source = sources()[req.GetSource()]
	}
	c.when(source == "" || source == webhook.Marketplace || source == webhook.Poller, "source", "has no secrets of a workspace")
	signs := source == webhook.Calendly
	c.when(!signs && len(req.GetSecretSha256()) != digestLength, "secret_sha256", "must be 32 bytes")
	var workspace uuid.UUID
	if signs {
		workspace = c.workspace("workspace", req.GetWorkspace())
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	err := s.Store.System(ctx, func(tx *store.Tx) (err error) {
		if signs {
			keys, err := s.signingKeys(ctx, tx, workspace, source)
			if err == nil && len(keys) == 0 {
				err = secretUnknown()
			}
			return err
		}
		workspace, err = tx.WorkspaceBySecret(ctx, db.WorkspaceBySecretParams{Digest: req.GetSecretSha256(), Source: string(source), Now: tx.Now})
		return err
	})
	if postgres.IsNoRows(err) {
		return nil, secretUnknown()
	}
	if err != nil {
		return nil, mapped(err)
	}
	return &syncv1.IdentifyWebhookSenderResponse{Workspace: workspaceName(workspace)}, nil
}

func secretUnknown() error {
	return typed(codes.Unauthenticated, reasonSecretUnknown, "no workspace has this webhook secret")
}

// delivery checks who hands in what: a marketplace webhook finds its workspace by its location, every other comes with the
// workspace of its secret.
func (s *Server) delivery(req *syncv1.AcceptWebhookRequest, who principal.Principal) (webhook.Delivery, error) {
	var c check
	d := webhook.Delivery{
		Source: sources()[req.GetSource()], Body: req.GetBody(), ID: req.GetDeliveryId(), Received: s.Clock.Now(), Key: s.WebhookKey,
		Workspace: who.Workspace,
	}
	c.when(d.Source == "" || d.Source == webhook.Poller, "source", "must be a known sender")
	c.when(len(d.ID) > maxDelivery, "delivery_id", "must be at most 200 characters")
	if err := c.err(); err != nil {
		return d, err
	}
	if (d.Source == webhook.Marketplace) != (who.Workspace == "") {
		return d, apierr.New(codes.PermissionDenied, apierr.PlatformDomain, apierr.ReasonWorkspaceForbidden,
			"a marketplace webhook comes without a workspace, every other with the workspace of its secret")
	}
	return d, nil
}

// verify checks the signature of senders that sign with a key of the workspace. Smartlead's older hooks carry the secret
// in the body instead.
func (s *Server) verify(d webhook.Delivery, signature string, ring *keyring) error {
	if d.Source != webhook.Calendly && d.Source != webhook.Smartlead {
		return nil
	}
	keys, err := ring.of(d.Source)
	switch {
	case err != nil:
		return mapped(err)
	case d.Source == webhook.Calendly:
		err = webhook.VerifyCalendly(signature, d.Body, keys, d.Received)
	case len(keys) == 0:
		return nil // The token in the URL is all this workspace has agreed on.
	case signature != "":
		err = webhook.VerifySmartlead(signature, d.Body, keys)
	case !webhook.BodySecretFits(d.Body, keys):
		err = webhook.ErrSignature
	}
	if err != nil {
		return typed(codes.Unauthenticated, reasonSignature, "the signature does not fit the body and the time")
	}
	return nil
}

func (s *Server) parse(d webhook.Delivery) (webhook.Event, error) {
	event, err := webhook.Parse(d)
	if errors.Is(err, webhook.ErrBody) {
		return event, apierr.Invalid(apierr.FieldViolation{Field: "body", Description: strings.TrimPrefix(err.Error(), "webhook body: ")})
	}
	if err == nil && !event.Fresh(d.Received) {
		err = apierr.Invalid(apierr.FieldViolation{Field: "body.timestamp", Description: "must be within 2 hours before and 5 minutes after now"})
	}
	return event, err
}

// home is where a webhook goes.
type home struct {
	// workspace is nil when nobody has the webhook's location.
	workspace *uuid.UUID
	// heard is when a webhook of the workspace's connection to GHL was last written down.
	heard *time.Time
}

// heardEvery is how often it is written down that a connection brings webhooks, as TouchConnectionWebhook does.
const heardEvery = 10 * time.Second

// news reports whether a webhook of now has to be written down.
func (h home) news(now time.Time) bool {
	return h.workspace != nil && (h.heard == nil || h.heard.Before(now.Add(-heardEvery)))
}

// route finds the workspace: by the sender's secret where there is one, whose location must then fit, else by the location.
func route(ctx context.Context, tx *store.Tx, event webhook.Event, bound string) (home, error) {
	if bound == "" {
		return routeByLocation(ctx, tx, event.Location)
	}
	id, err := uuid.Parse(bound)
	if err != nil {
		return home{}, err
	}
	c, err := tx.Connection(ctx, id)
	if err != nil && !postgres.IsNoRows(err) {
		return home{}, err
	}
	if err == nil && event.Location != "" && event.Location != c.Location {
		return home{}, typed(codes.PermissionDenied, reasonLocationMismatch,
			"the webhook's location is not the one of the workspace whose secret it carries")
	}
	return home{workspace: &id, heard: c.LastWebhookTime}, nil
}

func routeByLocation(ctx context.Context, tx *store.Tx, location string) (home, error) {
	c, err := tx.ConnectionByLocation(ctx, location)
	if postgres.IsNoRows(err) {
		return home{}, nil
	}
	return home{workspace: &c.WorkspaceID, heard: c.LastWebhookTime}, err
}

// repeated counts a delivery that is stored already.
func repeated(ctx context.Context, tx *store.Tx, row db.InsertInboxParams, out *syncv1.AcceptWebhookResponse) error {
	stored, err := tx.InboxByDelivery(ctx, db.InboxByDeliveryParams{Source: row.Source, WebhookID: row.WebhookID})
	if err != nil {
		return err
	}
	out.Event, out.State, out.Duplicate = eventName(stored.ID), webhookState(stored.State), true
	return tx.CountRepeat(ctx, stored.ID)
}

func eventName(id uuid.UUID) string { return "webhookEvents/" + id.String() }
