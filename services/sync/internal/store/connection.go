package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Suspend records that an account's connection cannot be used, unless it has other credentials by now.
func (t *Tx) Suspend(ctx context.Context, of provider.Account, reason sending.Reason) error {
	state := sending.AuthRevoked
	if reason == sending.LocationInactive {
		state = sending.Inactive
	}
	_, err := t.SetConnectionState(ctx, db.SetConnectionStateParams{
		State: string(state), Now: t.Now, WorkspaceID: of.Workspace, Provider: string(of.Kind), TokenVersion: &of.Version,
	})
	return err
}

// SuspendConnection records that a workspace's GHL connection cannot be used, so that nothing else is asked of it until it
// works again. The version is that of the credentials that were refused: others may be in their place by now.
func (s *Store) SuspendConnection(ctx context.Context, workspace uuid.UUID, version int64, reason sending.Reason) error {
	err := s.Workspace(ctx, workspace, func(tx *Tx) error {
		return tx.Suspend(ctx, provider.Account{Workspace: workspace, Kind: provider.GHL, Version: version}, reason)
	})
	if err != nil {
		return fmt.Errorf("suspend connection: %w", err)
	}
	return nil
}
