package intake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/lab"
	"github.com/relance/relance/simulator"
)

// Lost sizes R12.
type Lost struct {
	Binary string
	// Webhooks never arrive. They are lost evenly over one interval.
	Webhooks int
	// Interval is that of the poller, Grace how long it gives a webhook.
	Interval, Grace time.Duration
	// Slack is what a loaded machine may add.
	Slack time.Duration
}

// bound is the latest that a lost message may be stored: by the poll after its grace, which is due within an interval.
func (l Lost) bound() time.Duration { return l.Grace + l.Interval + l.Slack }

// RunLost is R12: webhooks that never arrive are found by the poller within one interval. The control is the same with the
// poller switched off.
func RunLost(ctx context.Context, cfg Lost, sheet *figure.Sheet) error {
	found, latest, err := lose(ctx, cfg, cfg.bound())
	if err != nil {
		return err
	}
	sheet.Must("lost_webhooks_found", found, cfg.Webhooks, "messages")
	sheet.Value("lost_webhooks_interval", cfg.Interval.Seconds(), "seconds", cfg.Webhooks)
	sheet.Value("lost_webhooks_found_latest", latest.Seconds(), "seconds", cfg.Webhooks)
	late := 0
	if latest > cfg.bound() {
		late = 1
	}
	sheet.Zero("lost_webhooks_later_than_an_interval", late, "bounds_missed", cfg.Webhooks)
	unfound, _, err := lose(ctx, cfg, cfg.Grace+2*cfg.Interval, "RELANCE_SYNC_POLL_DISABLED=true")
	if err != nil {
		return err
	}
	sheet.Must("lost_webhooks_control_lost_without_poller", cfg.Webhooks-unfound, cfg.Webhooks, "messages")
	return nil
}

// lose has people write without a webhook, waits until all is found or the time is over for the last of them, and gives how many
// messages are stored and how late the latest was.
func lose(ctx context.Context, cfg Lost, wait time.Duration, env ...string) (found int, latest time.Duration, err error) {
	env = append(env, "RELANCE_SYNC_POLL_INTERVAL="+cfg.Interval.String(), "RELANCE_SYNC_POLL_GRACE="+cfg.Grace.String(), "RELANCE_SYNC_POLL_TICK=100ms")
	r, err := newRig(ctx, Config{Binary: cfg.Binary}, simulator.DeliveryLimits{}, env...)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, r.lab.Close()) }()
	for n := range cfg.Webhooks {
		if _, err := r.inbound(n); err != nil {
			return 0, 0, err
		}
		if err := lab.Pause(ctx, cfg.Interval/time.Duration(cfg.Webhooks)); err != nil {
			return 0, 0, err
		}
	}
	for end := time.Now().Add(wait); time.Now().Before(end) && found < cfg.Webhooks; {
		if err := lab.Pause(ctx, 100*time.Millisecond); err != nil {
			return 0, 0, err
		}
		var seconds float64
		err := r.lab.Admin.QueryRow(ctx, `SELECT count(*), coalesce(extract(epoch FROM max(create_time - message_time)), 0)::float8
			FROM sync.message WHERE direction = 'inbound'`).Scan(&found, &seconds)
		if err != nil {
			return 0, 0, fmt.Errorf("count messages: %w", err)
		}
		latest = time.Duration(seconds * float64(time.Second))
	}
	return found, latest, nil
}
