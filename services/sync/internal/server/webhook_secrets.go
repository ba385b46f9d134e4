package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/secretbox"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
)

const (
	secretBytes     = 32
	minSecret       = 16
	maxSecret       = 200
	defaultOverlap  = 24 * time.Hour
	maxOverlap      = 30 * 24 * time.Hour
	purposeToken    = "token"
	purposeSigning  = "signing_key"
	secretTokenName = "webhook_secret_token"
)

// sources are the senders by their name in the API.
func sources() map[syncv1.WebhookSource]webhook.Source {
	return map[syncv1.WebhookSource]webhook.Source{
		syncv1.WebhookSource_WEBHOOK_SOURCE_GHL_MARKETPLACE: webhook.Marketplace,
		syncv1.WebhookSource_WEBHOOK_SOURCE_GHL_WORKFLOW:    webhook.Workflow,
		syncv1.WebhookSource_WEBHOOK_SOURCE_EMAILBISON:      webhook.EmailBison,
		syncv1.WebhookSource_WEBHOOK_SOURCE_SMARTLEAD:       webhook.Smartlead,
		syncv1.WebhookSource_WEBHOOK_SOURCE_INSTANTLY:       webhook.Instantly,
		syncv1.WebhookSource_WEBHOOK_SOURCE_CALENDLY:        webhook.Calendly,
		syncv1.WebhookSource_WEBHOOK_SOURCE_GHL_POLLER:      webhook.Poller,
	}
}

func sourceProto(stored string) syncv1.WebhookSource {
	for source, name := range sources() {
		if string(name) == stored {
			return source
		}
	}
	return syncv1.WebhookSource_WEBHOOK_SOURCE_UNSPECIFIED
}

// keyPlace is where a signing key is sealed.
func keyPlace(id uuid.UUID) secretbox.AD {
	return secretbox.AD{Table: "webhook_secret", Column: "key", ID: id.String()}
}

// secretRequest is a rotation, checked.
type secretRequest struct {
	workspace uuid.UUID
	source    webhook.Source
	purpose   string
	secret    string
	made      bool
	overlap   time.Duration
}

// RotateWebhookSecret makes or takes a new secret of a sender; the one before stays valid for the overlap.
func (s *Server) RotateWebhookSecret(ctx context.Context, req *syncv1.RotateWebhookSecretRequest) (*syncv1.RotateWebhookSecretResponse, error) {
	in, err := checkSecret(req)
	if err != nil {
		return nil, err
	}
	if in.made {
		raw := make([]byte, secretBytes)
		if _, err := rand.Read(raw); err != nil {
			return nil, err
		}
		in.secret = base64.RawURLEncoding.EncodeToString(raw)
	}
	out := &syncv1.RotateWebhookSecretResponse{}
	err = s.inWorkspace(ctx, in.workspace, func(tx *store.Tx) error {
		end, err := rotate(ctx, tx, in)
		out.PreviousEndTime = optStamp(end)
		return err
	})
	switch {
	case postgres.IsUnique(err, secretTokenName):
		return nil, typed(codes.AlreadyExists, reasonSecretInUse, "the secret is used already; choose another, or leave it empty to have one made")
	case err != nil:
		return nil, err
	}
	if in.made {
		out.Secret = in.secret
	}
	return out, nil
}

func checkSecret(req *syncv1.RotateWebhookSecretRequest) (secretRequest, error) {
	var c check
	in := secretRequest{
		workspace: c.workspace("parent", req.GetParent()), source: webhook.Workflow, purpose: purposeToken, secret: req.GetSecret(),
		made: req.GetSecret() == "", overlap: defaultOverlap,
	}
	if req.GetSource() != syncv1.WebhookSource_WEBHOOK_SOURCE_UNSPECIFIED {
		in.source = sources()[req.GetSource()]
	}
	if req.GetPurpose() == syncv1.WebhookSecretPurpose_WEBHOOK_SECRET_PURPOSE_SIGNING_KEY ||
		(in.source == webhook.Calendly && req.GetPurpose() == syncv1.WebhookSecretPurpose_WEBHOOK_SECRET_PURPOSE_UNSPECIFIED) {
		in.purpose = purposeSigning
	}
	switch in.source {
	case webhook.Smartlead:
	case webhook.Calendly:
		c.when(in.purpose != purposeSigning, "purpose", "Calendly signs; it takes a SIGNING_KEY")
	case webhook.Workflow, webhook.EmailBison, webhook.Instantly:
		c.when(in.purpose != purposeToken, "purpose", "this sender does not sign; it takes a TOKEN")
	default:
		c.add("source", "has no secrets of a workspace; HighLevel's own key verifies marketplace webhooks")
	}
	printable := true
	for _, r := range []byte(in.secret) {
		printable = printable && r > ' ' && r < 0x7f
	}
	c.when(!in.made && (len(in.secret) < minSecret || len(in.secret) > maxSecret || !printable), "secret",
		"must be 16 to 200 printable ASCII characters without spaces")
	if o := req.GetOverlap(); o != nil {
		in.overlap = o.AsDuration()
		c.when(o.CheckValid() != nil || in.overlap < 0 || in.overlap > maxOverlap, "overlap", "must be 0 to 30 days")
	}
	return in, c.err()
}

// rotate stores the secret and ends those before it. It answers when the one just before ends, nil without one.
func rotate(ctx context.Context, tx *store.Tx, in secretRequest) (*time.Time, error) {
	if _, err := tx.LockWorkspace(ctx, in.workspace); err != nil {
		return nil, found(err, "workspace", workspaceName(in.workspace))
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte(in.secret))
	row := db.InsertWebhookSecretParams{
		ID: id, WorkspaceID: in.workspace, Source: string(in.source), Purpose: in.purpose, Digest: digest[:], Now: tx.Now,
	}
	if in.purpose == purposeSigning {
		if row.KeyEnc, err = tx.Seal(in.secret, keyPlace(id)); err != nil {
			return nil, err
		}
	}
	if err := tx.InsertWebhookSecret(ctx, row); err != nil {
		return nil, err
	}
	ends, err := tx.EndOldWebhookSecrets(ctx, db.EndOldWebhookSecretsParams{
		WorkspaceID: in.workspace, Source: row.Source, Purpose: in.purpose, Newest: id, EndTime: tx.Now.Add(in.overlap), Now: tx.Now,
	})
	var last *time.Time
	for _, end := range ends {
		if last == nil || (end != nil && end.After(*last)) {
			last = end
		}
	}
	return last, err
}

// signingKeys are the active keys with which a sender signs for a workspace; at most two.
func (s *Server) signingKeys(ctx context.Context, tx *store.Tx, workspace uuid.UUID, source webhook.Source) ([]string, error) {
	rows, err := tx.SigningKeys(ctx, db.SigningKeysParams{WorkspaceID: workspace, Source: string(source), Now: tx.Now})
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, r := range rows {
		key, err := s.Store.Open(r.KeyEnc, keyPlace(r.ID))
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}
