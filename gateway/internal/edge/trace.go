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

// ofCaller is how the span of a request begins. The edge is a trust boundary: whether a request is recorded is decided here alone, by a trace of
// our own, since a caller who names the trace or sets its sampled flag could have all of its requests recorded, or none. The caller's
// span, where a traceparent tells one, is linked from ours.
func ofCaller(r *http.Request) []trace.SpanStartOption {
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer), trace.WithNewRoot()}
	remote := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(r.Header)))
	if remote.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: remote}))
	}
	return options
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
