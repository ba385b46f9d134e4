package reconcile

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Budget shares the provider's quota with everything else that calls it. It is safe for concurrent use.
type Budget interface {
	// Read takes one read of a location. It answers how long to wait when there is none now, and zero when it was taken.
	Read(ctx context.Context, location string) (time.Duration, error)
}

// readsPerSecond is 30 % of the provider's 100 requests in 10 s.
const readsPerSecond, readBurst = 3, 10

// LocalBudget keeps the reads of this process to 30 % of a location's quota. The zero value is ready.
type LocalBudget struct {
	mu        sync.Mutex
	locations map[string]*rate.Limiter
}

// Read takes one read. It never fails.
func (b *LocalBudget) Read(_ context.Context, location string) (time.Duration, error) {
	b.mu.Lock()
	limiter := b.locations[location]
	if limiter == nil {
		if b.locations == nil {
			b.locations = map[string]*rate.Limiter{}
		}
		limiter = rate.NewLimiter(readsPerSecond, readBurst)
		b.locations[location] = limiter
	}
	b.mu.Unlock()
	reservation := limiter.Reserve()
	wait := reservation.Delay()
	if wait > 0 {
		reservation.Cancel()
	}
	return wait, nil
}

// BudgetError ends a look that the budget did not allow to finish. It is no look then.
type BudgetError struct {
	// Wait is when to try again.
	Wait time.Duration
}

// Error says how long.
func (e *BudgetError) Error() string { return fmt.Sprintf("read budget used up for %s", e.Wait) }
