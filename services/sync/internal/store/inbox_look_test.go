package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// TestALookAtTheInboxReadsItsHead: however much waits, and however much is done, a look at the queue reads a few rows. A plan that
// reads all that waits would be paid each 10 ms while webhooks come in.
func TestALookAtTheInboxReadsItsHead(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, store.Migrations())
	conn, err := pgx.Connect(t.Context(), d.AdminDSN)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`SET search_path = sync`)
	first, second, idle := uuid.UUID{1}, uuid.UUID{2}, uuid.UUID{3}
	for _, w := range []uuid.UUID{first, second, idle} {
		exec(`INSERT INTO workspace (id, display_name, time_zone, create_time, update_time) VALUES ($1, 'w', 'UTC', now(), now())`, w)
	}
	fill := func(workspace uuid.UUID, n int, state, next string, alone bool) {
		exec(`INSERT INTO webhook_inbox (id, workspace_id, source, webhook_id, event_type, location, body_enc, state, create_time, next_time, alone)
			SELECT gen_random_uuid(), $1, 'marketplace', gen_random_uuid()::text, 't', 'l', '', $2, now(), now() + $3::interval, $4
			FROM generate_series(1, $5)`, workspace, state, next, alone, n)
	}
	fill(first, 3000, "PROCESSED", "0", false)
	fill(first, 5000, "PENDING", "0", false)
	fill(first, 10, "PENDING", "1 hour", true)
	fill(second, 500, "PENDING", "1 hour", false)
	fill(second, 1, "PENDING", "0", true)
	fill(idle, 500, "PENDING", "1 hour", true)
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			exec(`ANALYZE webhook_inbox`)
		}
		var read int
		var due []db.WaitingInboxesRow
		err := postgres.LookTx(t.Context(), d.Pool(t, "sync"), func(tx pgx.Tx) (err error) {
			if due, err = db.New(tx).WaitingInboxes(t.Context()); err != nil {
				return err
			}
			return tx.QueryRow(t.Context(), `SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'webhook_inbox'`).Scan(&read)
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []db.WaitingInboxesRow{{WorkspaceID: first, Together: true}, {WorkspaceID: second, Alone: true}}
		if len(due) != 2 || due[0] != want[0] || due[1] != want[1] {
			t.Errorf("analyzed %v: due = %v, want %v", analyzed, due, want)
		}
		if read == 0 || read > 50 {
			t.Errorf("analyzed %v: a look read %d rows of 9,011", analyzed, read)
		}
	}
}
