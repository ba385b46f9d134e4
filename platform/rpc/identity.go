package rpc

import (
	"crypto"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/relance/relance/platform/principal"
)

// IdentityFiles are the PEM files of an identity, as cert-manager or CA.WriteFiles lay them down.
type IdentityFiles struct {
	// Cert is the leaf certificate, followed by intermediates if any.
	Cert string
	// Key is the PKCS#8 private key. The gateway's must be Ed25519.
	Key string
	// CA are the roots of the trust domain.
	CA string
}

func (f IdentityFiles) paths() []string { return []string{f.Cert, f.Key, f.CA} }

// Identity is what a process proves itself with and checks its peers against. One from files follows the files: they
// are looked at on each handshake and signature, and a set that does not load leaves the one before in use. Safe for concurrent use.
type Identity struct {
	name  string
	files *IdentityFiles

	mu      sync.Mutex
	current *material
	stamp   string
	conns   map[*trackedConn]struct{}
}

type material struct {
	svid   *x509svid.SVID
	bundle *x509bundle.Bundle
}

func newIdentity(m *material, files *IdentityFiles) (*Identity, error) {
	name, err := principal.ServiceOf(m.svid.ID)
	if err != nil {
		return nil, err
	}
	return &Identity{name: name, files: files, current: m, conns: map[*trackedConn]struct{}{}}, nil
}

// LoadIdentity reads an identity from files and follows their changes. A change may not alter the SPIFFE id.
func LoadIdentity(files IdentityFiles) (*Identity, error) {
	stamp, err := stampOf(files)
	if err != nil {
		return nil, fmt.Errorf("load identity: %w", err)
	}
	m, err := readMaterial(files)
	if err != nil {
		return nil, fmt.Errorf("load identity: %w", err)
	}
	i, err := newIdentity(m, &files)
	if err != nil {
		return nil, fmt.Errorf("load identity: %w", err)
	}
	i.stamp = stamp
	return i, nil
}

func readMaterial(files IdentityFiles) (*material, error) {
	svid, err := x509svid.Load(files.Cert, files.Key)
	if err != nil {
		return nil, err
	}
	bundle, err := x509bundle.Load(svid.ID.TrustDomain(), files.CA)
	if err != nil {
		return nil, err
	}
	if bundle.Empty() {
		return nil, fmt.Errorf("%s holds no certificate", files.CA)
	}
	// A leaf that the roots do not cover would be refused by every peer: say it here, and keep the old one on reload.
	if _, _, err := x509svid.Verify(svid.Certificates, bundle); err != nil {
		return nil, err
	}
	return &material{svid: svid, bundle: bundle}, nil
}

// settle is how long a file must have been left alone before its time stamp tells its content: file systems count time
// in coarse steps, and two writes within one look alike.
const settle = 2 * time.Second

// stampOf changes when a file is replaced or written to; it is empty while the files are too young to tell.
func stampOf(files IdentityFiles) (string, error) {
	var stamp string
	young := false
	for _, path := range files.paths() {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		young = young || time.Since(info.ModTime()) < settle
		stamp += fmt.Sprintf("%d/%d;", info.ModTime().UnixNano(), info.Size())
	}
	if young {
		return "", nil
	}
	return stamp, nil
}

// Reload looks at the files now and tells what is wrong with them, if anything; the identity in use stays then. Nothing
// to do for identities in memory.
func (i *Identity) Reload() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.files == nil {
		return nil
	}
	stamp, err := stampOf(*i.files)
	if err != nil {
		return fmt.Errorf("reload identity: %w", err)
	}
	if stamp != "" && stamp == i.stamp {
		return nil
	}
	m, err := readMaterial(*i.files)
	if err != nil {
		return fmt.Errorf("reload identity: %w", err)
	}
	if m.svid.ID != i.current.svid.ID {
		return fmt.Errorf("reload identity: the files now name %s, not %s", m.svid.ID, i.current.svid.ID)
	}
	i.current, i.stamp = m, stamp
	i.closeOutdated()
	return nil
}

// closeOutdated hangs up on connections that were opened with another key: tokens are signed with the current key and
// checked against the key of the connection. gRPC dials again by itself.
func (i *Identity) closeOutdated() {
	for c := range i.conns {
		if c.key != nil && !samePublic(c.key, i.current.svid.PrivateKey.Public()) {
			delete(i.conns, c)
			_ = c.Conn.Close()
		}
	}
}

func samePublic(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

func (i *Identity) get() *material {
	// A bad set of files is not an outage while the old set is good; Reload tells those who ask.
	_ = i.Reload()
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.current
}

// Name is the service name in the certificate.
func (i *Identity) Name() string { return i.name }

// source adapts an Identity to go-spiffe without showing those methods to everybody.
type source struct{ *Identity }

// GetX509SVID gives the certificate for one handshake.
func (s source) GetX509SVID() (*x509svid.SVID, error) { return s.get().svid, nil }

// GetX509BundleForTrustDomain gives the roots of the own trust domain and refuses others.
func (s source) GetX509BundleForTrustDomain(domain spiffeid.TrustDomain) (*x509bundle.Bundle, error) {
	return s.get().bundle.GetX509BundleForTrustDomain(domain)
}

// ServerTLS demands a client certificate /svc/<name> of the own trust domain; with names given, one of those.
func (i *Identity) ServerTLS(allow ...string) *tls.Config {
	authorize := tlsconfig.AdaptMatcher(func(id spiffeid.ID) error {
		name, err := principal.ServiceOf(id)
		if err == nil && len(allow) > 0 && !slices.Contains(allow, name) {
			err = fmt.Errorf("%s may not connect here", id)
		}
		return err
	})
	cfg := tlsconfig.MTLSServerConfig(source{i}, source{i}, authorize)
	cfg.MinVersion = tls.VersionTLS13
	cfg.NextProtos = []string{"h2"}
	// A resumed session would skip the check of the peer's certificate.
	cfg.SessionTicketsDisabled = true
	return cfg
}

// ClientTLS presents the own certificate and accepts only the server /svc/<server> of the own trust domain.
func (i *Identity) ClientTLS(server string) *tls.Config {
	authorize := func(id spiffeid.ID) error {
		if name, err := principal.ServiceOf(id); err != nil || name != server {
			return fmt.Errorf("the server is %s, not %s", id, server)
		}
		return nil
	}
	cfg := tlsconfig.MTLSClientConfig(source{i}, source{i}, tlsconfig.AdaptMatcher(authorize))
	cfg.MinVersion = tls.VersionTLS13
	cfg.NextProtos = []string{"h2"}
	return cfg
}

// Signer signs with the current private key, also after a reload.
func (i *Identity) Signer() crypto.Signer { return signer{i} }

type signer struct{ identity *Identity }

// key looks at the files too: a token signed just before a new key is found would not match the next connection.
func (s signer) key() crypto.Signer { return s.identity.get().svid.PrivateKey }

// Public is the current public key.
func (s signer) Public() crypto.PublicKey { return s.key().Public() }

// Sign signs with the current private key.
func (s signer) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.key().Sign(rand, digest, opts)
}

// trackedConn is a client connection that knows the key it was opened with.
type trackedConn struct {
	net.Conn
	identity *Identity
	key      crypto.PublicKey
}

// track looks at the files first, so that the handshake that follows uses the key noted here.
func (i *Identity) track(conn net.Conn) net.Conn {
	m := i.get()
	c := &trackedConn{Conn: conn, identity: i, key: m.svid.PrivateKey.Public()}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.conns[c] = struct{}{}
	return c
}

// Close forgets the connection.
func (c *trackedConn) Close() error {
	c.identity.mu.Lock()
	delete(c.identity.conns, c)
	c.identity.mu.Unlock()
	return c.Conn.Close()
}
