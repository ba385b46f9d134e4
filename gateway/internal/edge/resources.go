package edge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	availabilitygw "github.com/relance/relance/gateway/internal/gen/gw/relance/availability/v1"
	followupsgw "github.com/relance/relance/gateway/internal/gen/gw/relance/followups/v1"
	syncgw "github.com/relance/relance/gateway/internal/gen/gw/relance/sync/v1"
	"github.com/relance/relance/platform/apierr"
)

// newResources builds the reverse proxy of routes.yaml.
func newResources(ctx context.Context, e *Edge) (http.Handler, error) {
	useStrictQueries()
	mux := runtime.NewServeMux(
		runtime.WithIncomingHeaderMatcher(incoming),
		runtime.WithOutgoingHeaderMatcher(closed),
		runtime.WithOutgoingTrailerMatcher(closed),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithErrorHandler(resourceError),
		runtime.WithRoutingErrorHandler(routingError),
		runtime.WithStreamErrorHandler(streamError),
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{
			MarshalOptions:   protojson.MarshalOptions{EmitUnpopulated: true},
			UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: false},
		}),
	)
	for _, register := range []func() error{
		func() error { return syncgw.RegisterSyncServiceHandlerClient(ctx, mux, e.sync) },
		func() error { return followupsgw.RegisterFollowUpsServiceHandlerClient(ctx, mux, e.followups) },
		func() error { return availabilitygw.RegisterAvailabilityServiceHandlerClient(ctx, mux, e.availability) },
	} {
		if err := register(); err != nil {
			return nil, fmt.Errorf("register resources: %w", err)
		}
	}
	return mux, nil
}

// incoming is the closed list of headers that become metadata. guardedConn filters once more, since grpc-gateway adds
// some without asking.
func incoming(header string) (string, bool) {
	for _, key := range forwarded() {
		if textproto.CanonicalMIMEHeaderKey(key) == header {
			return key, true
		}
	}
	return "", false
}

func closed(string) (string, bool) { return "", false }

// resource serves /v1. The proxy sees a request with nothing in its header but the closed list and the content type:
// neither the secret nor Grpc-Timeout, X-HTTP-Method-Override or Grpc-Metadata-* get that far.
func (e *Edge) resource(w http.ResponseWriter, r *http.Request) {
	var body []byte
	if r.Body != nil && r.ContentLength != 0 {
		var ok bool
		if body, ok = readBody(w, r); !ok {
			return
		}
	}
	// The id is its caller's only if that is a plain word.
	header := http.Header{"Content-Type": {"application/json"}, requestIDHeader: {idOf(r.Context())}}
	ctx, cancel := e.resourceTime(w, r)
	defer cancel()
	clean := r.WithContext(ctx)
	clean.Header = header
	clean.Body = io.NopCloser(bytes.NewReader(body))
	clean.ContentLength = int64(len(body))
	clean.TransferEncoding = nil
	clean.Trailer = nil
	w.Header().Set("Cache-Control", "no-store")
	e.resources.ServeHTTP(w, clean)
}

// streamTime bounds an answer that comes in parts.
const streamTime = 5 * time.Minute

// resourceTime bounds a call. An answer in parts may outlast what the server allows for ordinary ones.
func (e *Edge) resourceTime(w http.ResponseWriter, r *http.Request) (context.Context, context.CancelFunc) {
	if !strings.HasSuffix(r.URL.Path, ":simulate") {
		return context.WithTimeout(r.Context(), e.opts.CallTimeout)
	}
	control := http.NewResponseController(w)
	// The body has been read. A server without deadlines, as in tests, needs no longer ones.
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Now().Add(streamTime + e.opts.CallTimeout)) //nolint:forbidigo // the connection's deadline is the machine's time
	return context.WithTimeout(r.Context(), streamTime)
}

// streamError is the last part of an answer in parts that broke off, and the whole of one that never began.
func streamError(ctx context.Context, err error) *status.Status {
	e := public(err)
	if record, ok := recordFrom(ctx); ok {
		record.reason, record.err = e.Reason, e
	}
	return e.GRPCStatus()
}

func resourceError(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
	if own, ok := apierr.From(err); ok && own.Code == codes.InvalidArgument && own.Reason == "" && len(own.Violations) == 0 {
		// What the proxy could not decode: the body, a path or a query field.
		own = own.Clone()
		own.Message = "the request cannot be decoded: " + strings.TrimSpace(strings.ReplaceAll(own.Message, "\u00a0", " "))
		own.Violations = []apierr.FieldViolation{{Field: "request", Description: own.Message}}
		writeError(ctx, w, own)
		return
	}
	writeError(ctx, w, err)
}

func routingError(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, status int) {
	switch status {
	case http.StatusMethodNotAllowed:
		writeError(ctx, w, methodNotAllowed())
	case http.StatusBadRequest:
		writeError(ctx, w, apierr.Invalid(apierr.FieldViolation{Field: "path", Description: "malformed"}))
	default:
		writeError(ctx, w, routeUnknown())
	}
}
