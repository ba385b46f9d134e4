package sender

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/platform/secretbox"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
)

// TokenPlace is where a workspace's provider token is sealed.
func TokenPlace(workspace uuid.UUID) secretbox.AD { return store.TokenPlace(workspace) }

// Account reads a workspace's credentials. It reports false when there is no connection that can be used.
func Account(ctx context.Context, s *store.Store, workspace uuid.UUID) (ghl.Account, bool, error) {
	var out ghl.Account
	var usable bool
	err := s.Workspace(ctx, workspace, func(tx *store.Tx) error {
		c, err := tx.Connection(ctx, workspace)
		if postgres.IsNoRows(err) {
			return nil
		}
		if err != nil {
			return err
		}
		token, err := s.Open(c.TokenEnc, store.TokenPlace(workspace))
		if err != nil {
			return err
		}
		out = ghl.Account{Location: c.Location, Token: redact.Secret(token)}
		usable = sending.ConnectionState(c.State) == sending.Connected
		return nil
	})
	if err != nil {
		return ghl.Account{}, false, fmt.Errorf("read connection: %w", err)
	}
	return out, usable, nil
}
