package principal

import (
	"crypto"
	"crypto/ed25519"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	tokenLife     = 60 * time.Second
	tokenReuse    = tokenLife / 2
	tokenLeeway   = 5 * time.Second
	tokenMaxBytes = 2048
	tokenIssuer   = "relance-gateway"
	cacheSize     = 4096
)

// edgeKinds are the callers that the gateway authenticates; a token can name no other. Services speak with their own
// certificates, so a stolen gateway key cannot speak as one of them.
func edgeKinds() []Kind { return []Kind{KindCron, KindWebhook, KindAdmin, KindUser} }

// Signer mints principal tokens. Safe for concurrent use.
type Signer struct {
	key   crypto.Signer
	now   func() time.Time
	cache *cache[mintKey, string]
}

type mintKey struct {
	who      Principal
	audience string
	public   string
}

// NewSigner makes a Signer. The key is the gateway's own TLS key and must be Ed25519; now nil means the machine's clock.
func NewSigner(key crypto.Signer, now func() time.Time) *Signer {
	if now == nil {
		now = time.Now
	}
	return &Signer{key: key, now: now, cache: newCache[mintKey, string](cacheSize)}
}

// Token gives a token that names p to the service audience ("sync"). It is valid for 60 s and is given out again for the
// first half of that. It refuses principals that the gateway does not authenticate (services) and malformed ones.
func (s *Signer) Token(p Principal, audience string) (string, error) {
	public, ok := s.key.Public().(ed25519.PublicKey)
	if !ok {
		return "", fmt.Errorf("mint principal token: the key is not Ed25519")
	}
	key := mintKey{who: p, audience: audience, public: string(public)}
	now := s.now()
	if token, ok := s.cache.get(key, now); ok {
		return token, nil
	}
	if parsed, err := Parse(p.String()); err != nil || parsed != p || !slices.Contains(edgeKinds(), p.Kind) {
		return "", fmt.Errorf("mint principal token: the gateway cannot speak for %q", p.String())
	}
	claims := jwt.RegisteredClaims{
		Issuer: tokenIssuer, Subject: p.String(), Audience: jwt.ClaimStrings{audience},
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(tokenLife)),
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims).SignedString(s.key)
	if err != nil {
		return "", fmt.Errorf("mint principal token: %w", err)
	}
	s.cache.put(key, token, span{from: now, until: now.Add(tokenReuse)})
	return token, nil
}

// verifier checks tokens against the public key of the connection they came over.
type verifier struct {
	now    func() time.Time
	parser *jwt.Parser
	cache  *cache[verifiedKey, Principal]
}

type verifiedKey struct{ token, public string }

func newVerifier(cfg IdentifyConfig) *verifier {
	now := cfg.Now
	if now == nil {
		now = time.Now
	}
	return &verifier{
		now:   now,
		cache: newCache[verifiedKey, Principal](cacheSize),
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithAudience(cfg.Audience),
			jwt.WithIssuer(tokenIssuer), jwt.WithIssuedAt(), jwt.WithExpirationRequired(),
			jwt.WithLeeway(tokenLeeway), jwt.WithTimeFunc(now), jwt.WithStrictDecoding(),
		),
	}
}

func (v *verifier) verify(token string, key crypto.PublicKey) (Principal, error) {
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return Principal{}, errToken("the gateway's certificate has no Ed25519 key")
	}
	if len(token) > tokenMaxBytes {
		return Principal{}, errToken("the principal token is too long")
	}
	cached := verifiedKey{token: token, public: string(public)}
	now := v.now()
	if who, ok := v.cache.get(cached, now); ok {
		return who, nil
	}
	claims := &jwt.RegisteredClaims{}
	if _, err := v.parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return public, nil }); err != nil {
		return Principal{}, errToken("the principal token does not verify").WithCause(err)
	}
	if claims.IssuedAt == nil || claims.ExpiresAt.Sub(claims.IssuedAt.Time) > tokenLife {
		return Principal{}, errToken("the principal token lives too long")
	}
	who, err := Parse(claims.Subject)
	if err != nil || !slices.Contains(edgeKinds(), who.Kind) {
		return Principal{}, errToken("the principal token names nobody the gateway may speak for").WithCause(err)
	}
	v.cache.put(cached, who, span{from: claims.IssuedAt.Add(-tokenLeeway), until: claims.ExpiresAt.Time})
	return who, nil
}

type span struct{ from, until time.Time }

func (s span) holds(now time.Time) bool { return !now.Before(s.from) && now.Before(s.until) }

type cached[V any] struct {
	value V
	span
}

// cache is a bounded map whose entries count only within their span. A full cache drops what is over and, if that is
// not enough, starts afresh: losing entries costs a signature, never correctness.
type cache[K comparable, V any] struct {
	mu      sync.RWMutex
	size    int
	entries map[K]cached[V]
}

func newCache[K comparable, V any](size int) *cache[K, V] {
	return &cache[K, V]{size: size, entries: map[K]cached[V]{}}
}

func (c *cache[K, V]) get(key K, now time.Time) (V, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	entry, ok := c.entries[key]
	if !ok || !entry.holds(now) {
		var zero V
		return zero, false
	}
	return entry.value, true
}

func (c *cache[K, V]) put(key K, value V, valid span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= c.size {
		for k, entry := range c.entries {
			// Whatever ends no later than this entry began is over for every clock that only moves on.
			if !entry.until.After(valid.from) {
				delete(c.entries, k)
			}
		}
	}
	if len(c.entries) >= c.size {
		clear(c.entries)
	}
	c.entries[key] = cached[V]{value: value, span: valid}
}
