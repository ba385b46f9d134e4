package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// SuspendConnection records that a workspace's GHL connection cannot be used, so that nothing else is asked of it until it
// works again. The version is that of the credentials that were refused: others may be in their place by now.
func (s *Store) SuspendConnection(ctx context.Context, workspace uuid.UUID, version int64, reason sending.Reason) error {
	state := sending.AuthRevoked
	if reason == sending.LocationInactive {
		state = sending.Inactive
	}
	err := s.Workspace(ctx, workspace, func(tx *Tx) error {
		_, err := tx.SetConnectionState(ctx, db.SetConnectionStateParams{State: string(state), Now: tx.Now, WorkspaceID: workspace, TokenVersion: &version})
		return err
	})
	if err != nil {
		return fmt.Errorf("suspend connection: %w", err)
	}
	return nil
}
