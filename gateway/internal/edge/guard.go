package edge

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/relance/relance/platform/principal"
)

// become gives a request whose context acts as who.
func become(r *http.Request, who principal.Principal) *http.Request {
	return r.WithContext(acting(r.Context(), who))
}

// acting gives a context that acts as who.
func acting(ctx context.Context, who principal.Principal) context.Context {
	if record, ok := recordFrom(ctx); ok {
		record.principal = string(who.Kind)
	}
	return principal.NewContext(ctx, who)
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
	ctx := acting(r.Context(), principal.Principal{Kind: principal.KindWebhook})
	return r.WithContext(context.WithValue(ctx, signatureKey{}, signature)), true
}

// call is the context of a gRPC call made for r: bounded in time, with the request's id.
func (e *Edge) call(r *http.Request, most time.Duration) (context.Context, context.CancelFunc) {
	ctx := metadata.AppendToOutgoingContext(r.Context(), requestID, idOf(r.Context()))
	return context.WithTimeout(ctx, most)
}

// smallBody is up to which length a body has its room from the beginning.
const smallBody = 4 << 10

// readBody reads at most MaxBody bytes. It answers 413 itself, before reading when the length is declared.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	if r.ContentLength > MaxBody {
		refuse(w, r, tooLarge())
		return nil, false
	}
	var body bytes.Buffer
	// A declared length that is not small is believed only as bytes come in: nobody is known before the body is read.
	body.Grow(int(min(max(r.ContentLength, 0), smallBody)) + bytes.MinRead)
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, MaxBody))
	if err == nil {
		return body.Bytes(), true
	}
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		refuse(w, r, tooLarge())
		return nil, false
	}
	refuse(w, r, bodyUnreadable(err))
	return nil, false
}
