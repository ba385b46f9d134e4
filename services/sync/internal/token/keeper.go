// Package token keeps the providers' credentials: it opens them for a call.
package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// ErrNone says that the workspace has no connection.
var ErrNone = errors.New("no provider connection")

// Keeper opens credentials. It is safe for concurrent use.
type Keeper struct{ store *store.Store }

// NewKeeper makes a keeper on a store.
func NewKeeper(s *store.Store) *Keeper { return &Keeper{store: s} }

// Account gives the workspace's account with a token to call with, and the state of the connection. Errors: ErrNone, the
// database's.
func (k *Keeper) Account(ctx context.Context, workspace uuid.UUID) (provider.Account, sending.ConnectionState, error) {
	var row db.Connection
	err := k.store.Workspace(ctx, workspace, func(tx *store.Tx) (err error) {
		row, err = tx.Connection(ctx, workspace)
		return err
	})
	if postgres.IsNoRows(err) {
		return provider.Account{}, sending.NotConnected, ErrNone
	}
	if err != nil {
		return provider.Account{}, "", fmt.Errorf("read connection: %w", err)
	}
	account, err := k.Open(row)
	return account, sending.ConnectionState(row.State), err
}

// Open decrypts a row that was read.
func (k *Keeper) Open(row db.Connection) (provider.Account, error) {
	secret, err := k.store.Open(row.TokenEnc, store.TokenPlace(row.WorkspaceID))
	if err != nil {
		return provider.Account{}, err
	}
	return provider.Account{Kind: provider.GHL, Location: row.Location, Token: redact.Secret(secret)}, nil
}

// Usable is Account for callers that need a connection that works: it reports false when there is none.
func (k *Keeper) Usable(ctx context.Context, workspace uuid.UUID) (provider.Account, bool, error) {
	account, state, err := k.Account(ctx, workspace)
	if errors.Is(err, ErrNone) {
		return provider.Account{}, false, nil
	}
	return account, err == nil && state == sending.Connected, err
}
