package principal

import (
	"context"
	"crypto/x509"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// MetadataKey is the metadata key under which the gateway sends a principal token. Only the gateway may send it.
const MetadataKey = "relance-principal"

const servicePath = "/svc/"

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// IdentifyConfig sets up the identify step of one service.
type IdentifyConfig struct {
	// Audience is the service's own name; tokens for another one are refused.
	Audience string
	// Now is the clock tokens are checked against; nil means the machine's.
	Now func() time.Time
}

// ServiceOf gives the service name of a SPIFFE id "spiffe://<trust domain>/svc/<name>".
func ServiceOf(id spiffeid.ID) (string, error) {
	name, ok := strings.CutPrefix(id.Path(), servicePath)
	if !ok || !serviceName.MatchString(name) {
		return "", fmt.Errorf("SPIFFE id %s is not /svc/<name>", id)
	}
	return name, nil
}

// IDOf makes the SPIFFE id of a service.
func IDOf(domain spiffeid.TrustDomain, service string) (spiffeid.ID, error) {
	if !serviceName.MatchString(service) {
		return spiffeid.ID{}, fmt.Errorf("bad service name %q", service)
	}
	return spiffeid.FromPath(domain, servicePath+service)
}

// IdentifyUnary puts the caller's principal into the context: the one named by the peer's certificate, or, for the
// gateway only, the one named by a token that the gateway's own key signed. It never falls back from a bad token.
func IdentifyUnary(cfg IdentifyConfig) grpc.UnaryServerInterceptor {
	verify := newVerifier(cfg)
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		who, err := verify.identify(ctx)
		if err != nil {
			return nil, err
		}
		return next(NewContext(ctx, who), req)
	}
}

// IdentifyStream does for streams what IdentifyUnary does for unary calls.
func IdentifyStream(cfg IdentifyConfig) grpc.StreamServerInterceptor {
	verify := newVerifier(cfg)
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		who, err := verify.identify(stream.Context())
		if err != nil {
			return err
		}
		return next(srv, identified{ServerStream: stream, ctx: NewContext(stream.Context(), who)})
	}
}

type identified struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // gRPC hands a stream its context this way
}

func (s identified) Context() context.Context { return s.ctx }

func (v *verifier) identify(ctx context.Context) (Principal, error) {
	cert, err := peerCertificate(ctx)
	if err != nil {
		return Principal{}, errMissing("the connection has no usable client certificate").WithCause(err)
	}
	id, err := x509svid.IDFromCert(cert)
	if err != nil {
		return Principal{}, errMissing("the client certificate names nobody").WithCause(err)
	}
	name, err := ServiceOf(id)
	if err != nil {
		return Principal{}, errMissing("the client certificate names no service").WithCause(err)
	}
	own := Principal{Kind: Kind(systemPrefix + name)}
	md, _ := metadata.FromIncomingContext(ctx)
	tokens := md.Get(MetadataKey)
	switch {
	case len(tokens) == 0:
		return own, nil
	case own.Kind != KindGateway:
		return Principal{}, errToken("only the gateway may send a principal token")
	case len(tokens) > 1:
		return Principal{}, errToken("more than one principal token was sent")
	}
	return v.verify(tokens[0], cert.PublicKey)
}

// peerCertificate trusts the TLS layer: the server demands a client certificate and has verified its chain.
func peerCertificate(ctx context.Context) (*x509.Certificate, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil, fmt.Errorf("no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return nil, fmt.Errorf("no peer certificate")
	}
	return info.State.PeerCertificates[0], nil
}

// OutgoingToken returns a context whose outgoing calls carry token, in place of any other.
func OutgoingToken(ctx context.Context, token string) context.Context {
	md, _ := metadata.FromOutgoingContext(ctx)
	md = md.Copy()
	md.Set(MetadataKey, token)
	return metadata.NewOutgoingContext(ctx, md)
}
