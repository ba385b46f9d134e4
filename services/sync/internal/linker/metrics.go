package linker

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/relance/relance/services/sync/internal/linking"
	"github.com/relance/relance/services/sync/internal/store/db"
)

type metrics struct {
	outcomes metric.Int64Counter
	open     metric.Int64Gauge
}

// newMetrics makes the instruments; their names are constant and valid, so that cannot fail.
func newMetrics() metrics {
	m := otel.Meter("github.com/relance/relance/services/sync/linking")
	outcomes, _ := m.Int64Counter("contact_link_outcomes", metric.WithDescription("Moves of links of leads to contacts, by state moved to, how and reason."))
	open, _ := m.Int64Gauge("contact_links_open", metric.WithDescription("Links that are worked on, by state; UNKNOWN are creations of which nobody can tell yet."))
	return metrics{outcomes: outcomes, open: open}
}

func (m metrics) moved(ctx context.Context, row db.ContactLink) {
	m.outcomes.Add(ctx, 1, metric.WithAttributes(
		attribute.String("state", row.State), attribute.String("how", row.How), attribute.String("reason", row.Reason)))
}

func (m metrics) standing(ctx context.Context, rows []db.CountLinksRow) {
	count := map[string]int64{}
	for _, row := range rows {
		count[row.State] = row.Open
	}
	for _, state := range linking.States() {
		if state.Live() {
			m.open.Record(ctx, count[string(state)], metric.WithAttributes(attribute.String("state", string(state))))
		}
	}
}
