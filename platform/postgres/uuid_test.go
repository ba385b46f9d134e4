package postgres_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/pgtest"
)

// UUIDs go as bytes, alone, as a pointer and in arrays, and come back as they were.
func TestUUIDsRoundTrip(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, migrations()).Pool(t, "sample")
	id, other := uuid.New(), uuid.New()
	var one, none *uuid.UUID
	var many []uuid.UUID
	var kind string
	err := pool.QueryRow(t.Context(), `SELECT $1::uuid, $2::uuid, $3::uuid[], pg_typeof($1::uuid)::text`, &id, none, []uuid.UUID{id, other}).
		Scan(&one, &none, &many, &kind)
	if err != nil {
		t.Fatal(err)
	}
	if one == nil || *one != id || none != nil || !slices.Equal(many, []uuid.UUID{id, other}) || kind != "uuid" {
		t.Errorf("came back: %v %v %v %s", one, none, many, kind)
	}
}
