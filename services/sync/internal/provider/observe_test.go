package provider_test

import (
	"context"
	"testing"

	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/provider"
)

// slow is a budget whose rows are locked.
type slow struct {
	provider.Budget
	ended error
}

func (s *slow) Observe(ctx context.Context, _ budget.Key, _ budget.Learn) error {
	if _, bounded := ctx.Deadline(); bounded && ctx.Err() == nil {
		<-ctx.Done()
		s.ended = ctx.Err()
	}
	return s.ended
}

// TestObserveEnds: what a send led to is stored while its lease lasts, also when the budget's row cannot be had.
func TestObserveEnds(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var b slow
	provider.Observe(gone, &b, budget.Key{}, budget.Learn{})
	if b.ended == nil {
		t.Error("it has no end of its own, or ends with its caller")
	}
}
