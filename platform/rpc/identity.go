// Package rpc builds gRPC servers and clients the one way this project has them: mutual TLS with SPIFFE identities,
// deadlines, keepalive, size limits, health, drain, and the interceptor chain identify, decide, errors.
package rpc

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// TrustDomain is the SPIFFE trust domain of every identity here.
const TrustDomain = "relance"

// Identity is a service's certificate, its key, and the authorities it trusts. Safe for concurrent use.
type Identity struct {
	name string
	load func() (*material, error)
}

type material struct {
	cert tls.Certificate
	pool *x509.CertPool
}

// Name is the service name in the certificate, such as "sync".
func (i *Identity) Name() string { return i.name }

// Signer is the private key of the certificate at this moment.
func (i *Identity) Signer() (crypto.Signer, error) {
	m, err := i.load()
	if err != nil {
		return nil, err
	}
	signer, ok := m.cert.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("identity: the key cannot sign")
	}
	return signer, nil
}

// Expiry is when the certificate ends.
func (i *Identity) Expiry() (time.Time, error) {
	m, err := i.load()
	if err != nil {
		return time.Time{}, err
	}
	return m.cert.Leaf.NotAfter, nil
}

// ServerTLS is a server's TLS configuration: a client must show a certificate of the trust domain. With allow given,
// only these services may connect.
func (i *Identity) ServerTLS(allow ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			m, err := i.load()
			if err != nil {
				return nil, err
			}
			return &tls.Config{
				MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{m.cert}, NextProtos: []string{"h2"},
				ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: m.pool,
				VerifyConnection: func(state tls.ConnectionState) error { return verifyPeer(state, allow) },
			}, nil
		},
	}
}

// ClientTLS is a client's TLS configuration that accepts only the named service on the other side.
func (i *Identity) ClientTLS(server string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: server,
		NextProtos: []string{"h2"},
		// Names are SPIFFE ids, not DNS names, so the chain and the id are checked below instead.
		InsecureSkipVerify: true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			m, err := i.load()
			if err != nil {
				return nil, err
			}
			return &m.cert, nil
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			m, err := i.load()
			if err != nil {
				return err
			}
			if err := verifyChain(state, m.pool); err != nil {
				return err
			}
			return verifyPeer(state, []string{server})
		},
	}
}

func verifyChain(state tls.ConnectionState, pool *x509.CertPool) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("verify peer: no certificate")
	}
	middle := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		middle.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: pool, Intermediates: middle, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return fmt.Errorf("verify peer: %w", err)
	}
	return nil
}

func verifyPeer(state tls.ConnectionState, allow []string) error {
	if len(state.PeerCertificates) == 0 || len(state.PeerCertificates[0].URIs) != 1 {
		return errors.New("verify peer: the certificate needs exactly one URI name")
	}
	id, err := spiffeid.FromURI(state.PeerCertificates[0].URIs[0])
	if err != nil {
		return fmt.Errorf("verify peer: %w", err)
	}
	if id.TrustDomain().Name() != TrustDomain {
		return fmt.Errorf("verify peer: trust domain %q is not ours", id.TrustDomain().Name())
	}
	if len(allow) > 0 && !slices.Contains(allow, serviceOf(id)) {
		return fmt.Errorf("verify peer: %s is not expected here", id)
	}
	return nil
}

func serviceOf(id spiffeid.ID) string {
	const prefix = "/svc/"
	if path := id.Path(); len(path) > len(prefix) && path[:len(prefix)] == prefix {
		return path[len(prefix):]
	}
	return ""
}

// IdentityFiles names PEM files.
type IdentityFiles struct {
	// Cert is the certificate chain, leaf first; Key its Ed25519 key; CA the authorities to trust.
	Cert, Key, CA string
}

// LoadIdentity reads an identity from files and reads them again when one of them changed, so that a rotated
// certificate is used from the next handshake on. While new files cannot be read the last good ones stay in use.
func LoadIdentity(files IdentityFiles) (*Identity, error) {
	r := &reloader{files: files}
	m, err := r.load()
	if err != nil {
		return nil, err
	}
	if len(m.cert.Leaf.URIs) != 1 {
		return nil, fmt.Errorf("load identity %s: the certificate needs exactly one URI name", files.Cert)
	}
	id, err := spiffeid.FromURI(m.cert.Leaf.URIs[0])
	if err != nil {
		return nil, fmt.Errorf("load identity %s: %w", files.Cert, err)
	}
	return &Identity{name: serviceOf(id), load: r.load}, nil
}

type reloader struct {
	files IdentityFiles

	mu    sync.Mutex
	stamp string
	last  *material
}

func (r *reloader) load() (*material, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	stamp, err := r.files.stamp()
	if err == nil && stamp == r.stamp {
		return r.last, nil
	}
	m, readErr := r.files.read()
	if err = errors.Join(err, readErr); err != nil {
		if r.last != nil {
			return r.last, nil
		}
		return nil, err
	}
	r.stamp, r.last = stamp, m
	return m, nil
}

func (f IdentityFiles) stamp() (string, error) {
	var stamp string
	for _, path := range []string{f.Cert, f.Key, f.CA} {
		info, err := os.Stat(path)
		if err != nil {
			return "", fmt.Errorf("load identity: %w", err)
		}
		stamp += fmt.Sprintf("%d/%d;", info.ModTime().UnixNano(), info.Size())
	}
	return stamp, nil
}

func (f IdentityFiles) read() (*material, error) {
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("load identity: %w", err)
	}
	if cert.Leaf == nil {
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return nil, fmt.Errorf("load identity: %w", err)
		}
	}
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("load identity: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("load identity: %s holds no certificate", f.CA)
	}
	return &material{cert: cert, pool: pool}, nil
}
