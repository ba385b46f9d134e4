package jobs

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/relance/relance/services/sync/internal/store/db"
)

// ingestionMetrics are the figures of what webhooks bring and lose, over all locations.
type ingestionMetrics struct {
	found  metric.Int64Counter
	silent metric.Int64Gauge
}

// Instruments with valid names cannot fail to be made.
var ingestionInstruments = sync.OnceValue(func() ingestionMetrics {
	m := otel.Meter("github.com/relance/relance/services/sync/ingestion")
	found, _ := m.Int64Counter("ingestion_found", metric.WithDescription("Messages that the poller found and no webhook had brought."))
	silent, _ := m.Int64Gauge("ingestion_silent_locations", metric.WithDescription("Locations where the poller finds messages and no webhook comes."))
	return ingestionMetrics{found: found, silent: silent}
})

func (Deps) ingestion() ingestionMetrics { return ingestionInstruments() }

var breakersOpen = sync.OnceValue(func() metric.Int64Gauge {
	gauge, _ := otel.Meter("github.com/relance/relance/services/sync").Int64Gauge("relance.sync.breakers.open",
		metric.WithDescription("Connections whose breaker is not closed, by provider and by what is held back: sends or reads."))
	return gauge
})

// recordBreakers shows how many connections are held back.
func recordBreakers(ctx context.Context, rows []db.CountBreakersRow) {
	for _, r := range rows {
		for held, n := range map[string]int64{"sends": r.Sends, "reads": r.Reads} {
			breakersOpen().Record(ctx, n, metric.WithAttributes(attribute.String("provider", r.Provider), attribute.String("held", held)))
		}
	}
}
