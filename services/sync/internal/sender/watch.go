package sender

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/relance/relance/platform/clock"
)

const (
	watchEvery = time.Second
	// maxGap is the difference of wall and monotonic clock in one period after which the process is not trusted to send.
	maxGap = 5 * time.Second
)

// ClockWatch watches assumption A3: a machine that slept or whose clock was set shows as a gap between wall and monotonic
// time. The zero value is ready.
type ClockWatch struct{ tripped atomic.Bool }

// Tripped reports whether such a gap was seen. No send may begin then until the process is restarted.
func (w *ClockWatch) Tripped() bool { return w.tripped.Load() }

// Run watches until ctx ends.
func (w *ClockWatch) Run(ctx context.Context, logger *slog.Logger) error {
	machine := clock.System()
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	last := machine.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now := machine.Now()
		gap := now.Round(0).Sub(last.Round(0)) - now.Sub(last)
		last = now
		if gap.Abs() > maxGap && !w.tripped.Swap(true) {
			logger.ErrorContext(ctx, "sending stopped until restart: wall and monotonic clock disagree", "gap", gap.String())
		}
	}
}
