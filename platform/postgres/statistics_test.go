package postgres_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/postgres"
)

// crowd has two indexes that begin with the workspace. While it is empty, either seems to lead to one row. Nobody else analyzes these tables.
func crowd() postgres.Migrations {
	return postgres.Migrations{Service: "sample", FS: fstest.MapFS{"0001_init.sql": {Data: []byte(`-- +goose Up
CREATE TABLE crowd (workspace_id uuid NOT NULL, id integer NOT NULL, request integer NOT NULL, a text, b text, c text, d text, e text, f text, g text,
    PRIMARY KEY (workspace_id, id), UNIQUE (workspace_id, request)) WITH (autovacuum_enabled = false);
CREATE TABLE passage (workspace_id uuid NOT NULL) WITH (autovacuum_enabled = false);
`)}}}
}

const someone = "00000000-0000-7000-8000-000000000001"

// one is a pool with one connection, which keeps its plans.
func one(t *testing.T, d *pgtest.DB) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Open(t.Context(), postgres.Config{DSN: d.DSN("sample"), Schema: "sample", MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// find looks a row up by its key, and tells how many were read for it.
func find(t *testing.T, pool *pgxpool.Pool) (read int) {
	t.Helper()
	err := postgres.BatchWorkspace(t.Context(), pool, someone, func(tx pgx.Tx) error {
		before, err := rowsRead(t.Context(), tx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), `SELECT a FROM crowd WHERE workspace_id = $1 AND id = $2`, someone, 1000); err != nil {
			return err
		}
		after, err := rowsRead(t.Context(), tx)
		read = after - before
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func rowsRead(ctx context.Context, tx pgx.Tx) (n int, err error) {
	err = tx.QueryRow(ctx, `SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'crowd'`).Scan(&n)
	return n, err
}

func fill(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	// What a transaction counted is told of at its end, or up to ten seconds later.
	if _, err := pool.Exec(t.Context(), `SELECT pg_stat_force_next_flush(); `+sql); err != nil {
		t.Fatal(err)
	}
}

func analyzed(t *testing.T, pool *pgxpool.Pool) int {
	t.Helper()
	n, err := postgres.AnalyzeGrown(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const crowding = `INSERT INTO crowd SELECT '` + someone + `', n, n FROM generate_series(1, 2000) n`

func TestPlansFollowTheGrowthOfTables(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, crowd())
	writes, reads := d.Pool(t, "sample"), one(t, d)
	if n := analyzed(t, writes); n != 0 {
		t.Errorf("%d tables analyzed with no row in any", n)
	}
	find(t, reads)
	fill(t, writes, crowding)
	if n := find(t, reads); n < 2000 {
		t.Errorf("control: %d rows read by a plan from before there were any, want all", n)
	}
	if n := analyzed(t, writes); n != 1 {
		t.Errorf("%d tables analyzed, want the one that grew", n)
	}
	if n := find(t, reads); n != 1 {
		t.Errorf("%d rows read after the table was analyzed, want 1", n)
	}
	if n := analyzed(t, writes); n != 0 {
		t.Errorf("%d tables analyzed again without growth", n)
	}
}

// Much passes through a queue, and its size stays: plans made anew each second would cost more than they save.
func TestAQueueDoesNotGrow(t *testing.T) {
	t.Parallel()
	pool := one(t, pgtest.New(t, crowd()))
	const pass = `INSERT INTO passage SELECT '` + someone + `' FROM generate_series(1, 500)`
	fill(t, pool, pass+`; DELETE FROM passage`)
	if n := analyzed(t, pool); n != 0 {
		t.Errorf("%d tables analyzed that kept no row", n)
	}
	fill(t, pool, pass)
	if n := analyzed(t, pool); n != 1 {
		t.Errorf("control: %d tables analyzed that kept rows, want 1", n)
	}
}

func TestTablesAreKeptAnalyzed(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, crowd())
	pool := d.Pool(t, "sample")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- postgres.KeepAnalyzed(ctx, pool, slog.New(slog.DiscardHandler)) }()
	fill(t, pool, crowding)
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		var rows float64
		if err := pool.QueryRow(t.Context(), `SELECT reltuples FROM pg_class WHERE oid = 'crowd'::regclass`).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		if rows == 2000 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the table has %v rows for the planner, want 2,000", rows)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
