package edge

import (
	"context"
	"fmt"
	"net/http"
	"sync"
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
	// known are the series that were counted into: methods, routes and statuses are closed lists.
	known *sync.Map
}

// series is what requests are counted by.
type series struct {
	method, route string
	status        int
}

// labels are a series as it is written down.
type labels struct {
	attributes []attribute.KeyValue
	counted    metric.MeasurementOption
}

func (t telemetry) labels(s series) labels {
	if known, ok := t.known.Load(s); ok {
		return known.(labels) //nolint:forcetypeassert // nothing else is stored
	}
	attributes := []attribute.KeyValue{
		attribute.String("http.request.method", s.method), attribute.String("http.route", s.route),
		attribute.Int("http.response.status_code", s.status),
	}
	made := labels{attributes: attributes, counted: metric.WithAttributeSet(attribute.NewSet(attributes...))}
	t.known.Store(s, made)
	return made
}

func newTelemetry() (telemetry, error) {
	duration, err := otel.Meter(scope).Float64Histogram("http.server.request.duration",
		metric.WithUnit("s"), metric.WithDescription("Time from a request's header to the end of its answer."),
		metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60))
	if err != nil {
		return telemetry{}, fmt.Errorf("make metrics: %w", err)
	}
	return telemetry{tracer: otel.Tracer(scope), duration: duration, known: &sync.Map{}}, nil
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
	known := t.labels(call.series)
	t.duration.Record(ctx, call.took.Seconds(), known.counted)
	if !span.IsRecording() {
		return
	}
	span.SetName(call.method + " " + call.route)
	span.SetAttributes(known.attributes...)
	if call.status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
}

// finished is what telemetry says of a request.
type finished struct {
	series
	took time.Duration
}
