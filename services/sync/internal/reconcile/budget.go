package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/provider"
)

// Budget shares the provider's quota with everything else that calls it. It is safe for concurrent use. A client that limits
// its reads itself needs none.
type Budget interface {
	// Read takes one read of a location. It answers how long to wait when there is none now, and zero when it was taken.
	Read(ctx context.Context, location string) (time.Duration, error)
}

// BudgetError ends a look that the budget did not allow to finish. It is no look then.
type BudgetError struct {
	// Wait is when to try again.
	Wait time.Duration
}

// Error says how long.
func (e *BudgetError) Error() string { return fmt.Sprintf("read budget used up for %s", e.Wait) }

// usedUp tells how long to wait when a look ended for want of budget, the reconciler's or the client's, or since the provider
// does not answer and reads are held back. A 429 of the provider is a read that failed.
func usedUp(err error) (time.Duration, bool) {
	var budget *BudgetError
	if errors.As(err, &budget) {
		return budget.Wait, true
	}
	if wait, held := provider.HeldBack(err); held {
		return wait, true
	}
	var read *ghl.ReadError
	v, ok := ghl.RateLimited(err)
	return v.Wait, ok && errors.As(err, &read) && read.Status == 0
}
