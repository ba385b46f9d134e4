package token

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Ways of authorizing a connection, as stored.
const (
	authToken  = "TOKEN"
	authOAuth  = "OAUTH"
	authAgency = "AGENCY"
)

// credential is a stored access token that ends.
type credential struct {
	// version rises with every change.
	version int64
	state   sending.ConnectionState
	// stale: it ends within a minute; alive: it has not ended.
	stale, alive bool
	// connection or agency is its row.
	connection db.Connection
	agency     db.Agency
}

// slot is where one credential is kept. All replicas renew it by one protocol, which is in refresh.go.
type slot interface {
	// key is of the slot alone, and stands in log lines.
	key() string
	read(ctx context.Context) (credential, error)
	// lease asks to be the one who renews a version. It reports whether somebody had asked before and did not come back.
	lease(ctx context.Context, version int64) (again bool, err error)
	// renew makes the call. Errors: AnswerError.
	renew(ctx context.Context, c credential) (Tokens, error)
	// keep stores what renew gave, unless the version has changed meanwhile.
	keep(ctx context.Context, version int64, t Tokens) error
	// fail stores a refusal, and reports how many rows changed by it.
	fail(ctx context.Context, version int64, state sending.ConnectionState) (int64, error)
}

// connection is the slot of a workspace's connection.
type connection struct {
	keeper    *Keeper
	workspace uuid.UUID
	kind      provider.Kind
}

func (s connection) key() string { return s.workspace.String() + "/" + string(s.kind) }

func (s connection) in(ctx context.Context, fn func(*store.Tx) error) error {
	return s.keeper.Store.Workspace(ctx, s.workspace, fn)
}

func (s connection) read(ctx context.Context) (credential, error) {
	var row db.ConnectionForUseRow
	err := s.in(ctx, func(tx *store.Tx) (err error) {
		row, err = tx.ConnectionForUse(ctx, db.ConnectionForUseParams{WorkspaceID: s.workspace, Provider: string(s.kind)})
		return err
	})
	if postgres.IsNoRows(err) {
		return credential{}, ErrNone
	}
	if err != nil {
		return credential{}, fmt.Errorf("read connection: %w", err)
	}
	return credential{
		version: row.Connection.TokenVersion, state: sending.ConnectionState(row.Connection.State), stale: row.Stale, alive: row.Alive,
		connection: row.Connection,
	}, nil
}

func (s connection) lease(ctx context.Context, version int64) (again bool, err error) {
	err = s.in(ctx, func(tx *store.Tx) (err error) {
		again, err = tx.LeaseRefresh(ctx, db.LeaseRefreshParams{
			LeaseSeconds: lease.Seconds(), WorkspaceID: s.workspace, Provider: string(s.kind), TokenVersion: version,
		})
		return err
	})
	return again, err
}

func (s connection) renew(ctx context.Context, c credential) (Tokens, error) {
	row := c.connection
	if s.keeper.OAuth == nil || s.keeper.OAuth.App() != row.App {
		return Tokens{}, fmt.Errorf("%w: the OAuth app %q of the connection is not configured", ErrNotReady, row.App)
	}
	if row.Auth == authAgency {
		return s.keeper.Mint(ctx, row.Company, row.Location)
	}
	refresh, err := s.keeper.Store.Open(row.RefreshEnc, store.SecretPlace(s.workspace, string(s.kind), "refresh"))
	if err != nil {
		return Tokens{}, err
	}
	if refresh == "" {
		return Tokens{}, fmt.Errorf("%w: the connection has no refresh token", ErrNotReady)
	}
	return s.keeper.spend(ctx, redact.Secret(refresh), false)
}

func (s connection) keep(ctx context.Context, version int64, t Tokens) error {
	return s.in(ctx, func(tx *store.Tx) error {
		p, err := Sealed(tx, s.workspace, s.kind, t)
		if err != nil {
			return err
		}
		_, err = tx.StoreRefresh(ctx, db.StoreRefreshParams{
			TokenEnc: p.TokenEnc, RefreshEnc: p.RefreshEnc, ExpiresInSeconds: t.Life.Seconds(), Now: tx.Now, WorkspaceID: s.workspace,
			Provider: string(s.kind), TokenVersion: version,
		})
		return err
	})
}

func (s connection) fail(ctx context.Context, version int64, state sending.ConnectionState) (changed int64, err error) {
	err = s.in(ctx, func(tx *store.Tx) (err error) {
		changed, err = tx.FailRefresh(ctx, db.FailRefreshParams{
			State: string(state), Now: tx.Now, WorkspaceID: s.workspace, Provider: string(s.kind), TokenVersion: version,
		})
		return err
	})
	return changed, err
}

// Sealed gives the columns of new credentials. Without a refresh token and an agency they are a token made by hand.
func Sealed(tx *store.Tx, workspace uuid.UUID, kind provider.Kind, t Tokens) (p db.UpsertConnectionParams, err error) {
	p = db.UpsertConnectionParams{WorkspaceID: workspace, Provider: string(kind), ExpiresInSeconds: t.Life.Seconds()}
	if p.TokenEnc, err = tx.Seal(t.Access.Reveal(), store.SecretPlace(workspace, p.Provider, "token")); err != nil {
		return p, err
	}
	switch {
	case t.Company != "":
		p.Auth, p.Company = authAgency, t.Company
	case t.Refresh != "":
		p.Auth = authOAuth
		p.RefreshEnc, err = tx.Seal(t.Refresh.Reveal(), store.SecretPlace(workspace, p.Provider, "refresh"))
	}
	return p, err
}
