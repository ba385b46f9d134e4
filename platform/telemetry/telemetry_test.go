package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"

	"github.com/relance/relance/platform/telemetry"
)

// It sets global providers, so it does not run in parallel with another.
func TestMetricsAndTraceIDsWithoutACollector(t *testing.T) {
	tel, err := telemetry.Setup(t.Context(), telemetry.Config{Service: "sample"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tel.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	counter, err := otel.Meter("test").Int64Counter("relance_test_ticks")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 3)
	page := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if body := page.Body.String(); !strings.Contains(body, "relance_test_ticks_total") || !strings.Contains(body, "go_goroutines") {
		t.Errorf("metrics page lacks ours or Go's:\n%s", body)
	}

	var out bytes.Buffer
	logger := telemetry.NewLogger(&out, slog.LevelInfo).With("part", "x")
	ctx, span := otel.Tracer("test").Start(t.Context(), "work")
	logger.InfoContext(ctx, "inside")
	logger.DebugContext(ctx, "below the level")
	span.End()
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("not one JSON line: %q", out.String())
	}
	if line["trace_id"] != span.SpanContext().TraceID().String() || line["span_id"] == nil || line["part"] != "x" {
		t.Errorf("line = %v, want the span's ids", line)
	}
	out.Reset()
	logger.InfoContext(t.Context(), "outside")
	if strings.Contains(out.String(), "trace_id") {
		t.Errorf("a line without span has ids: %s", out.String())
	}
}
