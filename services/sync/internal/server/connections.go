package server

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/redact"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/token"
)

// SetConnection connects a workspace to a provider.
func (s *Server) SetConnection(ctx context.Context, req *syncv1.SetConnectionRequest) (*syncv1.SetConnectionResponse, error) {
	var c check
	id := c.workspace("parent", req.GetParent())
	in := req.GetConnection()
	kind := c.provider("connection.provider", in.GetProvider())
	if kind.Mail() || kind == provider.Calendly {
		c.mailConnection(in, kind, s.LocalProviders)
	} else {
		c.ghlConnection(in, s.Accounts.OAuthApp())
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	// The workspace is looked at before the grant is spent; the exchange is outside any transaction.
	err := s.inWorkspace(ctx, id, func(tx *store.Tx) error {
		_, err := tx.OneWorkspace(ctx, id)
		return found(err, "workspace", workspaceName(id))
	})
	if err != nil {
		return nil, err
	}
	p := connectionParams{workspace: id, kind: kind, location: in.GetLocation()}
	p.tokens.Access = redact.Secret(in.GetToken())
	if kind.Mail() || kind == provider.Calendly {
		p.location, p.base = mailAccount(in)
	}
	if in.GetOauthCode() != "" || in.GetRefreshToken() != "" || in.GetAgency() != "" {
		if err := s.authorize(ctx, in, &p); err != nil {
			return nil, err
		}
	}
	row, err := s.storeConnection(ctx, p)
	if err != nil {
		return nil, err
	}
	return &syncv1.SetConnectionResponse{Connection: connectionProto(row)}, nil
}

// connectionParams is a connection about to be stored.
type connectionParams struct {
	workspace     uuid.UUID
	kind          provider.Kind
	location, app string
	base          string
	tokens        token.Tokens
}

// authorize gets the tokens of a grant, or of an agency that is known, and checks what they open.
func (s *Server) authorize(ctx context.Context, in *syncv1.Connection, p *connectionParams) error {
	subject := workspaceName(p.workspace)
	tokens, err := token.Tokens{Company: in.GetAgency()}, error(nil)
	if in.GetOauthCode() != "" || in.GetRefreshToken() != "" {
		tokens, err = s.Accounts.Authorize(ctx, token.Grant{
			Code: in.GetOauthCode(), RedirectURI: in.GetOauthRedirectUri(), Refresh: redact.Secret(in.GetRefreshToken()), Agency: in.GetAgency() != "",
		})
		if err == nil && tokens.Company != "" {
			// What it spent is gone: the agency is kept, whatever becomes of the location.
			err = s.Accounts.KeepAgency(ctx, tokens)
		}
	}
	if err == nil && tokens.Company != "" {
		if p.location == "" {
			return badGrant(subject, "agency_token").With("agency", tokens.Company)
		}
		tokens, err = s.Accounts.Mint(ctx, tokens.Company, p.location)
	}
	switch {
	case err != nil:
		return grantError(subject, err)
	case tokens.Location == "":
		return badGrant(subject, "agency_token")
	case p.location != "" && p.location != tokens.Location:
		return badGrant(subject, "other_location")
	}
	p.tokens, p.location, p.app = tokens, tokens.Location, s.Accounts.OAuthApp()
	return nil
}

// grantError says why a grant gave no tokens.
func grantError(subject string, err error) error {
	var answer *token.AnswerError
	switch {
	case errors.Is(err, token.ErrNoAgency):
		return badGrant(subject, "unknown_agency").WithCause(err)
	case errors.As(err, &answer) && answer.Kind == token.Inactive:
		return refusal(*sending.SetupRefusal(string(provider.GHL), sending.Inactive, false), subject, 0).WithCause(err)
	case errors.As(err, &answer) && answer.Kind == token.NoAnswer, errors.Is(err, token.ErrNotReady):
		return refusal(sending.Refusal{Reason: sending.ProviderUnavailable, Meta: map[string]string{"provider": "ghl"}}, subject, 0).WithCause(err)
	case errors.As(err, &answer):
		return badGrant(subject, string(answer.Kind)).WithCause(err)
	default:
		return mapped(err)
	}
}

func (s *Server) storeConnection(ctx context.Context, p connectionParams) (row db.Connection, err error) {
	err = s.inWorkspace(ctx, p.workspace, func(tx *store.Tx) error {
		if _, err := tx.LockWorkspace(ctx, p.workspace); err != nil {
			return found(err, "workspace", workspaceName(p.workspace))
		}
		row, err = connect(ctx, tx, p)
		return err
	})
	return row, err
}

// connect stores a connection; the caller has the workspace.
func connect(ctx context.Context, tx *store.Tx, p connectionParams) (db.Connection, error) {
	params, err := token.Sealed(tx, p.workspace, p.kind, p.tokens)
	if err != nil {
		return db.Connection{}, err
	}
	params.Location, params.BaseUrl, params.App, params.Now = p.location, p.base, p.app, tx.Now
	err = tx.UpsertConnection(ctx, params)
	if postgres.IsUnique(err, "connection_location_key") {
		return db.Connection{}, typed(codes.AlreadyExists, reasonLocationInUse, "another workspace is connected to this location").With("location", p.location)
	}
	if err != nil {
		return db.Connection{}, err
	}
	return tx.ConnectionOf(ctx, db.ConnectionOfParams{WorkspaceID: p.workspace, Provider: string(p.kind)})
}

func (c *check) provider(field, name string) provider.Kind {
	kind := provider.Kind(name)
	if name == "" {
		kind = provider.GHL
	}
	c.when(!kind.Known(), field, "must be ghl, emailbison, smartlead, instantly or calendly")
	return kind
}

func (c *check) ghlConnection(in *syncv1.Connection, app string) {
	c.when(in.GetBaseUrl() != "", "connection.base_url", "is for emailbison only")
	c.when(!lead.ValidID(in.GetLocation()) && (in.GetLocation() != "" || in.GetOauthCode() == ""),
		"connection.location", "must be 15 to 64 letters and digits")
	given := 0
	for _, secret := range []struct{ field, value string }{
		{"connection.token", in.GetToken()},
		{"connection.oauth_code", in.GetOauthCode()},
		{"connection.refresh_token", in.GetRefreshToken()},
	} {
		if secret.value == "" {
			continue
		}
		given++
		c.secret(secret.field, secret.value)
		c.when(secret.field != "connection.token" && app == "", secret.field,
			"needs an OAuth app: set RELANCE_SYNC_GHL_CLIENT_ID and RELANCE_SYNC_GHL_CLIENT_SECRET")
	}
	if agency := in.GetAgency(); agency != "" {
		c.when(!lead.ValidID(agency), "connection.agency", "must be 15 to 64 letters and digits")
		c.when(in.GetToken() != "", "connection.agency", "goes with no token")
		c.when(in.GetLocation() == "", "connection.location", "is required with an agency")
		c.when(app == "", "connection.agency", "needs an OAuth app: set RELANCE_SYNC_GHL_CLIENT_ID and RELANCE_SYNC_GHL_CLIENT_SECRET")
		given = max(given, 1)
	}
	c.when(given != 1, "connection.token", "give exactly one of token, oauth_code and refresh_token, or agency")
}

// firstConnection is one that is made with its workspace: nothing about it takes a call.
func (c *check) firstConnection(in *syncv1.Connection) {
	c.when(in.GetProvider() != "" && in.GetProvider() != string(provider.GHL), "connection.provider", "must be ghl; connect others with SetConnection")
	c.when(in.GetOauthCode()+in.GetRefreshToken()+in.GetAgency() != "", "connection.token", "is needed; other grants go to SetConnection")
	c.ghlConnection(&syncv1.Connection{Location: in.GetLocation(), Token: in.GetToken(), BaseUrl: in.GetBaseUrl()}, "")
}

func (c *check) secret(field, value string) {
	c.when(len(value) < 8 || len(value) > 4096 || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }),
		field, "must be 8 to 4096 visible ASCII characters")
}
