package rpc

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

const (
	leafLife = 30 * 24 * time.Hour
	backdate = 5 * time.Minute
)

// CA is a certificate authority for one machine: it lives in memory and ends with the process. Production mounts
// certificates from files instead.
type CA struct {
	key  ed25519.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

// NewCA makes an authority.
func NewCA() (*CA, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "relance ephemeral authority"},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(leafLife), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
		URIs:     []*url.URL{{Scheme: "spiffe", Host: TrustDomain}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &CA{key: private, cert: cert, pool: pool}, nil
}

// Issue makes an identity spiffe://relance/svc/<service> with an Ed25519 key.
func (c *CA) Issue(service string) (*Identity, error) {
	cert, err := c.issue(service)
	if err != nil {
		return nil, err
	}
	m := &material{cert: cert, pool: c.pool}
	return &Identity{name: service, load: func() (*material, error) { return m, nil }}, nil
}

// WriteFiles issues an identity and writes <service>.pem, <service>.key (mode 0600) and ca.pem into dir.
func (c *CA) WriteFiles(dir, service string) (IdentityFiles, error) {
	cert, err := c.issue(service)
	if err != nil {
		return IdentityFiles{}, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return IdentityFiles{}, fmt.Errorf("write identity: %w", err)
	}
	files := IdentityFiles{
		Cert: filepath.Join(dir, service+".pem"), Key: filepath.Join(dir, service+".key"), CA: filepath.Join(dir, "ca.pem"),
	}
	for path, block := range map[string]*pem.Block{
		files.Cert: {Type: "CERTIFICATE", Bytes: cert.Certificate[0]},
		files.Key:  {Type: "PRIVATE KEY", Bytes: key},
		files.CA:   {Type: "CERTIFICATE", Bytes: c.cert.Raw},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			return IdentityFiles{}, fmt.Errorf("write identity: %w", err)
		}
	}
	return files, nil
}

func (c *CA) issue(service string) (tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("issue certificate: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: service},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(leafLife), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{{Scheme: "spiffe", Host: TrustDomain, Path: "/svc/" + service}},
		// grpcurl and other tools check DNS names; the services themselves check the URI only.
		DNSNames: []string{service, "localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, public, c.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("issue certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("issue certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der, c.cert.Raw}, PrivateKey: private, Leaf: leaf}, nil
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		// crypto/rand does not fail on supported systems.
		panic(err)
	}
	return n
}
