package sender

import (
	"context"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/relance/relance/services/sync/internal/breaker"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// DefaultBreakerLimit is how many failures, less the answers between them, open a breaker.
const DefaultBreakerLimit = 10

// enter asks an open or half-open breaker inside the claim. A decision means "not now", without an attempt.
func (s *Sender) enter(ctx context.Context, tx *store.Tx, c db.Connection) (sending.Decision, error) {
	if c.BreakerUntil == nil {
		return sending.Decision{}, nil
	}
	var wait time.Duration
	_, _, err := tx.Breaker(ctx, c.WorkspaceID, c.Provider, func(b breaker.State, now time.Time) breaker.State {
		b, wait = b.Enter(now, s.Timing.Lease())
		return b
	})
	if err != nil || wait == 0 {
		return sending.Decision{}, err
	}
	meta := map[string]string{"provider": c.Provider, "cause": "breaker_open"}
	return sending.Decision{Refusal: &sending.Refusal{Reason: sending.ProviderUnavailable, Meta: meta}, Retry: max(wait, time.Second)}, nil
}

// report tells the breaker how the call of a claim went, in the transaction that settles it. A healthy connection costs nothing.
func (s *Sender) report(ctx context.Context, tx *store.Tx, c claim, m move) error {
	status := m.result.Evidence.Status
	answered := status > 0 && status < 500 && !m.result.Evidence.Failed
	called := m.result.Wrote || m.result.Evidence.NotSent
	known := c.connection.BreakerScore > 0 || c.connection.BreakerUntil != nil
	if !known && (answered || !called) {
		return nil
	}
	before, after, err := tx.Breaker(ctx, c.row.WorkspaceID, c.connection.Provider, func(b breaker.State, now time.Time) breaker.State {
		switch {
		case !called:
			return b.Left()
		case answered:
			return b.Answered(now)
		default:
			return b.Failed(now, s.breakerLimit())
		}
	})
	if err == nil && before.Until != after.Until {
		s.announceBreaker(ctx, c.row.WorkspaceID, c.connection.Provider, after)
	}
	return err
}

func (s *Sender) breakerLimit() int {
	if s.BreakerLimit > 0 {
		return s.BreakerLimit
	}
	return DefaultBreakerLimit
}

// announceBreaker logs and counts a change.
func (s *Sender) announceBreaker(ctx context.Context, workspace uuid.UUID, provider string, after breaker.State) {
	to := breaker.Closed
	if !after.Until.IsZero() {
		to = breaker.Open
		s.Logger.WarnContext(ctx, "provider keeps failing: breaker opened", "workspace", workspace.String(), "provider", provider,
			"opens", after.Opens, "until", after.Until)
	} else {
		s.Logger.InfoContext(ctx, "provider answers again: breaker closed", "workspace", workspace.String(), "provider", provider)
	}
	if s.breakers != nil {
		s.breakers.Add(ctx, 1, metric.WithAttributes(attribute.String("provider", provider), attribute.String("to", string(to))))
	}
}

// breakerMetric counts changes of breakers; nil when the meter refuses.
func breakerMetric() metric.Int64Counter {
	counter, err := otel.Meter("github.com/relance/relance/services/sync").Int64Counter("relance.sync.breaker.changes",
		metric.WithDescription("Changes of provider breakers, by provider and state."))
	if err != nil {
		return nil
	}
	return counter
}
