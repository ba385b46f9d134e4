package mirror

import (
	"context"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/store/db"
)

// Claims leases what is due so many times, as one run does.
func (m *Mirror) Claims(ctx context.Context, times int) error {
	p := db.ClaimConversationsParams{Each: claimEach, Batch: claimBatch, AfterWorkspace: uuid.New()}
	for range times {
		if _, err := m.claim(ctx, &p); err != nil {
			return err
		}
	}
	return nil
}

// Bound makes one walk read at most so many pages, and keeps what it has seen in parts of so many.
func (m *Mirror) Bound(pages, part int) *Mirror {
	m.most, m.part = pages, part
	return m
}
