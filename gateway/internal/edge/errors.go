package edge

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	_ "google.golang.org/genproto/googleapis/rpc/errdetails" // details only become JSON when their types are linked
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/relance/relance/platform/apierr"
)

// Domain and reasons of the errors the gateway makes itself.
const (
	// Domain is the ErrorInfo domain of the reasons below.
	Domain = "gateway.relance.dev"
	// ReasonSecretUnset: the route's secret is not configured, so the route is closed (Unavailable, HTTP 503).
	ReasonSecretUnset = "SECRET_NOT_CONFIGURED"
	// ReasonCredentials: secret or signature missing, malformed or wrong; the same for all causes (HTTP 401).
	ReasonCredentials = "CREDENTIALS_REJECTED"
	// ReasonBodyTooLarge: the body is over the cap (HTTP 413).
	ReasonBodyTooLarge = "BODY_TOO_LARGE"
	// ReasonRouteUnknown: no such route (HTTP 404).
	ReasonRouteUnknown = "ROUTE_UNKNOWN"
	// ReasonMethodNotAllowed: the route exists for other methods (HTTP 405).
	ReasonMethodNotAllowed = "METHOD_NOT_ALLOWED"
)

func unauthenticated() error {
	return apierr.New(codes.Unauthenticated, Domain, ReasonCredentials, "credentials are missing or wrong")
}

func secretUnset() error {
	return apierr.New(codes.Unavailable, Domain, ReasonSecretUnset, "the route is closed: its secret is not configured")
}

func tooLarge() error {
	return apierr.New(codes.ResourceExhausted, Domain, ReasonBodyTooLarge, "the body is larger than 256 KiB")
}

func routeUnknown() error {
	return apierr.New(codes.NotFound, Domain, ReasonRouteUnknown, "no such route")
}

func methodNotAllowed() error {
	return apierr.New(codes.Unimplemented, Domain, ReasonMethodNotAllowed, "the route does not take this method")
}

// httpStatus maps an error to HTTP as grpc-gateway does, with the cases HTTP has a closer word for.
func httpStatus(e *apierr.Error) int {
	if e.Domain == Domain {
		switch e.Reason {
		case ReasonBodyTooLarge:
			return http.StatusRequestEntityTooLarge
		case ReasonMethodNotAllowed:
			return http.StatusMethodNotAllowed
		}
	}
	return runtime.HTTPStatusFromCode(e.Code)
}

// public gives err as it may be shown: typed errors as they are, transport and unknown errors with neutral text, since
// their own names addresses of the inside.
func public(err error) *apierr.Error {
	e, ok := apierr.From(err)
	if !ok {
		return apierr.Internal(err)
	}
	if e.Reason != "" || len(e.Violations) > 0 || e.Resource != nil {
		return e
	}
	neutral := e.Clone()
	neutral.Cause = err
	switch e.Code {
	case codes.Unavailable:
		neutral.Message = "a service is away; try again"
	case codes.DeadlineExceeded:
		neutral.Message = "a service did not answer in time"
	case codes.Internal, codes.Unknown, codes.DataLoss:
		neutral.Code, neutral.Message = codes.Internal, "internal error; the cause is in the service's log"
	}
	return neutral
}

// writeError answers with google.rpc.Status as JSON and the HTTP status of its code.
func writeError(ctx context.Context, w http.ResponseWriter, err error) {
	e := public(err)
	writeStatus(ctx, w, e, httpStatus(e))
}

func writeStatus(ctx context.Context, w http.ResponseWriter, e *apierr.Error, code int) {
	if record, ok := recordFrom(ctx); ok {
		record.reason, record.err = e.Reason, e
	}
	body, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(e.GRPCStatus().Proto())
	if err != nil {
		body = []byte(`{"code":13,"message":"internal error","details":[]}`)
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	if e.RetryAfter > 0 && header.Get("Retry-After") == "" {
		header.Set("Retry-After", retryAfter(e.RetryAfter))
	}
	if code == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

// retryAfter is whole seconds, rounded up.
func retryAfter(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// refuse answers a request whose body was not read, and closes the connection so that the server does not drain it.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Connection", "close")
	writeError(r.Context(), w, err)
}

// bodyUnreadable: the client broke off or sent a malformed transfer.
func bodyUnreadable(cause error) error {
	return apierr.Invalid(apierr.FieldViolation{Field: "body", Description: "could not be read to its end"}).WithCause(cause)
}
