package edge

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// TestACallerDoesNotDecideWhatIsRecorded: neither the sampled flag of a foreign traceparent nor its trace id changes what is recorded;
// the caller's span is linked.
func TestACallerDoesNotDecideWhatIsRecorded(t *testing.T) {
	t.Parallel()
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for name, c := range map[string]struct {
		sampler     trace.Sampler
		traceparent string
		recorded    bool
		links       int
	}{
		"sampled, none recorded":       {trace.NeverSample(), "00-" + id + "-00f067aa0ba902b7-01", false, 0},
		"not sampled, all recorded":    {trace.AlwaysSample(), "00-" + id + "-00f067aa0ba902b7-00", true, 1},
		"an id that any ratio records": {trace.TraceIDRatioBased(1e-9), "00-00000000000000010000000000000000-00f067aa0ba902b7-01", false, 0},
		"no caller":                    {trace.AlwaysSample(), "", true, 0},
		"no traceparent":               {trace.AlwaysSample(), "nonsense", true, 0},
	} {
		spans := tracetest.NewSpanRecorder()
		provider := trace.NewTracerProvider(trace.WithSampler(trace.ParentBased(c.sampler)), trace.WithSpanProcessor(spans))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("Traceparent", c.traceparent)
		_, span := provider.Tracer("test").Start(r.Context(), "HTTP", ofCaller(r)...)
		span.End()
		if span.SpanContext().TraceID().String() == id || !span.SpanContext().TraceID().IsValid() {
			t.Errorf("%s: the trace is the caller's, or none", name)
		}
		ended := spans.Ended()
		if (len(ended) == 1) != c.recorded || c.recorded && len(ended[0].Links()) != c.links {
			t.Errorf("%s: %d recorded", name, len(ended))
		}
		if c.links > 0 && ended[0].Links()[0].SpanContext.TraceID().String() != id {
			t.Errorf("%s: linked to %v", name, ended[0].Links())
		}
	}
}
