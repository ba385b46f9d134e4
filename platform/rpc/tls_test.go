package rpc_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	"github.com/relance/relance/platform/internal/echo"
	"github.com/relance/relance/platform/rpc"
	"github.com/relance/relance/platform/rpctest"
)

func rawCredentials(identity *rpc.Identity) grpc.DialOption {
	return grpc.WithTransportCredentials(credentials.NewTLS(identity.ClientTLS("sync")))
}

// tlsServe answers one byte: a client that the server refuses learns it only when reading.
func tlsServe(conn net.Conn, cfg *tls.Config) error {
	server := tls.Server(conn, cfg)
	defer func() { _ = server.Close() }()
	_, err := server.Write([]byte{1})
	return err
}

func tlsPing(address string, cfg *tls.Config) error {
	conn, err := tls.Dial("tcp", address, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = io.ReadFull(conn, make([]byte, 1))
	return err
}

func TestNoWayInWithoutClientCertificateOrTLS13(t *testing.T) {
	t.Parallel()
	r := serve(t, &echo.Server{}, nil)
	bare := issue(t, r.ca, "cron").ClientTLS("sync")
	bare.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }
	conn, err := grpc.NewClient(r.target, grpc.WithTransportCredentials(credentials.NewTLS(bare)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = echo.Call(t.Context(), conn, "x")
	rpctest.RequireError(t, err, codes.Unavailable, "")
	old := issue(t, r.ca, "cron").ClientTLS("sync")
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if err := tlsPing(r.target, old); err == nil {
		t.Error("TLS 1.2 was accepted")
	}
}

func TestCertificatesServeOrdinaryTools(t *testing.T) {
	t.Parallel()
	// grpcurl checks host names: -cacert ca.pem -cert svc.pem -key svc.key must do for localhost.
	r := serve(t, &echo.Server{}, nil)
	cfg := issue(t, r.ca, "admin").ClientTLS("sync")
	err := errors.New("not asked")
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		err = state.PeerCertificates[0].VerifyHostname("localhost")
		if state.PeerCertificates[0].PublicKeyAlgorithm != x509.Ed25519 {
			err = errors.New("not an Ed25519 leaf")
		}
		return nil
	}
	_ = tlsPing(r.target, cfg)
	if err != nil {
		t.Error(err)
	}
}
