package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/relance/relance/e2e/internal/lab"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/simulator"
)

// bareIntake stores webhooks with one durable insert each and nothing else: at url behind a handler, at doors behind a handler
// that checks the Ed25519 signature, and a gRPC server that is called over mutual TLS for each. What the second costs more than
// the first is the price of two processes that trust no network.
type bareIntake struct {
	syncv1.UnimplementedSyncServiceServer
	url, doors string

	pool *pgxpool.Pool
	key  ed25519.PublicKey
	sync syncv1.SyncServiceClient
	ends []func()
}

// openBare serves both. They live in this process.
func openBare(ctx context.Context, l *lab.Lab) (_ *bareIntake, err error) {
	b := &bareIntake{}
	defer func() {
		if err != nil {
			b.close()
			err = fmt.Errorf("bare handler: %w", err)
		}
	}()
	cfg, err := pgxpool.ParseConfig(l.PG.DSN("relance"))
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = inFlight / 2
	if b.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, err
	}
	b.ends = append(b.ends, b.pool.Close)
	if _, err = b.pool.Exec(ctx, `CREATE TABLE public.bare_inbox (id uuid PRIMARY KEY, body bytea NOT NULL)`); err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(l.PublicKeyPEM()))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	b.key, _ = key.(ed25519.PublicKey)
	if err := b.serveSync(ctx, l); err != nil {
		return nil, err
	}
	if b.url, err = b.serve(ctx, b.insert); err != nil {
		return nil, err
	}
	b.doors, err = b.serve(ctx, func(ctx context.Context, r *http.Request, body []byte) error {
		signature, err := base64.StdEncoding.DecodeString(r.Header.Get(simulator.SignatureHeader))
		if err != nil || !ed25519.Verify(b.key, body, signature) {
			return errors.New("not signed")
		}
		_, err = b.sync.AcceptWebhook(ctx, &syncv1.AcceptWebhookRequest{Body: body})
		return err
	})
	return b, err
}

// close ends both.
func (b *bareIntake) close() {
	for i := range b.ends {
		b.ends[len(b.ends)-1-i]()
	}
}

func (b *bareIntake) insert(ctx context.Context, _ *http.Request, body []byte) error {
	_, err := b.pool.Exec(ctx, `INSERT INTO public.bare_inbox (id, body) VALUES ($1, $2)`, uuid.New(), body)
	return err
}

// AcceptWebhook is the second door.
func (b *bareIntake) AcceptWebhook(ctx context.Context, r *syncv1.AcceptWebhookRequest) (*syncv1.AcceptWebhookResponse, error) {
	return &syncv1.AcceptWebhookResponse{}, b.insert(ctx, nil, r.GetBody())
}

func (b *bareIntake) serve(ctx context.Context, store func(context.Context, *http.Request, []byte) error) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = store(r.Context(), r, body)
		}
		if err != nil {
			http.Error(w, "not stored", http.StatusTooManyRequests)
		}
	})}
	go func() { _ = server.Serve(listener) }() // ends with Close
	b.ends = append(b.ends, func() { _ = server.Close() })
	return "http://" + listener.Addr().String(), nil
}

// serveSync opens the second door: grpc-go with the certificates of the services and none of our interceptors.
func (b *bareIntake) serveSync(ctx context.Context, l *lab.Lab) error {
	own, err := l.CA.Issue("sync")
	if err != nil {
		return err
	}
	caller, err := l.CA.Issue("gateway")
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(own.ServerTLS())))
	syncv1.RegisterSyncServiceServer(server, b)
	go func() { _ = server.Serve(listener) }() // ends with Stop
	b.ends = append(b.ends, server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(caller.ClientTLS("sync"))))
	if err != nil {
		return err
	}
	b.ends = append(b.ends, func() { _ = conn.Close() })
	b.sync = syncv1.NewSyncServiceClient(conn)
	return nil
}
