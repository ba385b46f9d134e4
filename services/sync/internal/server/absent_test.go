package server_test

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc/codes"

	"github.com/relance/relance/platform/apierr"
	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/platform/secretbox"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/server"
	"github.com/relance/relance/services/sync/internal/store"
)

// counter counts the transactions that ask a pool for a connection.
type counter struct{ atomic.Int64 }

// TraceAcquireStart counts.
func (c *counter) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	c.Add(1)
	return ctx
}

// TraceAcquireEnd and the queries are of no interest.
func (c *counter) TraceAcquireEnd(context.Context, *pgxpool.Pool, pgxpool.TraceAcquireEndData) {}

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// absent is a pool whose database is away, and the transactions that asked it.
func absent(t *testing.T) (*pgxpool.Pool, *counter) {
	t.Helper()
	cfg, err := pgxpool.ParseConfig("postgres://relance_sync@127.0.0.1:1/relance?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	asked := &counter{}
	cfg.ConnConfig.Tracer = asked
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool, asked
}

// Webhooks that meet an absent database together learn of it together: none of them is tried once more alone, which in an
// outage would be the worst moment for it.
func TestWebhooksThatMeetAnAbsentDatabase(t *testing.T) {
	t.Parallel()
	pool, asked := absent(t)
	keyset, err := secretbox.GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	box, err := secretbox.New(keyset)
	if err != nil {
		t.Fatal(err)
	}
	rows := store.New(store.Config{Pool: pool, Box: box, Clock: clock.System(), Inbox: func(uuid.UUID) {}})
	s := server.New(server.Config{Store: rows, Clock: clock.System()})
	// The control: the database is away, and a transaction that finds it so is counted.
	if err := rows.System(t.Context(), func(*store.Tx) error { return nil }); !postgres.IsUnavailable(err) || asked.Swap(0) != 1 {
		t.Fatalf("the database is not away: %v", err)
	}
	ctx := principal.NewContext(t.Context(), principal.Principal{Kind: principal.KindWebhook})
	accept(ctx, t, s)
	if n := asked.Swap(0); n != 1 {
		t.Errorf("one webhook made %d transactions", n)
	}
	const webhooks = 32
	var group sync.WaitGroup
	for range webhooks {
		group.Go(func() { accept(ctx, t, s) })
	}
	group.Wait()
	if n := asked.Load(); n > webhooks {
		t.Errorf("%d webhooks made %d transactions", webhooks, n)
	}
}

// accept hands in a webhook and demands that its sender is told to deliver again.
func accept(ctx context.Context, t *testing.T, s *server.Server) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"type": "InboundMessage", "locationId": "locationAcme0000001", "contactId": "contactAcme00000001", "messageId": "messageAcme00000001",
		"messageType": "SMS", "direction": "inbound", "body": "Hi", "webhookId": uuid.NewString(), "dateAdded": clock.System().Now().UTC(),
		"timestamp": clock.System().Now().UTC(),
	})
	if err != nil {
		t.Error(err)
		return
	}
	_, err = s.AcceptWebhook(ctx, &syncv1.AcceptWebhookRequest{Source: syncv1.WebhookSource_WEBHOOK_SOURCE_GHL_MARKETPLACE, Body: body})
	if apierr.Code(err) != codes.Unavailable {
		t.Errorf("error = %v", err)
	}
}
