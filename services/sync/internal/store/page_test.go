package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
)

// Two leads are shown the same message at the same time, as when the provider merges contacts: it is stored once, and whoever
// came second runs again and finds it, with all else of its page stored.
func TestAPageThatLosesARaceRunsAgain(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	other := uuid.New()
	k.exec(`INSERT INTO lead (workspace_id, id, create_time, update_time) VALUES ($1, $2, now(), now())`, k.workspace, other)
	at := time.Date(2026, 1, 7, 12, 0, 0, 0, time.UTC)
	page := func(ids ...string) (out []store.Imported) {
		for _, id := range ids {
			out = append(out, store.Imported{ID: id, At: at, Body: "hello", Texted: true})
		}
		return out
	}
	thread := store.Thread{Workspace: k.workspace, Lead: k.intent, Channel: sending.SMS}
	second := store.Thread{Workspace: k.workspace, Lead: other, Channel: sending.SMS}
	runs, result := 0, make(chan store.Page, 1)
	err := k.store.Batch(t.Context(), k.workspace, func(tx *store.Tx) error {
		if _, err := tx.StorePage(t.Context(), thread, page("shared", "first")); err != nil {
			return err
		}
		go func() {
			var done store.Page
			defer func() { result <- done }()
			err := k.store.Batch(t.Context(), k.workspace, func(tx *store.Tx) (err error) {
				runs++
				done, err = tx.StorePage(t.Context(), second, page("shared", "second"))
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}()
		k.blocked() // by the row of the same id that this transaction has not committed
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := <-result; got != (store.Page{Imported: 1, Unchanged: 1}) || runs != 2 {
		t.Errorf("the second page did %+v in %d runs, want one stored and one found in two", got, runs)
	}
	if n := k.number(`SELECT count(*) FROM message WHERE workspace_id = $1`, k.workspace); n != 3 {
		t.Errorf("%d messages, want 3", n)
	}
}

// blocked waits until a transaction of this database waits for a lock.
func (k *kept) blocked() {
	k.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if k.number(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0 {
			return
		}
	}
	k.Error("nobody waits for a lock")
}
