package edge

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/principal"
)

// requestID is the metadata key of a request's id.
const requestID = "x-request-id"

// requestIDHeader is its header as net/http spells it: other spellings are translated at each look.
const requestIDHeader = "X-Request-Id"

// forwarded is the closed list of what may travel from an HTTP request to a service, by gRPC metadata key. The
// trace is the gateway's own (see ofCaller) and goes with every call.
func forwarded() []string { return []string{requestID} }

// ownIdentity lists the calls the gateway makes as itself, with no token: they happen before anybody is known.
func ownIdentity(method string) bool {
	return method == "/relance.sync.v1.SyncService/IdentifyWebhookSender" || strings.HasPrefix(method, "/grpc.health.v1.Health/")
}

// TokenSource mints the token that names a principal to a service. *principal.Signer is one.
type TokenSource interface {
	// Token is a short-lived token for p, valid at the audience only.
	Token(p principal.Principal, audience string) (string, error)
}

// guardedConn is the only way from the edge to a service. It drops all outgoing metadata but the closed list and adds the
// token of the context's principal, which only a guard of this package can have put there: whatever an HTTP client sends,
// it cannot become a principal.
type guardedConn struct {
	next     grpc.ClientConnInterface
	tokens   TokenSource
	audience string
}

// Invoke makes a unary call as the context's principal. A call without one is refused here, except the few the gateway
// makes as itself.
func (c *guardedConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	ctx, err := c.outgoing(ctx, method)
	if err != nil {
		return err
	}
	// Probes run beside each other under one request; only the request's own call is worth a name in the log.
	if record, ok := recordFrom(ctx); ok && !ownIdentity(method) {
		record.rpc = method
	}
	return c.next.Invoke(ctx, method, args, reply, opts...)
}

// NewStream opens a stream as the context's principal, under the same rules as Invoke.
func (c *guardedConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, err := c.outgoing(ctx, method)
	if err != nil {
		return nil, err
	}
	if record, ok := recordFrom(ctx); ok {
		record.rpc = method
	}
	return c.next.NewStream(ctx, desc, method, opts...)
}

func (c *guardedConn) outgoing(ctx context.Context, method string) (context.Context, error) {
	given, _ := metadata.FromOutgoingContext(ctx)
	kept := metadata.MD{}
	for key, values := range given {
		if slices.Contains(forwarded(), strings.ToLower(key)) {
			kept[strings.ToLower(key)] = values
		}
	}
	ctx = metadata.NewOutgoingContext(ctx, kept)
	if ownIdentity(method) {
		return ctx, nil
	}
	who, ok := principal.FromContext(ctx)
	if !ok {
		return nil, apierr.New(codes.Unauthenticated, apierr.PlatformDomain, apierr.ReasonPrincipalMissing,
			"no principal stands behind the call")
	}
	token, err := c.tokens.Token(who, c.audience)
	if err != nil {
		return nil, apierr.Internal(err)
	}
	return principal.OutgoingToken(ctx, token), nil
}
