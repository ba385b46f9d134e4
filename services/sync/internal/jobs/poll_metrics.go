package jobs

import (
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
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
