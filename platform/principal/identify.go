package principal

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/relance/relance/platform/apierr"
)

// IdentifyConfig is what identification needs.
type IdentifyConfig struct {
	// Audience is the service's own name; tokens for another one do not count.
	Audience string
	// Now is the machine's clock.
	Now func() time.Time
}

// IdentifyUnary finds the principal of a call. The peer's certificate is the identity of a service; only the gateway's
// certificate may present a principal token, which must be signed with that certificate's key.
func IdentifyUnary(cfg IdentifyConfig) grpc.UnaryServerInterceptor {
	v := newVerifier(cfg.Audience, cfg.Now)
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		who, err := identify(ctx, v)
		if err != nil {
			return nil, err
		}
		return next(NewContext(ctx, who), req)
	}
}

// IdentifyStream does for streams what IdentifyUnary does for unary calls.
func IdentifyStream(cfg IdentifyConfig) grpc.StreamServerInterceptor {
	v := newVerifier(cfg.Audience, cfg.Now)
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		who, err := identify(stream.Context(), v)
		if err != nil {
			return err
		}
		return next(srv, &identified{ServerStream: stream, who: who})
	}
}

type identified struct {
	grpc.ServerStream
	who Principal
}

func (s *identified) Context() context.Context { return NewContext(s.ServerStream.Context(), s.who) }

func identify(ctx context.Context, v *verifier) (Principal, error) {
	cert := peerCertificate(ctx)
	if cert == nil {
		return Principal{}, missing()
	}
	own, err := ofCertificate(cert)
	if err != nil {
		return Principal{}, err
	}
	tokens := metadata.ValueFromIncomingContext(ctx, MetadataKey)
	if len(tokens) == 0 {
		return own, nil
	}
	key, ok := cert.PublicKey.(ed25519.PublicKey)
	if own.Kind != KindGateway || len(tokens) != 1 || !ok {
		return Principal{}, invalidToken(nil)
	}
	who, err := v.verify(tokens[0], key)
	if err != nil {
		return Principal{}, invalidToken(err)
	}
	return who, nil
}

func peerCertificate(ctx context.Context) *x509.Certificate {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 || len(info.State.VerifiedChains) == 0 {
		return nil
	}
	return info.State.PeerCertificates[0]
}

// ofCertificate reads spiffe://<trust domain>/svc/<name>. The trust domain was checked by the TLS layer.
func ofCertificate(cert *x509.Certificate) (Principal, error) {
	if len(cert.URIs) != 1 {
		return Principal{}, missing()
	}
	id, err := spiffeid.FromURI(cert.URIs[0])
	if err != nil {
		return Principal{}, missing()
	}
	name, ok := strings.CutPrefix(id.Path(), "/svc/")
	kind := Kind("system:" + name)
	// Cron, webhook and admin are minted by the gateway; a certificate that claims to be one is refused.
	services := []Kind{KindFollowUps, KindAvailability, KindSync, KindGateway}
	if !ok || !slices.Contains(services, kind) {
		return Principal{}, missing()
	}
	return Principal{Kind: kind}, nil
}

func invalidToken(cause error) error {
	return apierr.New(codes.Unauthenticated, apierr.PlatformDomain, apierr.ReasonTokenInvalid,
		"the principal token does not verify for this peer and service").WithCause(cause)
}
