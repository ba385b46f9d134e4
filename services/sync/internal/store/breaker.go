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

// ReadsBreaker is Breaker for the breaker of reads. It gives the database's time too.
func (t *Tx) ReadsBreaker(
	ctx context.Context, workspace uuid.UUID, provider string, change func(breaker.State, time.Time) breaker.State,
) (before, after breaker.State, now time.Time, err error) {
	row, err := t.LockReadBreaker(ctx, db.LockReadBreakerParams{WorkspaceID: workspace, Provider: provider})
	if err != nil {
		return before, after, now, fmt.Errorf("lock breaker of reads: %w", err)
	}
	before, now = readsState(db.ReadBreakerRow(row)), row.Now
	if after = change(before, now); after == before {
		return before, after, now, nil
	}
	err = t.UpdateReadBreaker(ctx, db.UpdateReadBreakerParams{
		Score: int32(after.Score), Opens: int32(after.Opens), Until: optTime(after.Until), ProbeUntil: optTime(after.ProbeUntil),
		WorkspaceID: workspace, Provider: provider,
	})
	if err != nil {
		return before, after, now, fmt.Errorf("update breaker of reads: %w", err)
	}
	return before, after, now, nil
}

// SeeReadsBreaker reads the breaker of reads without a lock.
func (t *Tx) SeeReadsBreaker(ctx context.Context, workspace uuid.UUID, provider string) (breaker.State, time.Time, error) {
	row, err := t.ReadBreaker(ctx, db.ReadBreakerParams{WorkspaceID: workspace, Provider: provider})
	if err != nil {
		return breaker.State{}, time.Time{}, fmt.Errorf("read breaker of reads: %w", err)
	}
	return readsState(row), row.Now, nil
}

func readsState(row db.ReadBreakerRow) breaker.State {
	return breaker.State{
		Score: int(row.ReadBreakerScore), Opens: int(row.ReadBreakerOpens), Until: Deref(row.ReadBreakerUntil), ProbeUntil: Deref(row.ReadBreakerProbeUntil),
	}
}

func optTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
