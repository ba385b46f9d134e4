package edge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/relance/relance/platform/principal"
)

// become gives a request whose context acts as who.
func become(r *http.Request, who principal.Principal) *http.Request {
	if record, ok := recordFrom(r.Context()); ok {
		record.principal = string(who.Kind)
	}
	return r.WithContext(principal.NewContext(r.Context(), who))
}

// secretGuard lets requests with an active secret pass as kind. Nothing configured closes the route with 503; every other
// cause is the same 401.
func (e *Edge) secretGuard(secrets Secrets, header string, kind principal.Kind) guard {
	return func(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
		if !secrets.Configured() {
			refuse(w, r, secretUnset())
			return nil, false
		}
		candidate, ok := presented(r, header)
		if !secrets.Match(candidate) || !ok {
			refuse(w, r, unauthenticated())
			return nil, false
		}
		return become(r, principal.Principal{Kind: kind}), true
	}
}

type signatureKey struct{}

// signatureGuard wants a well-formed marketplace signature; whether it is right can only be told from the raw body, which
// marketplaceWebhook reads next.
func (e *Edge) signatureGuard(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	signature, err := parseSignature(r.Header.Values(signatureHeader))
	if err != nil {
		refuse(w, r, unauthenticated())
		return nil, false
	}
	r = become(r, principal.Principal{Kind: principal.KindWebhook})
	return r.WithContext(context.WithValue(r.Context(), signatureKey{}, signature)), true
}

// call is the context of a gRPC call made for r: bounded in time, with the request's id.
func (e *Edge) call(r *http.Request, most time.Duration) (context.Context, context.CancelFunc) {
	ctx := metadata.AppendToOutgoingContext(r.Context(), requestID, r.Header.Get(requestID))
	return context.WithTimeout(ctx, most)
}

// readBody reads at most MaxBody bytes. It answers 413 itself, before reading when the length is declared.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	if r.ContentLength > MaxBody {
		refuse(w, r, tooLarge())
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err == nil {
		return body, true
	}
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		refuse(w, r, tooLarge())
		return nil, false
	}
	refuse(w, r, bodyUnreadable(err))
	return nil, false
}
