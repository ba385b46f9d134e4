package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/relance/relance/platform/rpc"
)

// certificate reads when an identity ends and whom it names; it fails for files that a role would refuse.
func certificate(files rpc.IdentityFiles) (time.Time, string, error) {
	identity, err := rpc.LoadIdentity(files)
	if err != nil {
		return time.Time{}, "", err
	}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return time.Time{}, "", fmt.Errorf("read certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return time.Time{}, "", fmt.Errorf("read certificate: %w", err)
	}
	return leaf.NotAfter, identity.Name(), nil
}
