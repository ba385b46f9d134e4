package token

import (
	"context"
	"errors"
	"log/slog"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"

	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Config is what a keeper is made of.
type Config struct {
	Store *store.Store
	// OAuth refreshes GHL's tokens; nil when no app is configured.
	OAuth  OAuth
	Logger *slog.Logger
}

// Keeper opens credentials. It is safe for concurrent use, also by several replicas.
type Keeper struct {
	Config
	flights *singleflight.Group
}

// NewKeeper makes a keeper.
func NewKeeper(cfg Config) *Keeper { return &Keeper{Config: cfg, flights: &singleflight.Group{}} }

// Account gives the workspace's GHL account with a token that can be used now, and the state of the connection. Errors:
// ErrNone, ErrNotReady, the database's.
func (k *Keeper) Account(ctx context.Context, workspace uuid.UUID) (provider.Account, sending.ConnectionState, error) {
	return k.AccountOf(ctx, workspace, provider.GHL)
}

// AccountOf is Account of any provider.
func (k *Keeper) AccountOf(ctx context.Context, workspace uuid.UUID, kind provider.Kind) (provider.Account, sending.ConnectionState, error) {
	s := connection{keeper: k, workspace: workspace, kind: kind}
	row, err := s.read(ctx)
	if err != nil {
		return provider.Account{}, "", err
	}
	if row.stale && row.state == sending.Connected {
		return k.opened(k.fresh(ctx, s, row))
	}
	return k.opened(row, nil)
}

// Recheck is AccountOf for a connection that may have come back by itself: a paused location is asked for a token too.
func (k *Keeper) Recheck(ctx context.Context, workspace uuid.UUID, kind provider.Kind) (provider.Account, sending.ConnectionState, error) {
	s := connection{keeper: k, workspace: workspace, kind: kind}
	row, err := s.read(ctx)
	if err == nil && row.stale {
		row, err = k.fresh(ctx, s, row)
	}
	return k.opened(row, err)
}

func (k *Keeper) opened(row credential, err error) (provider.Account, sending.ConnectionState, error) {
	if err != nil {
		return provider.Account{}, row.state, err
	}
	account, err := k.Open(row.connection)
	return account, row.state, err
}

// Usable is UsableOf of GHL.
func (k *Keeper) Usable(ctx context.Context, workspace uuid.UUID) (provider.Account, bool, error) {
	return k.UsableOf(ctx, workspace, provider.GHL)
}

// UsableOf is AccountOf for callers that need a connection that works: it reports false when there is none.
func (k *Keeper) UsableOf(ctx context.Context, workspace uuid.UUID, kind provider.Kind) (provider.Account, bool, error) {
	account, state, err := k.AccountOf(ctx, workspace, kind)
	if errors.Is(err, ErrNone) {
		return provider.Account{}, false, nil
	}
	return account, err == nil && state == sending.Connected, err
}

// Open decrypts the credentials of a row that was read.
func (k *Keeper) Open(row db.Connection) (provider.Account, error) {
	kind := provider.Kind(row.Provider)
	secret, err := k.Store.Open(row.TokenEnc, store.SecretPlace(row.WorkspaceID, row.Provider, "token"))
	if err != nil {
		return provider.Account{}, err
	}
	account := provider.Account{Workspace: row.WorkspaceID, Kind: kind, Location: row.Location, BaseURL: row.BaseUrl, App: row.App, Token: redact.Secret(secret), Version: row.TokenVersion}
	if row.Auth != authToken {
		account.Renew = func(ctx context.Context) (provider.Account, error) { return k.renew(ctx, row) }
	}
	return account, nil
}
