package mirror_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/services/sync/internal/ghl"
)

// The next page is asked for while one is stored, and the one after it is not. Here the first page cannot be stored before the
// second was asked for.
func TestOnePageIsAskedForAhead(t *testing.T) {
	t.Parallel()
	const all = 12
	d := &desk{talks: all, exported: all, perPage: 2}
	r := newRig(t, d)
	var lock pgx.Tx
	d.refuse = func(string, string) (int, bool) {
		asked := len(d.asked())
		switch asked {
		case 1:
			lock = r.lockLead()
		case 2:
			_ = lock.Rollback(context.WithoutCancel(t.Context()))
		}
		stored, err := strconv.Atoi(r.text(`SELECT pages FROM history_import`))
		if err != nil || stored < asked-2 {
			t.Errorf("page %d is asked for with %d stored (%v)", asked, stored, err)
		}
		return 0, false
	}
	got, err := r.replica().Sync(t.Context(), r.thread, false)
	if err != nil {
		t.Fatal(err)
	}
	r.whole(got, all)
	if n := len(d.asked()); n != all || got.Pages != n {
		t.Errorf("%d calls for %d pages, want %d", n, got.Pages, all)
	}
}

// A page that cannot be stored ends the call for the next, however long the provider takes for it.
func TestAPageThatIsNotStoredEndsTheCallAhead(t *testing.T) {
	t.Parallel()
	d := &desk{exported: 6, perPage: 2}
	asked, given := make(chan struct{}), make(chan struct{})
	d.hold = func(ctx context.Context, _, cursor string) {
		if cursor == "4" {
			close(asked)
			<-ctx.Done()
			close(given)
		}
	}
	r := newRig(t, d)
	m := r.replica()
	client, err := ghl.New(ghl.Config{BaseURL: r.url, Timeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	m.Client = client
	lock := r.lockLead()
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		<-asked
		stop() // The page waits for the lock, and is given up.
		<-given
		_ = lock.Rollback(context.WithoutCancel(t.Context()))
	}()
	if _, err := m.Sync(ctx, r.thread, false); err == nil {
		t.Fatal("a walk that was given up says that it is done")
	}
	<-given
	if n := r.text(`SELECT count(*) FROM message`); n != "0" || r.text(cursorNow) != "" {
		t.Errorf("%s messages, place %q of a page that was not stored", n, r.text(cursorNow))
	}
	d.hold = nil
	got, err := r.replica().Sync(t.Context(), r.thread, false)
	if err != nil {
		t.Fatal(err)
	}
	r.whole(got, 6)
}

// What the call ahead is refused shows when its turn comes: the page before it is stored.
func TestARefusalAheadKeepsThePageBefore(t *testing.T) {
	t.Parallel()
	d := &desk{exported: 6, perPage: 2}
	d.refuse = func(_, cursor string) (int, bool) { return http.StatusBadGateway, cursor == "4" }
	r := newRig(t, d)
	if _, err := r.replica().Sync(t.Context(), r.thread, false); err == nil {
		t.Fatal("the refusal did not show")
	}
	if n := r.text(`SELECT count(*) FROM message`); n != "2" || !strings.HasSuffix(r.text(cursorNow), "|4") {
		t.Errorf("%s messages, place %q; want the first page and the place that was refused", n, r.text(cursorNow))
	}
}

// lockLead keeps others from storing pages until the transaction ends.
func (r *rig) lockLead() pgx.Tx {
	tx, err := r.db.Pool(r.T, "sync").Begin(r.Context())
	if err == nil {
		_, err = tx.Exec(r.Context(), `SELECT set_config('relance.scope', 'system', true)`)
	}
	if err == nil {
		_, err = tx.Exec(r.Context(), `SELECT FROM lead WHERE id = $1 FOR NO KEY UPDATE`, r.thread.Lead)
	}
	if err != nil {
		r.Error(err)
	}
	return tx
}
