// Package rpc is the gRPC transport of the house: mutual TLS with SPIFFE-style identities, servers with the interceptors
// every service has, and clients with deadlines. It refuses to run a server with a method nobody decided about.
package rpc

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/relance/relance/platform/principal"
)

const (
	// TrustDomain is the default trust domain of the identities.
	TrustDomain = "relance"

	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 5 * 365 * 24 * time.Hour // nothing renews in-memory identities: they must outlive the process
	skew     = time.Hour
)

// CA is an ephemeral certificate authority: its key lives in memory only and dies with the process. Safe for concurrent
// use.
type CA struct {
	domain spiffeid.TrustDomain
	cert   *x509.Certificate
	key    ed25519.PrivateKey
}

// NewCA makes a CA for a trust domain ("relance").
func NewCA(trustDomain string) (*CA, error) {
	domain, err := spiffeid.TrustDomainFromString(trustDomain)
	if err != nil {
		return nil, fmt.Errorf("make CA: %w", err)
	}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make CA: %w", err)
	}
	template, err := newTemplate(domain.ID().URL(), caLife)
	if err != nil {
		return nil, fmt.Errorf("make CA: %w", err)
	}
	template.Subject = pkix.Name{CommonName: "relance ephemeral CA"}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		return nil, fmt.Errorf("make CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make CA: %w", err)
	}
	return &CA{domain: domain, cert: cert, key: key}, nil
}

// Issue makes the identity spiffe://<trust domain>/svc/<service>.
func (c *CA) Issue(service string) (*Identity, error) {
	id, err := principal.IDOf(c.domain, service)
	if err != nil {
		return nil, fmt.Errorf("issue identity: %w", err)
	}
	cert, key, err := c.leaf(id, service)
	if err != nil {
		return nil, fmt.Errorf("issue identity: %w", err)
	}
	return newIdentity(&material{
		svid:   &x509svid.SVID{ID: id, Certificates: []*x509.Certificate{cert}, PrivateKey: key},
		bundle: x509bundle.FromX509Authorities(c.domain, []*x509.Certificate{c.cert}),
	}, nil)
}

func (c *CA) leaf(id spiffeid.ID, service string) (*x509.Certificate, ed25519.PrivateKey, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template, err := newTemplate(id.URL(), leafLife)
	if err != nil {
		return nil, nil, err
	}
	template.Subject = pkix.Name{CommonName: service}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	// Peers go by the URI; these names are for people with grpcurl, whose TLS wants a host name.
	template.DNSNames = []string{service, "localhost"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, public, c.key)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

func newTemplate(uri *url.URL, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, URIs: []*url.URL{uri}, NotBefore: now.Add(-skew), NotAfter: now.Add(life),
	}, nil
}

// WriteFiles issues an identity and writes it for LoadIdentity: ca.pem, <service>.pem and <service>.key in dir, which is
// made when missing. The key is readable by its owner only.
func (c *CA) WriteFiles(dir, service string) error {
	id, err := principal.IDOf(c.domain, service)
	if err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	cert, key, err := c.leaf(id, service)
	if err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	files := []struct {
		name, kind string
		der        []byte
		mode       os.FileMode
	}{
		{"ca.pem", "CERTIFICATE", c.cert.Raw, 0o644},
		{service + ".pem", "CERTIFICATE", cert.Raw, 0o644},
		{service + ".key", "PRIVATE KEY", keyDER, 0o600},
	}
	for _, f := range files {
		if err := replaceFile(filepath.Join(dir, f.name), pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), f.mode); err != nil {
			return fmt.Errorf("write identity: %w", err)
		}
	}
	return nil
}

// replaceFile writes beside the file and renames, so that a reader never meets half of it.
func replaceFile(path string, content []byte, mode os.FileMode) error {
	if err := os.WriteFile(path+".new", content, mode); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
