package mirror_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/relance/relance/services/sync/internal/mirror"
	"github.com/relance/relance/services/sync/internal/store"
)

// What the export repeats of the conversation is looked up again if, and only if, something changed in between; the change is
// then seen and mended, whoever made it.
func TestWhatIsRepeatedIsLookedUpAfterAChangeOnly(t *testing.T) {
	t.Parallel()
	const all = 30
	for name, c := range map[string]struct {
		change                    string
		lookups, imported, mended int
	}{
		"nothing changed":   {"", 0, all, 0},
		"a text changed":    {`UPDATE message SET body_hash = 'x' WHERE provider_message_id = '` + idOf(7) + `'`, 3, all, 1},
		"a time changed":    {`UPDATE message SET message_time = message_time + interval '1 hour' WHERE provider_message_id = '` + idOf(7) + `'`, 3, all, 1},
		"a message is gone": {`DELETE FROM message WHERE provider_message_id = '` + idOf(7) + `'`, 3, all + 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &desk{talks: all, exported: all, perPage: 10}
			r := newRig(t, d)
			d.refuse = func(list, cursor string) (int, bool) {
				if list == "export" && cursor == "" && c.change != "" {
					r.stored("export||") // The call comes while the conversation's last page is stored.
					r.exec(c.change)
				}
				return 0, false
			}
			m, counted := r.countingReplica()
			got, err := m.Sync(t.Context(), r.thread, false)
			if err != nil {
				t.Fatal(err)
			}
			r.whole(got, all)
			if got.Imported != c.imported || got.Healed != c.mended {
				t.Errorf("%d imported, %d mended; want %d and %d", got.Imported, got.Healed, c.imported, c.mended)
			}
			if n := counted.of("PageMessages"); n != c.lookups {
				t.Errorf("pages were looked up %d times, want %d", n, c.lookups)
			}
		})
	}
}

// A conversation that never had a message is stored without a look at each page. Where something of it is known after all, the
// walk looks.
func TestWhatNobodyStoredIsNotLookedUp(t *testing.T) {
	t.Parallel()
	const all = 30
	other := `INSERT INTO lead (workspace_id, id, create_time, update_time) SELECT workspace_id, gen_random_uuid(), now(), now() FROM lead`
	message := func(of, id string) string {
		return `INSERT INTO message (workspace_id, id, lead_id, channel, direction, origin, body_enc, body_hash, provider_message_id, message_time, create_time)
			SELECT workspace_id, gen_random_uuid(), id, 'sms', 'inbound', 'RECEIVED', '', '', '` + id + `', now(), now() FROM lead WHERE ` + of
	}
	const ours, theirs = `ghl_contact_id IS NOT NULL`, `ghl_contact_id IS NULL`
	for name, c := range map[string]struct {
		before                   []string
		lookups, imported, known int
	}{
		"nothing":                        {nil, 0, all, 0},
		"a message of another lead":      {[]string{other, message(theirs, "elsewhere")}, 0, all, 0},
		"one of them, with another lead": {[]string{other, message(theirs, idOf(15))}, 2, all - 1, 1},
		"one of them, with this lead":    {[]string{message(ours, idOf(15))}, 3, all - 1, 0},
		"an older id of a message": {[]string{other, message(theirs, "elsewhere"), `INSERT INTO former_message (workspace_id, provider_message_id, message_id, create_time)
			SELECT workspace_id, '` + idOf(15) + `', id, now() FROM message`}, 3, all - 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, &desk{talks: all, exported: all, perPage: 10})
			for _, statement := range c.before {
				r.exec(statement)
			}
			m, counted := r.countingReplica()
			got, err := m.Sync(t.Context(), r.thread, false)
			if err != nil {
				t.Fatal(err)
			}
			if got.Imported != c.imported || len(got.Conversation.Missing) != c.known || int(got.Conversation.ListedCount) != all {
				t.Errorf("%d imported, want %d; %+v", got.Imported, c.imported, got.Conversation)
			}
			if n := counted.of("PageMessages"); n != c.lookups {
				t.Errorf("pages were looked up %d times, want %d", n, c.lookups)
			}
		})
	}
}

// A message that the second list shows in another way is mended, not stored twice, though nobody else ever stored one.
func TestWhatTheListsShowDifferentlyIsMended(t *testing.T) {
	t.Parallel()
	const all = 30
	d := &desk{talks: all, exported: all, perPage: 10}
	said := "as the conversation has it"
	d.text = func(int) string { return said }
	d.refuse = func(list, _ string) (int, bool) {
		if list == "export" {
			said = "as the export has it"
		}
		return 0, false
	}
	r := newRig(t, d)
	got, err := r.replica().Sync(t.Context(), r.thread, false)
	if err != nil {
		t.Fatal(err)
	}
	if got.Imported != all || got.Healed != all || r.text(`SELECT count(*) FROM message`) != "30" {
		t.Errorf("%d imported, %d mended, %s stored; want %d of each", got.Imported, got.Healed, r.text(`SELECT count(*) FROM message`), all)
	}
}

// Whoever has a conversation compared, it is not compared again at once by what is due; one that differs is.
func TestWhatIsProvenIsDueLater(t *testing.T) {
	t.Parallel()
	d := &desk{talks: 5, exported: 5}
	r := newRig(t, d)
	r.exec(`INSERT INTO connection (workspace_id, location, token_enc, state, state_time) VALUES ($1, 'l', '', 'CONNECTED', now())`, r.thread.Workspace)
	m := r.replica()
	checked := func() int32 {
		run, err := m.RunDue(t.Context(), mirror.Due{Budget: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		return run.Checked
	}
	if _, err := m.Sync(t.Context(), r.thread, false); err != nil {
		t.Fatal(err)
	}
	if n := checked(); n != 0 {
		t.Errorf("%d comparisons of what was just proven", n)
	}
	r.clock.Advance(7 * time.Hour)
	if n := checked(); n != 1 {
		t.Errorf("%d comparisons seven hours later, want 1", n)
	}
	r.clock.Advance(7 * time.Hour)
	d.talks, d.exported = 4, 4 // The provider lost one.
	if _, err := m.Sync(t.Context(), r.thread, false); err != nil {
		t.Fatal(err)
	}
	if n := checked(); n != 1 {
		t.Errorf("%d comparisons of one that differs, want 1", n)
	}
}

// A lead's row is written by the page that raises its times, and by no other.
func TestOlderPagesDoNotTouchTheLead(t *testing.T) {
	t.Parallel()
	r := newRig(t, &desk{talks: 40, exported: 40, perPage: 10})
	if _, err := r.replica().Sync(t.Context(), r.thread, false); err != nil {
		t.Fatal(err)
	}
	newest := func(direction string) string {
		return `SELECT max(message_time) FROM message WHERE direction = '` + direction + `'`
	}
	if in, out := r.text(`SELECT last_inbound_time FROM lead`), r.text(`SELECT last_outbound_time FROM lead`); in != r.text(newest("inbound")) ||
		out != r.text(newest("outbound")) {
		t.Errorf("the lead's times are %s and %s", in, out)
	}
	before := r.text(`SELECT xmin FROM lead`)
	if _, err := r.replica().Sync(t.Context(), r.thread, false); err != nil {
		t.Fatal(err)
	}
	if after := r.text(`SELECT xmin FROM lead`); after != before {
		t.Error("a walk that found nothing new wrote the lead")
	}
}

// statements counts by name.
type statements struct {
	mu    sync.Mutex
	named map[string]int
}

func (s *statements) of(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.named[name]
}

// TraceQueryStart counts.
func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rest, ok := strings.CutPrefix(data.SQL, "-- name: "); ok {
		s.named[strings.Fields(rest)[0]]++
	}
	return ctx
}

// TraceQueryEnd does nothing.
func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// countingReplica is a replica whose statements are counted.
func (r *rig) countingReplica() (*mirror.Mirror, *statements) {
	r.Helper()
	counted := &statements{named: map[string]int{}}
	cfg := r.db.Pool(r.T, "sync").Config()
	cfg.ConnConfig.Tracer = counted
	pool, err := pgxpool.NewWithConfig(r.Context(), cfg)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(pool.Close)
	m := r.replica()
	m.Store = store.New(store.Config{Pool: pool, Box: r.box, Clock: r.clock})
	return m, counted
}
