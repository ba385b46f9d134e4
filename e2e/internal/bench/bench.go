// Package bench measures the sync service against what the same machine does without it, within one run: a ratio means the
// same wherever it is measured, a rate does not.
package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/relance/relance/e2e/internal/lab"
)

// load calls do(n) for n from 0 to total-1 from inFlight goroutines and gives the rate per second and the latencies.
func load(ctx context.Context, total int, do func(context.Context, int) error) (rate float64, latency []time.Duration, err error) {
	latency = make([]time.Duration, total)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var group sync.WaitGroup
	begin := time.Now()
	for range inFlight {
		group.Go(func() {
			for n := int(next.Add(1)) - 1; n < total && failed.Load() == nil; n = int(next.Add(1)) - 1 {
				start := time.Now()
				if err := do(ctx, n); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				latency[n] = time.Since(start)
			}
		})
	}
	group.Wait()
	elapsed := time.Since(begin)
	if e := failed.Load(); e != nil {
		return 0, nil, fmt.Errorf("load: %w", *e)
	}
	slices.Sort(latency)
	return float64(total) / elapsed.Seconds(), latency, nil
}

// idle waits until no job imports: a new lead's history is imported by one, which has no part in what is measured.
func idle(ctx context.Context, l *lab.Lab) error {
	for {
		var jobs int
		err := l.Admin.QueryRow(ctx, `SELECT count(*) FROM sync.river_job WHERE kind = 'import_history' AND finalized_at IS NULL`).Scan(&jobs)
		if err != nil {
			return fmt.Errorf("count jobs: %w", err)
		}
		if jobs == 0 {
			return nil
		}
		if err := lab.Pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// quantile of a sorted list, in milliseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]) / float64(time.Millisecond)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
