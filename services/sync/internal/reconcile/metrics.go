package reconcile

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/relance/relance/services/sync/internal/lateness"
)

// meter names the instruments of the send protocol.
const meter = "github.com/relance/relance/services/sync/send"

// metrics are the figures by which the protocol's assumptions are watched.
type metrics struct {
	foundAge  metric.Float64Histogram
	lateFinds metric.Int64Counter
	looks     metric.Int64Counter
	// visible and hidden watch assumption A2 on a sample.
	visible metric.Float64Histogram
	hidden  metric.Int64Counter
	stretch metric.Float64Gauge
	// The rest is counted by Watch.
	sends, resting, waiting, duplicates, gap metric.Int64Gauge
	settled                                  metric.Int64Counter
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
	visible, _ := m.Float64Histogram("send_visible_seconds", metric.WithUnit("s"),
		metric.WithDescription("A2: time from acceptance until both lists of the provider show the message, on a sample of 1 %."),
		metric.WithExplicitBucketBoundaries(5, 10, 20, 40, 80, 160, 320, 600, 1200))
	hidden, _ := m.Int64Counter("send_not_visible", metric.WithDescription("Sampled messages that a list did not show within V: assumption A2 does not hold."))
	stretch, _ := m.Float64Gauge("send_assumption_stretch",
		metric.WithDescription("How many times its configured length an assumption about a provider is now, since the provider was seen to be late: 1 when it keeps to it."))
	gauge := func(name, description string) metric.Int64Gauge {
		g, _ := m.Int64Gauge(name, metric.WithDescription(description))
		return g
	}
	return metrics{
		foundAge: foundAge, lateFinds: late, looks: looks, settled: settled, visible: visible, hidden: hidden, stretch: stretch,
		sends:      gauge("sends", "Sends by state."),
		resting:    gauge("sends_resting", "I8: sends that should have moved long ago, by kind. Promised to be 0."),
		waiting:    gauge("sends_waiting_for_a_person", "Parked sends that nobody has resolved."),
		duplicates: gauge("send_duplicates_suspected", "I1: sends of which the provider shows more than one message. Promised to be 0."),
		gap:        gauge("sends_conservation_gap", "I9: planned sends less those in any state. Promised to be 0."),
	}
}

func (m metrics) looked(ctx context.Context, source, result string) {
	m.looks.Add(ctx, 1, metric.WithAttributes(attribute.String("source", source), attribute.String("result", result)))
}

func (m metrics) moved(ctx context.Context, rule string) {
	m.settled.Add(ctx, 1, metric.WithAttributes(attribute.String("rule", rule)))
}

func (m metrics) stretched(ctx context.Context, provider string, assumption lateness.Assumption, by float64) {
	m.stretch.Record(ctx, by, metric.WithAttributes(attribute.String("provider", provider), attribute.String("assumption", string(assumption))))
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
