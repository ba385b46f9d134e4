package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// crowd is how many leads a workspace of these tests has.
const crowd = 5000

// crowded makes a workspace, and gives a connection that has planned the match for good while there was no lead yet.
func crowded(t *testing.T) (*pgxpool.Pool, *pgx.Conn, uuid.UUID) {
	t.Helper()
	d := pgtest.New(t, store.Migrations())
	admin, err := pgx.Connect(t.Context(), d.AdminDSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close(context.Background()) })
	workspace := uuid.UUID{1}
	do(t, admin, `SET search_path = sync`)
	do(t, admin, `INSERT INTO workspace (id, display_name, time_zone, create_time, update_time) VALUES ($1, 'w', 'UTC', now(), now())`, workspace)
	pool, err := postgres.Open(t.Context(), postgres.Config{DSN: d.DSN("sync"), Schema: "sync", MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool, admin, workspace
}

func do(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// sayings is what is said of the nth lead.
func sayings(workspace uuid.UUID, n int) map[string]db.MatchLeadsParams {
	contact, phone, email, other := fmt.Sprint("contact-", n), fmt.Sprint("+1555", n), fmt.Sprintf("%d@example.com", n), fmt.Sprintf("other-%d@example.com", n)
	return map[string]db.MatchLeadsParams{
		"contact": {WorkspaceID: workspace, GhlContactID: &contact, Addresses: []string{}},
		"phone":   {WorkspaceID: workspace, Phone: &phone, Addresses: []string{}},
		"address": {WorkspaceID: workspace, Addresses: []string{other}},
		"all":     {WorkspaceID: workspace, GhlContactID: &contact, Phone: &phone, Addresses: []string{email, other}},
	}
}

// TestAMatchReadsWhatItFinds: however many leads a workspace has, whether its tables were ever analyzed, and whether the plan was made
// when there were none, a match reads the leads that it finds.
func TestAMatchReadsWhatItFinds(t *testing.T) {
	t.Parallel()
	for name, scope := range map[string]func(context.Context, *pgxpool.Pool, string, func(pgx.Tx) error) error{
		"planned each time": postgres.InWorkspace, "planned once": postgres.BatchWorkspace,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, admin, workspace := crowded(t)
			match := func(p db.MatchLeadsParams) (rows []db.MatchLeadsRow, read int) {
				t.Helper()
				err := scope(t.Context(), pool, workspace.String(), func(tx pgx.Tx) (err error) {
					before := rowsRead(t, tx)
					rows, err = db.New(tx).MatchLeads(t.Context(), p)
					read = rowsRead(t, tx) - before
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				return rows, read
			}
			for range 10 { // a plan is kept from the sixth on
				match(sayings(workspace, 1)["all"])
			}
			do(t, admin, `INSERT INTO lead (workspace_id, id, ghl_contact_id, phone, email, create_time, update_time)
				SELECT $1, gen_random_uuid(), 'contact-' || n, '+1555' || n, n || '@example.com', now(), now() FROM generate_series(1, $2::integer) n`, workspace, crowd)
			do(t, admin, `INSERT INTO lead_address (workspace_id, lead_id, email) SELECT workspace_id, id, 'other-' || email FROM lead`)
			for _, analyzed := range []bool{false, true} {
				if analyzed {
					do(t, admin, `ANALYZE`)
				}
				for key, said := range sayings(workspace, crowd/2) {
					rows, read := match(said)
					if len(rows) != 1 || len(rows[0].Emails) != 2 {
						t.Errorf("analyzed %v: by %s: %d leads, want one with two addresses", analyzed, key, len(rows))
					}
					if read == 0 || read > 20 {
						t.Errorf("analyzed %v: by %s: read %d rows", analyzed, key, read)
					}
				}
			}
		})
	}
}

// rowsRead is how many rows of leads and addresses the transaction has read.
func rowsRead(t *testing.T, tx pgx.Tx) (n int) {
	t.Helper()
	err := tx.QueryRow(t.Context(), `SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::integer FROM pg_stat_xact_user_tables
		WHERE relname IN ('lead', 'lead_address')`).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestAKeyLostWhileWaitingIsNoMatch: whoever waits for a lead and finds that its key went to somebody else meanwhile has not
// found it. One that kept its key is found as it is then.
func TestAKeyLostWhileWaitingIsNoMatch(t *testing.T) {
	t.Parallel()
	for change, want := range map[string]int{`phone = '+15550'`: 0, `first_name = 'Ada'`: 1} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			pool, admin, workspace := crowded(t)
			do(t, admin, `INSERT INTO lead (workspace_id, id, phone, create_time, update_time) VALUES ($1, gen_random_uuid(), '+15551', now(), now())`, workspace)
			do(t, admin, `BEGIN`)
			do(t, admin, `UPDATE lead SET `+change)
			type answer struct {
				rows []db.MatchLeadsRow
				err  error
			}
			done := make(chan answer, 1)
			go func() {
				var a answer
				a.err = postgres.InWorkspace(t.Context(), pool, workspace.String(), func(tx pgx.Tx) (err error) {
					a.rows, err = db.New(tx).MatchLeads(t.Context(), sayings(workspace, 1)["phone"])
					return err
				})
				done <- a
			}()
			waitsForLock(t, admin)
			do(t, admin, `COMMIT`)
			a := <-done
			if a.err != nil || len(a.rows) != want {
				t.Fatalf("matches = %d, %v; want %d", len(a.rows), a.err, want)
			}
			if want == 1 && a.rows[0].Lead.FirstName != "Ada" {
				t.Errorf("first name = %q, want what was committed while we waited", a.rows[0].Lead.FirstName)
			}
		})
	}
}

// waitsForLock returns when some backend of the database of conn waits for a row. It looks on a connection of its own: what a
// transaction has seen of the others' activity stays as it saw it first.
func waitsForLock(t *testing.T, of *pgx.Conn) {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), of.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for end := time.Now().Add(time.Minute); ; {
		var waits bool
		err = conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits)
		if err != nil {
			t.Fatal(err)
		}
		if waits {
			return
		}
		if time.Now().After(end) {
			t.Fatal("nobody waits for the lead")
		}
	}
}
