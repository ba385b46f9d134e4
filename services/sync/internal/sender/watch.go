package sender

import (
	"context"
	"time"
)

const (
	watchEvery = time.Second
	// maxGap is the difference of wall and monotonic clock in one period after which the process is not trusted to send.
	maxGap = 5 * time.Second
)

// WatchClocks watches assumption A3 until ctx ends: a machine that slept or whose clock was set shows as a gap between
// wall and monotonic time. After one, no send begins until the process is restarted.
func (s *Sender) WatchClocks(ctx context.Context) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	last := s.machine.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now := s.machine.Now()
		gap := now.Round(0).Sub(last.Round(0)) - now.Sub(last)
		last = now
		if gap.Abs() > maxGap && !s.distrusted.Swap(true) {
			s.Logger.ErrorContext(ctx, "sending stopped until restart: wall and monotonic clock disagree", "gap", gap.String())
		}
	}
}

// stopped reports whether no send may begin: the process drains or its clocks were caught disagreeing.
func (s *Sender) stopped() bool { return s.Draining() || s.distrusted.Load() }
