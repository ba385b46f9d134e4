package principal

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc/metadata"
)

// MetadataKey is the gRPC metadata key of the principal token. The gateway never copies it from a client.
const MetadataKey = "relance-principal"

const (
	tokenLife  = 60 * time.Second
	tokenReuse = 30 * time.Second
	// cacheSize bounds remembered tokens; a full cache is emptied, which costs one verification each.
	cacheSize = 4096
	leeway    = 5 * time.Second
)

type claims struct {
	jwt.RegisteredClaims
}

// Signer mints principal tokens with the gateway's own TLS key, so that a service can check a token against the
// certificate of the very peer that presents it. Safe for concurrent use.
type Signer struct {
	key crypto.Signer
	now func() time.Time

	mu     sync.Mutex
	minted map[string]minted
}

type minted struct {
	token string
	at    time.Time
}

// NewSigner makes a signer. key must be Ed25519; now is the machine's clock, since tokens belong to transport.
func NewSigner(key crypto.Signer, now func() time.Time) *Signer {
	return &Signer{key: key, now: now, minted: map[string]minted{}}
}

// Token is an EdDSA JWT for p and the audience (a service name), valid for 60 s and reused for 30 s.
func (s *Signer) Token(p Principal, audience string) (string, error) {
	id := p.String() + "\x00" + audience
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if m, ok := s.minted[id]; ok && now.Sub(m.at) < tokenReuse && !now.Before(m.at) {
		return m.token, nil
	}
	private, ok := s.key.(ed25519.PrivateKey)
	if !ok {
		return "", errors.New("sign principal token: the key is not Ed25519")
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{jwt.RegisteredClaims{
		Subject: p.String(), Audience: jwt.ClaimStrings{audience}, Issuer: "gateway",
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(tokenLife)),
	}}).SignedString(private)
	if err != nil {
		return "", fmt.Errorf("sign principal token: %w", err)
	}
	if len(s.minted) >= cacheSize {
		clear(s.minted)
	}
	s.minted[id] = minted{token: token, at: now}
	return token, nil
}

// verifier checks tokens and remembers the ones it has verified until they expire.
type verifier struct {
	audience string
	now      func() time.Time

	mu   sync.Mutex
	seen map[string]verified
}

type verified struct {
	who     Principal
	expires time.Time
}

func newVerifier(audience string, now func() time.Time) *verifier {
	return &verifier{audience: audience, now: now, seen: map[string]verified{}}
}

func (v *verifier) verify(token string, key ed25519.PublicKey) (Principal, error) {
	id := string(key) + token
	now := v.now()
	v.mu.Lock()
	known, ok := v.seen[id]
	v.mu.Unlock()
	if ok && now.Before(known.expires) {
		return known.who, nil
	}
	var c claims
	_, err := jwt.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return key, nil },
		jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithAudience(v.audience), jwt.WithIssuer("gateway"),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(v.now))
	if err != nil {
		return Principal{}, fmt.Errorf("verify principal token: %w", err)
	}
	who, err := Parse(c.Subject)
	if err != nil {
		return Principal{}, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.seen) >= cacheSize {
		clear(v.seen)
	}
	v.seen[id] = verified{who: who, expires: c.ExpiresAt.Time}
	return who, nil
}

// OutgoingToken puts a token into the metadata of the next call.
func OutgoingToken(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, MetadataKey, token)
}
