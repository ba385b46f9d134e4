package postgres_test

import (
	"context"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/postgres"
)

func migrations() postgres.Migrations {
	return postgres.Migrations{Service: "sample", River: true, FS: fstest.MapFS{"0001_init.sql": {Data: []byte(`-- +goose Up
CREATE TABLE note (workspace_id uuid NOT NULL, body text NOT NULL);
ALTER TABLE note ENABLE ROW LEVEL SECURITY;
ALTER TABLE note FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON note USING (current_setting('relance.scope', true) = 'system'
  OR workspace_id = nullif(current_setting('relance.workspace_id', true), '')::uuid);
`)}}}
}

func TestMigrateIsSafeToRepeatAndToOverlap(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var wait sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wait.Go(func() { errs[i] = postgres.Migrate(context.Background(), db.AdminDSN, migrations()) })
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	var jobs int
	if err := db.Pool(t, "sample").QueryRow(t.Context(), `SELECT count(*) FROM river_job`).Scan(&jobs); err != nil {
		t.Fatal(err)
	}
}

func TestRowsOfAnotherWorkspaceAreInvisible(t *testing.T) {
	t.Parallel()
	const own, other = "00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002"
	pool := pgtest.New(t, migrations()).Pool(t, "sample")
	count := func(workspace string) (n int) {
		err := postgres.InWorkspace(t.Context(), pool, workspace, func(tx pgx.Tx) error {
			return tx.QueryRow(t.Context(), `SELECT count(*) FROM note`).Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	err := postgres.InWorkspace(t.Context(), pool, own, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO note VALUES ($1, 'x')`, own)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := count(own); got != 1 {
		t.Errorf("own rows = %d, want 1 (the control)", got)
	}
	if got := count(other); got != 0 {
		t.Errorf("foreign rows = %d, want 0", got)
	}
	var unscoped int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM note`).Scan(&unscoped); err != nil || unscoped != 0 {
		t.Errorf("rows without scope = %d, %v; want 0", unscoped, err)
	}
}

func TestScopeCannotCarrySQL(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, migrations()).Pool(t, "sample")
	for _, workspace := range []string{"', true); select set_config('relance.scope', 'system", "a b", "x'", `x\`, "x\x00"} {
		err := postgres.InWorkspace(t.Context(), pool, workspace, func(pgx.Tx) error {
			t.Errorf("a transaction began in workspace %q", workspace)
			return nil
		})
		if err == nil {
			t.Errorf("workspace %q was taken", workspace)
		}
	}
}

func TestSuperuserIsRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations())
	pool, err := postgres.Open(t.Context(), postgres.Config{DSN: db.AdminDSN, Schema: "sample"})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := pool.Ping(t.Context()); err == nil {
		t.Error("a superuser could connect")
	}
}

// The plan of a statement on an array is kept in a batch, however short the array is, and nowhere else.
func TestBatchWorkspaceKeepsPlans(t *testing.T) {
	t.Parallel()
	const own, other = "00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002"
	pool := pgtest.New(t, migrations()).Pool(t, "sample")
	// Plans are a connection's; one caller gets the same connection again and again.
	ask := func(scope func(context.Context, *pgxpool.Pool, string, func(pgx.Tx) error) error, workspace, sql string) (generic, custom int64) {
		t.Helper()
		for range 8 {
			err := scope(t.Context(), pool, workspace, func(tx pgx.Tx) error {
				if _, err := tx.Exec(t.Context(), sql, []string{own}); err != nil {
					return err
				}
				return tx.QueryRow(t.Context(), `SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1`, sql).Scan(&generic, &custom)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return generic, custom
	}
	if generic, custom := ask(postgres.BatchWorkspace, own, `SELECT count(*) FROM unnest($1::text[]) a`); generic != 8 || custom != 0 {
		t.Errorf("in a batch: %d plans kept, %d made anew", generic, custom)
	}
	// The control: the same statement, but for its name.
	if generic, custom := ask(postgres.InWorkspace, own, `SELECT count(*) FROM unnest($1::text[]) b`); custom == 0 {
		t.Errorf("elsewhere: %d plans kept, %d made anew", generic, custom)
	}
	var rows int
	err := postgres.InWorkspace(t.Context(), pool, own, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO note VALUES ($1, 'x')`, own)
		return err
	})
	if err == nil {
		err = postgres.BatchWorkspace(t.Context(), pool, other, func(tx pgx.Tx) error {
			return tx.QueryRow(t.Context(), `SELECT count(*) FROM note`).Scan(&rows)
		})
	}
	if err != nil || rows != 0 {
		t.Errorf("a batch sees %d rows of another workspace, %v", rows, err)
	}
}

func TestReadWorkspaceSeesOneMomentAndChangesNothing(t *testing.T) {
	t.Parallel()
	const own = "00000000-0000-7000-8000-000000000001"
	pool := pgtest.New(t, migrations()).Pool(t, "sample")
	insert := func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO note VALUES ($1, 'x')`, own)
		return err
	}
	read := func(between func()) (before, after int) {
		err := postgres.ReadWorkspace(t.Context(), pool, own, func(tx pgx.Tx) error {
			if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM note`).Scan(&before); err != nil {
				return err
			}
			between()
			return tx.QueryRow(t.Context(), `SELECT count(*) FROM note`).Scan(&after)
		})
		if err != nil {
			t.Fatal(err)
		}
		return before, after
	}
	before, after := read(func() {
		if err := postgres.InWorkspace(t.Context(), pool, own, insert); err != nil {
			t.Fatal(err)
		}
	})
	if before != 0 || after != 0 {
		t.Errorf("rows = %d, then %d in one moment", before, after)
	}
	if now, _ := read(func() {}); now != 1 {
		t.Errorf("rows of the next = %d, want 1 (the control)", now)
	}
	if err := postgres.ReadWorkspace(t.Context(), pool, own, insert); err == nil {
		t.Error("a row was added while reading")
	}
}
