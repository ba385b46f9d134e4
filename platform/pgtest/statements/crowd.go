package statements

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/postgres"
)

// Crowd gives a service's pool on a database that sql has filled as its owner, analyzed as a running service has it analyzed.
func Crowd(t testing.TB, migrations postgres.Migrations, sql string) *pgxpool.Pool {
	t.Helper()
	d := pgtest.New(t, migrations)
	pool := d.Pool(t, migrations.Service)
	admin, err := pgx.Connect(t.Context(), d.AdminDSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close(context.Background()) })
	for _, statement := range []string{sql, `SELECT pg_stat_force_next_flush()`} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := postgres.AnalyzeGrown(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	return pool
}
