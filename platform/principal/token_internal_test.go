package principal

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/relance/relance/platform/apierr"
)

const workspace = "0192f7a0-7c1e-7000-8000-000000000001"

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func fixed(at time.Time) func() time.Time { return func() time.Time { return at } }

// incoming is the context of a call from a peer whose certificate the TLS layer has accepted.
func incoming(t testing.TB, uri string, key crypto.PublicKey, tokens ...string) context.Context {
	t.Helper()
	parsed, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{URIs: []*url.URL{parsed}, PublicKey: key}
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	ctx := peer.NewContext(context.Background(), &peer.Peer{AuthInfo: credentials.TLSInfo{State: state}})
	return metadata.NewIncomingContext(ctx, metadata.MD{MetadataKey: tokens})
}

const gatewayURI = "spiffe://relance/svc/gateway"

func TestTokenNamesThePrincipal(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	signer := NewSigner(key, fixed(start))
	verify := newVerifier(IdentifyConfig{Audience: "sync", Now: fixed(start)})
	for _, who := range []Principal{
		{Kind: KindCron},
		{Kind: KindWebhook, Workspace: workspace},
		{Kind: KindAdmin},
		{Kind: KindUser, ID: "u-1"},
		{Kind: KindUser, ID: "auth0:a.b", Workspace: workspace},
	} {
		token, err := signer.Token(who, "sync")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time comes from memory
			got, err := verify.identify(incoming(t, gatewayURI, key.Public(), token))
			if err != nil || got != who {
				t.Errorf("identify = %v, %v; want %v", got, err, who)
			}
		}
	}
}

func TestSignerRefusesWhatTheGatewayIsNot(t *testing.T) {
	t.Parallel()
	signer := NewSigner(newKey(t), nil)
	for _, who := range []Principal{
		{},
		{Kind: KindSync},
		{Kind: KindFollowUps},
		{Kind: KindAvailability},
		{Kind: KindGateway},
		{Kind: "system:other"},
		{Kind: KindUser},
		{Kind: KindUser, ID: "a@b"},
		{Kind: KindCron, ID: "x"},
		{Kind: KindWebhook, Workspace: "w"},
	} {
		if token, err := signer.Token(who, "sync"); err == nil {
			t.Errorf("Token(%+v) = %q, want an error", who, token)
		}
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewSigner(ec, nil).Token(Principal{Kind: KindCron}, "sync"); err == nil {
		t.Error("a key that is not Ed25519 must be refused")
	}
}

func TestTokenReuse(t *testing.T) {
	t.Parallel()
	now := start
	signer := NewSigner(newKey(t), func() time.Time { return now })
	mint := func() string {
		token, err := signer.Token(Principal{Kind: KindCron}, "sync")
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	first := mint()
	now = start.Add(29 * time.Second)
	if mint() != first {
		t.Error("a token must be reused for half its life")
	}
	now = start.Add(31 * time.Second)
	if mint() == first {
		t.Error("a token must not be reused beyond half its life")
	}
	now = start.Add(-time.Hour)
	if mint() == first {
		t.Error("a clock that went back must not get a token from its future")
	}
}

type forged struct {
	method jwt.SigningMethod
	key    any
	claims jwt.MapClaims
}

func (f forged) token(t *testing.T) string {
	t.Helper()
	token, err := jwt.NewWithClaims(f.method, f.claims).SignedString(f.key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func claims(change jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": tokenIssuer, "sub": "system:admin", "aud": "sync", "iat": start.Unix(), "exp": start.Add(time.Minute).Unix(),
	}
	for k, v := range change {
		if v == nil {
			delete(c, k)
			continue
		}
		c[k] = v
	}
	return c
}

func TestBadTokensAreRefused(t *testing.T) {
	t.Parallel()
	key, other := newKey(t), newKey(t)
	ed, public := jwt.SigningMethodEdDSA, key.Public().(ed25519.PublicKey)
	good := forged{ed, key, claims(nil)}.token(t)
	tests := map[string]string{
		"empty":                   "",
		"no jwt":                  "system:admin",
		"other key":               forged{ed, other, claims(nil)}.token(t),
		"alg none":                forged{jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(nil)}.token(t),
		"public key as HMAC":      forged{jwt.SigningMethodHS256, []byte(public), claims(nil)}.token(t),
		"other audience":          forged{ed, key, claims(jwt.MapClaims{"aud": "followups"})}.token(t),
		"no audience":             forged{ed, key, claims(jwt.MapClaims{"aud": nil})}.token(t),
		"other issuer":            forged{ed, key, claims(jwt.MapClaims{"iss": "x"})}.token(t),
		"no expiry":               forged{ed, key, claims(jwt.MapClaims{"exp": nil})}.token(t),
		"no iat":                  forged{ed, key, claims(jwt.MapClaims{"iat": nil})}.token(t),
		"expired":                 forged{ed, key, claims(jwt.MapClaims{"iat": start.Unix() - 70, "exp": start.Unix() - 10})}.token(t),
		"from the future":         forged{ed, key, claims(jwt.MapClaims{"iat": start.Unix() + 10})}.token(t),
		"lives too long":          forged{ed, key, claims(jwt.MapClaims{"exp": start.Unix() + 3600})}.token(t),
		"names a service":         forged{ed, key, claims(jwt.MapClaims{"sub": "system:sync"})}.token(t),
		"names the gateway":       forged{ed, key, claims(jwt.MapClaims{"sub": "system:gateway"})}.token(t),
		"names nobody":            forged{ed, key, claims(jwt.MapClaims{"sub": nil})}.token(t),
		"workspace is not a UUID": forged{ed, key, claims(jwt.MapClaims{"sub": "system:webhook@all"})}.token(t),
		"signature cut":           good[:len(good)-2],
		"too long":                good + string(make([]byte, tokenMaxBytes)),
	}
	verify := newVerifier(IdentifyConfig{Audience: "sync", Now: fixed(start)})
	if _, err := verify.identify(incoming(t, gatewayURI, public, good)); err != nil {
		t.Fatalf("the good token: %v", err)
	}
	for name, token := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			who, err := verify.identify(incoming(t, gatewayURI, public, token))
			if apierr.Reason(err) != apierr.ReasonTokenInvalid {
				t.Errorf("identify = %v, %v; want TOKEN_INVALID", who, err)
			}
		})
	}
}

func TestTokenCountsOnlyFromItsGateway(t *testing.T) {
	t.Parallel()
	key, other := newKey(t), newKey(t)
	token, err := NewSigner(key, fixed(start)).Token(Principal{Kind: KindAdmin}, "sync")
	if err != nil {
		t.Fatal(err)
	}
	verify := newVerifier(IdentifyConfig{Audience: "sync", Now: fixed(start)})
	if _, err := verify.identify(incoming(t, gatewayURI, key.Public(), token)); err != nil {
		t.Fatal(err) // and from here on it is remembered
	}
	tests := []struct {
		name   string
		ctx    context.Context //nolint:containedctx // the case under test
		want   Principal
		reason string
	}{
		{"gateway without token is itself", incoming(t, gatewayURI, key.Public()), Principal{Kind: KindGateway}, ""},
		{"service without token is itself", incoming(t, "spiffe://relance/svc/sync", key.Public()), Principal{Kind: KindSync}, ""},
		{"service with the token", incoming(t, "spiffe://relance/svc/sync", key.Public(), token), Principal{}, apierr.ReasonTokenInvalid},
		{"gateway with another key", incoming(t, gatewayURI, other.Public(), token), Principal{}, apierr.ReasonTokenInvalid},
		{"two tokens", incoming(t, gatewayURI, key.Public(), token, token), Principal{}, apierr.ReasonTokenInvalid},
		{"no service path", incoming(t, "spiffe://relance/gateway", key.Public(), token), Principal{}, apierr.ReasonPrincipalMissing},
		{"deeper path", incoming(t, "spiffe://relance/svc/gateway/x", key.Public()), Principal{}, apierr.ReasonPrincipalMissing},
		{"not SPIFFE", incoming(t, "https://relance/svc/gateway", key.Public()), Principal{}, apierr.ReasonPrincipalMissing},
		{"no peer", t.Context(), Principal{}, apierr.ReasonPrincipalMissing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := verify.identify(tt.ctx)
			if got != tt.want || apierr.Reason(err) != tt.reason {
				t.Errorf("identify = %v, %v; want %v, %q", got, err, tt.want, tt.reason)
			}
		})
	}
}

func TestRememberedTokenExpires(t *testing.T) {
	t.Parallel()
	key, now := newKey(t), start
	token, err := NewSigner(key, fixed(start)).Token(Principal{Kind: KindAdmin}, "sync")
	if err != nil {
		t.Fatal(err)
	}
	verify := newVerifier(IdentifyConfig{Audience: "sync", Now: func() time.Time { return now }})
	ctx := incoming(t, gatewayURI, key.Public(), token)
	if _, err := verify.identify(ctx); err != nil {
		t.Fatal(err)
	}
	now = start.Add(tokenLife + tokenLeeway + time.Second)
	if _, err := verify.identify(ctx); apierr.Reason(err) != apierr.ReasonTokenInvalid {
		t.Errorf("identify = %v, want TOKEN_INVALID", err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := newCache[string, int](8)
	for i := range 100 {
		at := start.Add(time.Duration(i) * time.Second)
		c.put(fmt.Sprint(i), i, span{from: at, until: at.Add(time.Duration(1+i%50) * time.Second)})
		if len(c.entries) > 8 {
			t.Fatalf("%d entries", len(c.entries))
		}
		if got, ok := c.get(fmt.Sprint(i), at); !ok || got != i {
			t.Fatalf("entry %d was lost at once", i)
		}
	}
}

func FuzzIncomingMetadata(f *testing.F) {
	key, other := newKey(f), newKey(f)
	stolen, err := NewSigner(other, fixed(start)).Token(Principal{Kind: KindAdmin}, "sync")
	if err != nil {
		f.Fatal(err)
	}
	elsewhere, err := NewSigner(key, fixed(start)).Token(Principal{Kind: KindAdmin}, "followups")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", stolen, elsewhere, "system:admin", "eyJhbGciOiJub25lIn0.e30."} {
		f.Add(seed, "", true)
		f.Add(seed, seed, false)
	}
	verify := newVerifier(IdentifyConfig{Audience: "sync", Now: fixed(start)})
	f.Fuzz(func(t *testing.T, value, second string, fromGateway bool) {
		uri, own := "spiffe://relance/svc/followups", KindFollowUps
		if fromGateway {
			uri, own = gatewayURI, KindGateway
		}
		tokens := []string{value}
		if second != "" {
			tokens = append(tokens, second)
		}
		who, err := verify.identify(incoming(t, uri, key.Public(), tokens...))
		if apierr.Reason(err) != apierr.ReasonTokenInvalid || who != (Principal{}) {
			t.Errorf("%v with a token nobody minted for it became %v, %v", own, who, err)
		}
		if who, err := verify.identify(incoming(t, uri, key.Public())); err != nil || who != (Principal{Kind: own}) {
			t.Errorf("identify without a token = %v, %v", who, err)
		}
	})
}
