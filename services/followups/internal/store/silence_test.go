package store_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/followups/internal/store"
)

// queries counts statements.
type queries struct{ atomic.Int64 }

func (q *queries) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	q.Add(1)
	return ctx
}

func (*queries) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestAPageOfSilencesCostsAsOne: however many silences end that enroll nobody, the statements are those of one.
func TestAPageOfSilencesCostsAsOne(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, store.Migrations())
	cfg, err := pgxpool.ParseConfig(db.DSN("followups"))
	if err != nil {
		t.Fatal(err)
	}
	count := &queries{}
	cfg.ConnConfig.Tracer = count
	cfg.ConnConfig.RuntimeParams["search_path"] = "followups"
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	now := time.Date(2026, 1, 7, 15, 0, 0, 0, time.UTC)
	workspace, sequence := uuid.New(), uuid.New()
	exec := func(query string, args ...any) {
		t.Helper()
		err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error { _, err := tx.Exec(t.Context(), query, args...); return err })
		if err != nil {
			t.Fatal(err)
		}
	}
	exec(`INSERT INTO sequence (workspace_id, id, display_name, active, trigger, trigger_minutes, version, create_time, update_time)
		VALUES ($1, $2, 'Still there', false, 'no_response', 30, 1, $3, $3)`, workspace, sequence, now)
	fire := func(silences int) int64 {
		t.Helper()
		exec(`INSERT INTO silence_watch (workspace_id, lead_id, sequence_id, since, due_time)
			SELECT $1, gen_random_uuid(), $2, $3::timestamptz - interval '1 hour', $3 FROM generate_series(1, $4)`, workspace, sequence, now, silences)
		run := uuid.New()
		exec(`INSERT INTO run (id, start_time) VALUES ($1, $2)`, run, now)
		before := count.Load()
		fired, err := store.New(pool).FireSilences(t.Context(), run, now, 1000)
		if err != nil || fired != silences {
			t.Fatalf("%d fired, %v", fired, err)
		}
		return count.Load() - before
	}
	fire(1) // connections are made
	if one, many := fire(1), fire(80); many != one {
		t.Errorf("80 silences cost %d statements, one %d", many, one)
	}
}
