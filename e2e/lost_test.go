package e2e

import (
	"io"
	"testing"
	"time"

	"github.com/relance/relance/e2e/internal/figure"
	"github.com/relance/relance/e2e/internal/intake"
)

// TestLostWebhooksAreFound is the short form of R12: what no webhook brings, the poller finds within its interval, and nothing
// does without it.
func TestLostWebhooksAreFound(t *testing.T) {
	t.Parallel()
	sheet := figure.NewSheet(io.Discard)
	err := intake.RunLost(t.Context(), intake.Lost{
		Binary: relance(t), Webhooks: 100, Interval: 2 * time.Second, Grace: 200 * time.Millisecond, Slack: time.Minute,
	}, sheet)
	if err == nil {
		err = sheet.Err()
	}
	if err != nil {
		t.Error(err)
	}
}
