package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/breaker"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Breaker changes a connection's breaker under its row's lock and gives the state before and after. A connection that is
// gone has none. The time is the database's.
func (t *Tx) Breaker(
	ctx context.Context, workspace uuid.UUID, provider string, change func(breaker.State, time.Time) breaker.State,
) (before, after breaker.State, err error) {
	row, err := t.LockBreaker(ctx, db.LockBreakerParams{WorkspaceID: workspace, Provider: provider})
	if err != nil {
		return before, after, fmt.Errorf("lock breaker: %w", err)
	}
	before = breaker.State{
		Score: int(row.BreakerScore), Opens: int(row.BreakerOpens), Until: Deref(row.BreakerUntil), ProbeUntil: Deref(row.BreakerProbeUntil),
	}
	if after = change(before, row.Now); after == before {
		return before, after, nil
	}
	err = t.UpdateBreaker(ctx, db.UpdateBreakerParams{
		BreakerScore: int32(after.Score), BreakerOpens: int32(after.Opens), BreakerUntil: optTime(after.Until),
		BreakerProbeUntil: optTime(after.ProbeUntil), WorkspaceID: workspace, Provider: provider,
	})
	if err != nil {
		return before, after, fmt.Errorf("update breaker: %w", err)
	}
	return before, after, nil
}

func optTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
