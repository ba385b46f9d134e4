package store_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/secretbox"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

// kept is a store with a lead and a send of it, and the owner's connection.
type kept struct {
	*testing.T
	store             *store.Store
	clock             *clock.Movable
	admin             *pgx.Conn
	workspace, intent uuid.UUID
}

func newKept(t *testing.T) *kept {
	t.Helper()
	k := &kept{T: t, clock: clock.NewMovable(time.Date(2026, 1, 31, 23, 59, 59, 0, time.UTC)), workspace: uuid.New(), intent: uuid.New()}
	server := pgtest.New(t, store.Migrations())
	pool := server.Pool(t, "sync")
	keyset, err := secretbox.GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	box, err := secretbox.New(keyset)
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	k.store = store.New(store.Config{Pool: pool, Box: box, Queue: work.NewQueue(jobs), Clock: k.clock})
	if k.admin, err = pgx.Connect(t.Context(), server.AdminDSN); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.admin.Close(context.Background()) })
	k.exec(`SET search_path = sync`)
	seedSend(k, k.workspace, k.intent)
	return k
}

func seedSend(k *kept, workspace, id uuid.UUID) {
	k.Helper()
	k.exec(`INSERT INTO workspace (id, display_name, time_zone, create_time, update_time) VALUES ($1, 'w', 'UTC', now(), now())`, workspace)
	k.exec(`INSERT INTO lead (workspace_id, id, create_time, update_time) VALUES ($1, $2, now(), now())`, workspace, id)
	k.exec(`INSERT INTO send_intent (workspace_id, id, lead_id, channel, request_id, content_enc, subject_hash, body_hash, html_hash,
		policy, state, next_time, create_time, update_time) VALUES ($1, $2, $2, 'sms', $2, '', '', '', '', 'resend', 'PLANNED', now(), now(), now())`, workspace, id)
}

func (k *kept) exec(sql string, args ...any) {
	k.Helper()
	if _, err := k.admin.Exec(k.Context(), sql, args...); err != nil {
		k.Fatal(err)
	}
}

func (k *kept) number(sql string, args ...any) (n int) {
	k.Helper()
	if err := k.admin.QueryRow(k.Context(), sql, args...).Scan(&n); err != nil {
		k.Fatal(err)
	}
	return n
}

func (k *kept) exists(table string) bool {
	return k.number(`SELECT count(to_regclass($1))`, "sync."+table) == 1
}

func child(parent string, at time.Time) string { return parent + "_" + at.UTC().Format("2006_01") }

func (k *kept) publish() {
	k.Helper()
	err := k.store.Workspace(k.Context(), k.workspace, func(tx *store.Tx) error {
		return tx.Publish(k.Context(), store.Event{Type: store.EventReplied, Workspace: k.workspace, Lead: k.intent, At: tx.Now})
	})
	if err != nil {
		k.Fatal(err)
	}
}

func (k *kept) look(in func(context.Context, uuid.UUID, func(*store.Tx) error) error) {
	k.Helper()
	err := in(k.Context(), k.workspace, func(tx *store.Tx) error {
		return tx.RecordLook(k.Context(), db.RecordLookParams{
			WorkspaceID: k.workspace, IntentID: k.intent, Source: "list", Result: "absent", Candidates: []string{},
		})
	})
	if err != nil {
		k.Fatal(err)
	}
}

func TestMonthsAreMadeAhead(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	if made, err := k.store.MakeMonths(t.Context()); err != nil || made == 0 {
		t.Fatalf("made %d, %v", made, err) // those of the business clock's year
	}
	for _, parent := range []string{"send_attempt", "send_look", "outbox"} {
		for _, at := range []time.Time{time.Now().UTC(), k.clock.Now()} {
			first := time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
			for ahead := range 3 {
				if name := child(parent, first.AddDate(0, ahead, 0)); !k.exists(name) {
					t.Errorf("no %s", name)
				}
			}
		}
	}
	if made, err := k.store.MakeMonths(t.Context()); err != nil || made != 0 {
		t.Errorf("again: made %d, %v", made, err)
	}
}

func TestAMissingMonthIsMadeOnDemand(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	now := time.Now()
	k.exec(`DROP TABLE ` + child("send_look", now))
	k.look(k.store.Workspace)
	k.exec(`DROP TABLE ` + child("send_look", now)) // with its row
	k.look(k.store.Once)
	if !k.exists(child("send_look", now)) || k.number(`SELECT count(*) FROM send_look`) != 1 {
		t.Error("the row has no home")
	}
	k.publish() // a month of the business clock, for which nothing was made
	if !k.exists("outbox_2026_01") {
		t.Error("no month of the business clock")
	}
}

func TestNothingIsLostAtMonthChange(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	const events = 60
	for i := range events {
		k.publish()
		k.clock.Advance(time.Second)
		if i%6 == 5 {
			k.clock.Set(time.Date(2026, time.Month(2+i/6), 28, 23, 59, 57, 0, time.UTC).AddDate(0, 0, 1)) // over ten months' ends, with gaps
		}
	}
	var rows []db.Outbox
	err := k.store.System(t.Context(), func(tx *store.Tx) (err error) {
		rows, err = tx.WaitingOutbox(t.Context(), 1000)
		return err
	})
	if err != nil || len(rows) != events {
		t.Fatalf("%d events, %v", len(rows), err)
	}
	for i := 1; i < len(rows); i++ {
		if rows[i].Seq <= rows[i-1].Seq || rows[i].CreateTime.Before(rows[i-1].CreateTime) {
			t.Fatalf("event %d is out of order", i)
		}
	}
}

func TestOldMonthsAreDropped(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	old := time.Now().UTC().AddDate(0, -6, 0)
	for _, at := range []time.Time{old.AddDate(0, -1, 0), old} {
		k.exec(`SELECT ensure_months('outbox', $1, $1)`, at)
		k.exec(`SELECT ensure_months('send_look', $1, $1)`, at)
	}
	k.clock.Set(old)
	k.publish() // not delivered
	dropped, err := k.store.DropMonths(t.Context(), 0)
	if err != nil || dropped != 0 {
		t.Errorf("keeping all dropped %d, %v", dropped, err)
	}
	if dropped, err = k.store.DropMonths(t.Context(), 3); err != nil || dropped != 3 {
		t.Errorf("dropped %d, %v; want both old months of looks and the empty one of events", dropped, err)
	}
	if !k.exists(child("outbox", old)) || k.exists(child("send_look", old)) || !k.exists(child("send_look", time.Now())) {
		t.Error("the wrong months were dropped")
	}
	k.exec(`UPDATE outbox SET delivered_time = now()`)
	if dropped, err = k.store.DropMonths(t.Context(), 3); err != nil || dropped != 1 {
		t.Errorf("after delivery: dropped %d, %v", dropped, err)
	}
	for _, bad := range []string{
		`SELECT drop_months('send_intent', now() - interval '1 year')`, `SELECT drop_months('outbox', now())`, `SELECT ensure_months('lead', now(), now())`,
	} {
		if _, err := k.admin.Exec(t.Context(), bad); err == nil {
			t.Errorf("%s was done", bad)
		}
	}
}

// A month is a table too, and tenants are apart in it.
func TestMonthsKeepTenantsApart(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	k.look(k.store.Workspace)
	for workspace, want := range map[uuid.UUID]int{k.workspace: 1, uuid.New(): 0} {
		var n int
		tx, err := k.admin.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = tx.Exec(t.Context(), `SET LOCAL ROLE relance_sync`)
		if err == nil {
			_, err = tx.Exec(t.Context(), `SELECT set_config('relance.workspace_id', $1, true)`, workspace.String())
		}
		if err == nil {
			err = tx.QueryRow(t.Context(), `SELECT count(*) FROM `+child("send_look", time.Now())).Scan(&n)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n != want {
			t.Errorf("a workspace sees %d rows of the month, want %d", n, want)
		}
	}
}

// An installation from before has its history in whole tables: every row moves into its month.
func TestTheMigrationKeepsHistory(t *testing.T) {
	t.Parallel()
	before := fstest.MapFS{}
	for i, name := range []string{"init", "reconcile", "resolution", "send_watch"} {
		file := fmt.Sprintf("%04d_%s.sql", i+1, name)
		body, err := fs.ReadFile(store.Migrations().FS, file)
		if err != nil {
			t.Fatal(err)
		}
		before[file] = &fstest.MapFile{Data: body}
	}
	server := pgtest.New(t, postgres.Migrations{Service: "sync", FS: before, River: true})
	k := &kept{T: t, workspace: uuid.New(), intent: uuid.New()}
	var err error
	if k.admin, err = pgx.Connect(t.Context(), server.AdminDSN); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.admin.Close(context.Background()) })
	k.exec(`SET search_path = sync`)
	seedSend(k, k.workspace, k.intent)
	for i := range 20 {
		at := time.Now().AddDate(0, -i, 0)
		k.exec(`INSERT INTO send_attempt (workspace_id, intent_id, attempt, at) VALUES ($1, $2, $3, $4)`, k.workspace, k.intent, i+1, at)
		k.exec(`INSERT INTO send_look (workspace_id, intent_id, attempt, at, source, age_ms, result) VALUES ($1, $2, $3, $4, 'list', 1, 'absent')`,
			k.workspace, k.intent, i+1, at)
		k.exec(`INSERT INTO outbox (id, workspace_id, lead_id, type, payload, create_time) VALUES ($1, $2, $2, 'REPLIED', '{}', $3)`, uuid.New(), k.workspace, at)
	}
	if err := postgres.Migrate(t.Context(), server.AdminDSN, store.Migrations()); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"send_attempt", "send_look", "outbox"} {
		if n := k.number(`SELECT count(*) FROM ` + table); n != 20 {
			t.Errorf("%s has %d rows, want 20", table, n)
		}
	}
	k.exec(`INSERT INTO outbox (id, workspace_id, lead_id, type, payload, create_time) VALUES ($1, $2, $2, 'REPLIED', '{}', now())`, uuid.New(), k.workspace)
	if n := k.number(`SELECT max(seq) FROM outbox`); n != 21 {
		t.Errorf("the next event has number %d, want 21", n)
	}
	if _, err := k.admin.Exec(t.Context(), `UPDATE send_attempt SET attempt = 99`); err == nil {
		t.Error("attempts can be changed")
	}
}
