package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/relance/relance/platform/pgserver"
	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/postgres"
)

// cluster is a server of the test's own, which it may halt.
func cluster(t *testing.T, durable bool) (*pgserver.Server, *pgxpool.Pool) {
	t.Helper()
	server, err := pgserver.Start(t.Context(), pgserver.Config{Durable: durable})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	admin := server.DSN("postgres")
	if err := postgres.Migrate(t.Context(), admin, migrations()); err != nil {
		t.Fatal(err)
	}
	pool, err := postgres.Open(t.Context(), postgres.Config{DSN: postgres.RoleDSN(admin, "sample"), Schema: "sample"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return server, pool
}

func count(ctx context.Context, pool *pgxpool.Pool) error {
	return postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
		var n int
		return tx.QueryRow(ctx, `SELECT count(*) FROM note`).Scan(&n)
	})
}

func TestPoolHealsWhenTheDatabaseComesBack(t *testing.T) {
	t.Parallel()
	server, pool := cluster(t, false)
	if err := count(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	server.Halt()
	for range 3 { // the first may meet a connection that was cut, the later ones a refused one
		if err := count(t.Context(), pool); !postgres.IsUnavailable(err) {
			t.Errorf("database down: %v, want IsUnavailable", err)
		}
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	err := count(t.Context(), pool)
	for ; err != nil && time.Now().Before(deadline); err = count(t.Context(), pool) {
		if !postgres.IsUnavailable(err) {
			t.Fatalf("while coming back: %v, want IsUnavailable", err)
		}
	}
	if err != nil {
		t.Errorf("the pool did not heal: %v", err)
	}
}

func TestOpenSucceedsWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	pool, err := postgres.Open(t.Context(), postgres.Config{DSN: "postgres://relance_sample@/x?host=" + t.TempDir(), Schema: "sample"})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := pool.Ping(t.Context()); !postgres.IsUnavailable(err) {
		t.Errorf("Ping = %v, want IsUnavailable", err)
	}
}

func TestOpenDoesNotQuoteTheDSN(t *testing.T) {
	t.Parallel()
	_, err := postgres.Open(t.Context(), postgres.Config{DSN: "postgres://u:canary@h:notaport/x"})
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("Open = %v, want an error without the password", err)
	}
}

func TestCheckDurability(t *testing.T) {
	t.Parallel()
	_, safe := cluster(t, true)
	if err := postgres.CheckDurability(t.Context(), safe); err != nil {
		t.Errorf("durable cluster: %v", err)
	}
	_, off := cluster(t, false)
	if err := postgres.CheckDurability(t.Context(), off); err == nil || !strings.Contains(err.Error(), "fsync=off") {
		t.Errorf("cluster without fsync: %v, want it to name fsync", err)
	}
}

func TestErrorQuestions(t *testing.T) {
	t.Parallel()
	m := migrations()
	pool := pgtest.New(t, m).Pool(t, "sample")
	exec := func(sql string) error {
		return postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), sql)
			return err
		})
	}
	if err := exec(`CREATE TABLE mine ()`); err == nil {
		t.Error("the service role could create a table in its schema")
	}
	if err := exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)`); err == nil {
		t.Error("the service role could change what counts as migrated")
	}
	if err := exec(`ALTER TABLE note DISABLE ROW LEVEL SECURITY`); err == nil {
		t.Error("the service role could switch row-level security off")
	}
	unique := exec(`CREATE TEMP TABLE u (id int CONSTRAINT u_key PRIMARY KEY); INSERT INTO u VALUES (1), (1)`)
	if !postgres.IsUnique(unique, "u_key") || !postgres.IsUnique(unique, "") || postgres.IsUnique(unique, "other") {
		t.Errorf("unique violation not recognised: %v", unique)
	}
	foreign := exec(`CREATE TEMP TABLE p (id int PRIMARY KEY);
		CREATE TEMP TABLE c (p int CONSTRAINT c_p REFERENCES p); INSERT INTO c VALUES (1)`)
	if !postgres.IsForeignKey(foreign, "c_p") || postgres.IsForeignKey(unique, "") {
		t.Errorf("foreign key violation not recognised: %v", foreign)
	}
	var n int
	if err := pool.QueryRow(t.Context(), `SELECT 1 WHERE false`).Scan(&n); !postgres.IsNoRows(err) {
		t.Errorf("no rows not recognised: %v", err)
	}
	if err := exec(`DO $$ BEGIN RAISE SQLSTATE '40001'; END $$`); !postgres.IsRetryable(err) || postgres.IsRetryable(unique) {
		t.Errorf("serialization failure not recognised: %v", err)
	}
}

func TestADeadlineIsNotAnAbsentDatabase(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, migrations()).Pool(t, "sample")
	if err := pool.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := pool.Exec(ctx, `SELECT pg_sleep(10)`)
	if !errors.Is(err, context.DeadlineExceeded) || postgres.IsUnavailable(err) {
		t.Errorf("slow statement: %v; want a deadline, not IsUnavailable", err)
	}
}

func TestTransactionRollsBackAndScopeEndsWithIt(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations())
	pool, err := postgres.Open(t.Context(), postgres.Config{DSN: db.DSN("sample"), Schema: "sample", MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	const workspace = "00000000-0000-7000-8000-000000000001"
	cause := errors.New("no")
	err = postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `INSERT INTO note VALUES ($1, 'x')`, workspace); err != nil {
			t.Fatal(err)
		}
		return cause
	})
	if !errors.Is(err, cause) {
		t.Errorf("InTx = %v, want the cause", err)
	}
	var scope, in string
	err = pool.QueryRow(t.Context(), `SELECT coalesce(current_setting('relance.scope', true), ''),
		coalesce(current_setting('relance.workspace_id', true), '')`).Scan(&scope, &in)
	if err != nil || scope != "" || in != "" {
		t.Errorf("scope left on the connection: %q, %q, %v", scope, in, err)
	}
	err = postgres.InWorkspace(t.Context(), pool, workspace, func(tx pgx.Tx) error {
		var n int
		if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM note`).Scan(&n); err != nil || n != 0 {
			t.Errorf("rows after roll-back = %d, %v", n, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRoleDSN(t *testing.T) {
	t.Parallel()
	for _, admin := range []string{
		"postgres://boss:one@db.example/x?sslmode=disable", "host=db.example user=boss password=one dbname=x sslmode=disable",
	} {
		cfg, err := pgx.ParseConfig(postgres.RoleDSN(admin, "sync"))
		if err != nil {
			t.Fatal(err)
		}
		if cfg.User != "relance_sync" || cfg.Database != "x" || cfg.Host != "db.example" {
			t.Errorf("%s: %s@%s/%s", admin, cfg.User, cfg.Host, cfg.Database)
		}
		if cfg.Password == "one" || len(cfg.Password) != 64 {
			t.Errorf("%s: the password is not derived", admin)
		}
	}
	plain, err := pgx.ParseConfig(postgres.RoleDSN("postgres://postgres@/x?host=/run/pg", "sync"))
	if err != nil || plain.Password != "" || plain.User != "relance_sync" || plain.Host != "/run/pg" {
		t.Errorf("socket DSN: user %q host %q, %v", plain.User, plain.Host, err)
	}
}
