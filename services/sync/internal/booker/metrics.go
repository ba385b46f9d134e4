package booker

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/relance/relance/services/sync/internal/booking"
	"github.com/relance/relance/services/sync/internal/store/db"
)

type metrics struct {
	outcomes metric.Int64Counter
	open     metric.Int64Gauge
}

// newMetrics makes the instruments; their names are constant and valid, so that cannot fail.
func newMetrics() metrics {
	m := otel.Meter("github.com/relance/relance/services/sync/booking")
	outcomes, _ := m.Int64Counter("booking_outcomes", metric.WithDescription("Moves of bookings, by provider, state moved to and reason."))
	open, _ := m.Int64Gauge("bookings_open", metric.WithDescription("Bookings of which nobody can tell yet (UNKNOWN) or that wait for a person (PARKED)."))
	return metrics{outcomes: outcomes, open: open}
}

func (m metrics) moved(ctx context.Context, row db.BookingIntent) {
	m.outcomes.Add(ctx, 1, metric.WithAttributes(
		attribute.String("provider", row.Provider), attribute.String("state", row.State), attribute.String("reason", row.Reason)))
}

func (m metrics) standing(ctx context.Context, rows []db.CountOpenBookingsRow) {
	count := map[string]int64{}
	for _, row := range rows {
		count[row.State] = row.Open
	}
	for _, state := range []booking.State{booking.Unknown, booking.Parked} {
		m.open.Record(ctx, count[string(state)], metric.WithAttributes(attribute.String("state", string(state))))
	}
}
