package statements_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/pgtest/statements"
	"github.com/relance/relance/platform/postgres"
)

const queries = `-- name: ByKey :one
-- A remark with an argument: sqlc.arg(nobody).
SELECT sqlc.embed(t) FROM thing t WHERE t.workspace_id = sqlc.arg(workspace_id) AND t.id = @id;

-- name: ByColour :many
SELECT * FROM thing WHERE workspace_id = sqlc.arg(workspace_id) AND colour = sqlc.narg('colour')::text;

-- name: Add :exec
INSERT INTO thing (workspace_id, id, colour) VALUES (sqlc.arg(workspace_id), sqlc.arg(id), sqlc.arg(colour));

-- name: AddMany :exec
INSERT INTO thing (workspace_id, id) SELECT unnest(sqlc.arg(workspaces)::uuid[]), unnest(sqlc.arg(ids)::integer[]);

-- name: Broken :exec
DELETE FROM thing WHERE workspace_id = @workspace_id AND id = @id::integer / sqlc.arg(none)::integer;
`

func TestAScanIsFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thing.sql"), []byte(queries), 0o600); err != nil {
		t.Fatal(err)
	}
	pool := pgtest.New(t, postgres.Migrations{Service: "sample", FS: fstest.MapFS{"0001_init.sql": {Data: []byte(`-- +goose Up
CREATE TABLE thing (workspace_id uuid NOT NULL, id integer NOT NULL, colour text, PRIMARY KEY (workspace_id, id));
INSERT INTO thing SELECT '00000000-0000-7000-8000-000000000001', n, 'red' FROM generate_series(1, 2000) n;
ANALYZE thing;
`)}}}).Pool(t, "sample")
	check := statements.Check{Dir: dir, Values: map[string]string{"workspace_id": "00000000-0000-7000-8000-000000000001", "id": "7", "colour": "blue", "ids": "{1}"}}
	want := []string{"ByColour read 2000 rows to return 0: Seq Scan thing", "Broken does not run; give it values in Own, or name it in Stored: transaction: run Broken: ERROR: division by zero (SQLSTATE 22012)"}
	found, err := check.Find(t.Context(), pool)
	if err != nil || !slices.Equal(found, want) {
		t.Errorf("found %q, %v; want %q", found, err, want)
	}
	check.Own = map[string]map[string]string{"Broken/not": {"none": "1"}, "ByColour/red": {"colour": "red"}, "ByColour/null": {"colour": ""}, "Nowhere": {}}
	check.May = map[string]string{"ByColour": "colours have no index"}
	if found, err = check.Find(t.Context(), pool); err != nil || strings.Join(found, "") != "there is no statement Nowhere" {
		t.Errorf("found %q, %v", found, err)
	}
}
