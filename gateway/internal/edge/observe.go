package edge

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/redact"
)

const maxRequestID = 64

// record collects what the access log says of a request. It never holds a path, a query or a body.
type record struct {
	// id is the request's: its caller's, or one that was made.
	id                            string
	route, rpc, principal, reason string
	err                           *apierr.Error
}

type recordKey struct{}

func recordFrom(ctx context.Context) (*record, bool) {
	r, ok := ctx.Value(recordKey{}).(*record)
	return r, ok
}

// idOf is the id of the request that a context belongs to.
func idOf(ctx context.Context) string {
	if r, ok := recordFrom(ctx); ok {
		return r.id
	}
	return ""
}

// observe gives every request an id, safe headers, one log line, and a neutral answer to a panic.
func (e *Edge) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now() //nolint:forbidigo // the duration of a request is the machine's time, not business time
		seen := &record{id: ownID(r.Header.Values(requestIDHeader))}
		if seen.id == "" {
			seen.id = uuid.NewString()
		}
		ctx, span := e.telemetry.tracer.Start(r.Context(), "HTTP", ofCaller(r)...)
		defer span.End()
		r = r.WithContext(context.WithValue(ctx, recordKey{}, seen))
		header := w.Header()
		header.Set(requestIDHeader, seen.id)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set("Referrer-Policy", "no-referrer")
		out := &recorder{ResponseWriter: w}
		defer func() {
			if cause := recover(); cause != nil {
				e.recovered(out, r, cause)
			}
			took := time.Since(start)
			e.log(r, out, seen, took)
			e.telemetry.end(ctx, span, finished{series{logMethod(r.Method), seen.route, out.status}, took})
		}()
		next.ServeHTTP(out, r)
	})
}

func (e *Edge) recovered(out *recorder, r *http.Request, cause any) {
	e.opts.Logger.ErrorContext(r.Context(), "panic in http handler", slog.String("panic", redact.Text(fmt.Sprint(cause))))
	if out.status == 0 {
		out.Header().Set("Connection", "close")
		writeError(r.Context(), out, apierr.Internal(nil))
	}
}

func (e *Edge) log(r *http.Request, out *recorder, seen *record, took time.Duration) {
	level := slog.LevelInfo
	if out.status >= http.StatusInternalServerError || out.status == http.StatusTooManyRequests {
		level = slog.LevelWarn
	}
	if !e.opts.Logger.Enabled(r.Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", logMethod(r.Method)), slog.String("route", seen.route), slog.Int("status", out.status),
		slog.Int64("bytes", out.bytes), slog.Int64("duration_ms", took.Milliseconds()),
		slog.String("request_id", seen.id),
	}
	for _, optional := range []slog.Attr{
		slog.String("rpc", seen.rpc), slog.String("principal", seen.principal), slog.String("reason", seen.reason),
	} {
		if optional.Value.String() != "" {
			attrs = append(attrs, optional)
		}
	}
	if level == slog.LevelWarn && seen.err != nil && seen.err.Cause != nil {
		attrs = append(attrs, slog.String("cause", redact.Text(seen.err.Cause.Error())))
	}
	e.opts.Logger.LogAttrs(r.Context(), level, "http request", attrs...)
}

// logMethod keeps invented methods, which are client text, out of the log.
func logMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "OTHER"
}

// ownID is a client's id when it is a short plain word, else empty.
func ownID(values []string) string {
	if len(values) == 1 && len(values[0]) > 0 && len(values[0]) <= maxRequestID {
		plain := true
		for _, c := range []byte(values[0]) {
			plain = plain && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
		}
		if plain {
			return values[0]
		}
	}
	return ""
}

// recorder remembers status and size of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader notes the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write notes the size.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController and MaxBytesReader reach the server's writer.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
