package reconcile

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// meter names the instruments of the send protocol.
const meter = "github.com/relance/relance/services/sync/send"

// metrics are the figures by which the protocol's assumptions are watched.
type metrics struct {
	foundAge  metric.Float64Histogram
	lateFinds metric.Int64Counter
	looks     metric.Int64Counter
	settled   metric.Int64Counter
}

func newMetrics() metrics {
	m := otel.Meter(meter)
	// The instruments' names are constant and valid, so making them cannot fail.
	foundAge, _ := m.Float64Histogram("reconcile_found_age_seconds", metric.WithUnit("s"),
		metric.WithDescription("A1: how long after the call was given up the provider took a message that was found."),
		metric.WithExplicitBucketBoundaries(0, 1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600))
	late, _ := m.Int64Counter("reconcile_late_finds", metric.WithDescription("Messages found that the provider took later than D after the call was given up: assumption A1 does not hold."))
	looks, _ := m.Int64Counter("reconcile_looks", metric.WithDescription("Looks for sends with an unknown outcome, by result."))
	settled, _ := m.Int64Counter("reconcile_settled", metric.WithDescription("Sends settled by the reconciler or by evidence, by rule of the protocol."))
	return metrics{foundAge: foundAge, lateFinds: late, looks: looks, settled: settled}
}

func (m metrics) looked(ctx context.Context, source, result string) {
	m.looks.Add(ctx, 1, metric.WithAttributes(attribute.String("source", source), attribute.String("result", result)))
}

func (m metrics) moved(ctx context.Context, rule string) {
	m.settled.Add(ctx, 1, metric.WithAttributes(attribute.String("rule", rule)))
}

// found records assumption A1 and reports whether it was broken.
func (m metrics) found(ctx context.Context, age, delay time.Duration) bool {
	m.foundAge.Record(ctx, max(age, 0).Seconds())
	if age <= delay {
		return false
	}
	m.lateFinds.Add(ctx, 1)
	return true
}
