package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// A page is one change that names all its messages in their order; a reader takes changes whole, as many as have 500 messages
// together, and at least one.
func TestAPageIsOneChangeAndIsReadWhole(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	thread := store.Thread{Workspace: k.workspace, Lead: k.intent, Channel: sending.SMS}
	begin, sizes := time.Date(2026, 1, 7, 12, 0, 0, 0, time.UTC), []int{600, 300, 200, 1}
	for n, size := range sizes {
		var page []store.Imported
		for i := range size { // the newest first, as lists are
			page = append(page, store.Imported{ID: fmt.Sprintf("m-%d-%d", n, i), At: begin.Add(-time.Duration(i) * time.Minute), Body: "hello", Texted: true})
		}
		err := k.store.Workspace(t.Context(), k.workspace, func(tx *store.Tx) error {
			_, err := tx.StorePage(t.Context(), thread, page)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := k.store.NumberChanges(t.Context()); err != nil {
		t.Fatal(err)
	}
	var reads [][]int
	var told []uuid.UUID
	for at := int64(0); ; {
		var rows []db.ChangesAfterRow
		err := k.store.Workspace(t.Context(), k.workspace, func(tx *store.Tx) (err error) {
			rows, err = tx.ChangesAfter(t.Context(), db.ChangesAfterParams{WorkspaceID: k.workspace, After: at})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			break
		}
		var read []int
		for _, r := range rows {
			read, at = append(read, 1+len(r.More)), r.Position
			told = append(append(told, r.MessageID), r.More...)
		}
		reads = append(reads, read)
	}
	if got := fmt.Sprint(reads); got != "[[600] [300 200] [1]]" {
		t.Errorf("read %s", got)
	}
	rows, err := k.admin.Query(t.Context(), `SELECT id FROM message WHERE lead_id = $1 ORDER BY split_part(provider_message_id, '-', 2), message_time, id`, k.intent)
	if err != nil {
		t.Fatal(err)
	}
	want, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil || !slices.Equal(told, want) {
		t.Errorf("%d messages told, want all %d, the oldest of a page first: %v", len(told), len(want), err)
	}
}

// A message has a lead, and stays with it: its conversation holds that.
func TestAMessageHasALeadAndStaysWithIt(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	other := uuid.New()
	k.exec(`INSERT INTO lead (workspace_id, id, create_time, update_time) VALUES ($1, $2, now(), now())`, k.workspace, other)
	insert := func(lead uuid.UUID) error {
		_, err := k.admin.Exec(t.Context(), `INSERT INTO message (workspace_id, id, lead_id, channel, direction, origin, body_enc, body_hash, message_time, create_time)
			VALUES ($1, $2, $2, 'sms', 'inbound', 'RECEIVED', '', '', now(), now())`, k.workspace, lead)
		return err
	}
	if err := insert(k.intent); err != nil {
		t.Fatal(err) // the control
	}
	for name, got := range map[string]error{
		"of no lead":            insert(uuid.New()),
		"to another lead":       k.try(`UPDATE message SET lead_id = $1`, other),
		"to another channel":    k.try(`UPDATE message SET channel = 'email'`),
		"of a lead that leaves": k.try(`DELETE FROM lead WHERE id = $1`, k.intent),
	} {
		if got == nil || !strings.Contains(got.Error(), "SQLSTATE 23") {
			t.Errorf("%s: %v", name, got)
		}
	}
	if err := k.try(`UPDATE message SET message_time = now()`); err != nil {
		t.Error(err)
	}
}

func (k *kept) try(sql string, args ...any) error {
	_, err := k.admin.Exec(k.Context(), sql, args...)
	return err
}
