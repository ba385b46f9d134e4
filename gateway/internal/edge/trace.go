package edge

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/relance/relance/gateway"

// telemetry traces and counts requests. The span's attributes are a closed list without path, address or user agent,
// which is why it is written out here.
type telemetry struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
}

func newTelemetry() (telemetry, error) {
	duration, err := otel.Meter(scope).Float64Histogram("http.server.request.duration",
		metric.WithUnit("s"), metric.WithDescription("Time from a request's header to the end of its answer."),
		metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60))
	if err != nil {
		return telemetry{}, fmt.Errorf("make metrics: %w", err)
	}
	return telemetry{tracer: otel.Tracer(scope), duration: duration}, nil
}

// caller gives the context of a request, below the caller's span when there is a traceparent.
func caller(r *http.Request) context.Context {
	return propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
}

// end names the span and counts the request.
func (t telemetry) end(ctx context.Context, span trace.Span, call finished) {
	attributes := []attribute.KeyValue{
		attribute.String("http.request.method", call.method), attribute.String("http.route", call.route),
		attribute.Int("http.response.status_code", call.status),
	}
	t.duration.Record(ctx, call.took.Seconds(), metric.WithAttributes(attributes...))
	span.SetName(call.method + " " + call.route)
	span.SetAttributes(attributes...)
	if call.status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
}

// finished is what telemetry says of a request.
type finished struct {
	method, route string
	status        int
	took          time.Duration
}
