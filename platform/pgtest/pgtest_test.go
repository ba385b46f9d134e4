package pgtest_test

import (
	"context"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/postgres"
)

func sample() postgres.Migrations {
	return postgres.Migrations{Service: "sample", FS: fstest.MapFS{"0001_init.sql": {Data: []byte(
		"-- +goose Up\nCREATE TABLE note (body text NOT NULL);\n")}}}
}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	one, two := pgtest.New(t, sample()), pgtest.New(t, sample())
	if _, err := one.Pool(t, "sample").Exec(t.Context(), `INSERT INTO note VALUES ('x')`); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := two.Pool(t, "sample").QueryRow(t.Context(), `SELECT count(*) FROM note`).Scan(&n); err != nil || n != 0 {
		t.Errorf("rows in the other database = %d, %v; want 0", n, err)
	}
}

func TestDatabaseIsDroppedWithItsTest(t *testing.T) {
	t.Parallel()
	var dsn string
	t.Run("inner", func(t *testing.T) { dsn = pgtest.New(t, sample()).AdminDSN })
	if conn, err := pgx.Connect(t.Context(), dsn); err == nil {
		_ = conn.Close(context.Background())
		t.Error("the database is still there")
	}
}
