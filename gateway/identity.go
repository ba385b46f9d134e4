package gateway

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/rpc"
)

// tokens mints with the identity's current key. Services check a token against the certificate of the connection it
// comes over, so after a rotation of the key the signer changes here and the connections in link.
type tokens struct {
	identity *rpc.Identity

	mu     sync.Mutex
	key    ed25519.PublicKey
	signer *principal.Signer
}

// Token is a short-lived token for p at the audience.
func (t *tokens) Token(p principal.Principal, audience string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := t.identity.Signer()
	public, err := publicKey(key)
	if err != nil {
		return "", fmt.Errorf("principal token: %w", err)
	}
	if t.signer == nil || !public.Equal(t.key) {
		// Tokens belong to transport: the machine's clock, even when business time is moved.
		t.key, t.signer = public, principal.NewSigner(key, clock.System().Now)
	}
	return t.signer.Token(p, audience)
}

func publicKey(key crypto.Signer) (ed25519.PublicKey, error) {
	if key == nil {
		return nil, errors.New("the gateway's certificate cannot be read")
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("the gateway's key is not Ed25519")
	}
	return public, nil
}

// link is a connection to one service that is made anew when the identity's key changes.
type link struct {
	cfg rpc.ClientConfig

	mu   sync.Mutex
	key  ed25519.PublicKey
	conn *grpc.ClientConn
}

func newLink(cfg rpc.ClientConfig) (*link, error) {
	l := &link{cfg: cfg}
	if _, err := l.current(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *link) current() (*grpc.ClientConn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	public, err := publicKey(l.cfg.Identity.Signer())
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", l.cfg.Service, err)
	}
	if l.conn != nil && public.Equal(l.key) {
		return l.conn, nil
	}
	fresh, err := rpc.Dial(l.cfg)
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", l.cfg.Service, err)
	}
	if old := l.conn; old != nil {
		// Calls in flight on the old connection may end; their deadlines are below this.
		time.AfterFunc(2*time.Minute, func() { _ = old.Close() })
	}
	l.key, l.conn = public, fresh
	return fresh, nil
}

// Invoke makes a unary call over the current connection.
func (l *link) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	conn, err := l.current()
	if err != nil {
		return err
	}
	return conn.Invoke(ctx, method, args, reply, opts...)
}

// NewStream opens a stream over the current connection.
func (l *link) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	conn, err := l.current()
	if err != nil {
		return nil, err
	}
	return conn.NewStream(ctx, desc, method, opts...)
}

// Close ends the current connection.
func (l *link) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn.Close()
}
