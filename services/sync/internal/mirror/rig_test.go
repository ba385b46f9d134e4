package mirror_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/pgtest"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/secretbox"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/mirror"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
)

const location, contact, talk = "locationAcme0000001", "contactAnn000000001", "conversationAnn0001"

var noon = time.Date(2026, 1, 7, 12, 0, 0, 0, time.UTC)

// desk is a provider with one contact whose lists are written by a function, so that their length costs no memory.
type desk struct {
	// talks and exported are how many messages the conversation and the export list; text is what the n-th says.
	talks, exported int
	text            func(n int) string
	// perPage bounds a page below what is asked for; 0 is what is asked for.
	perPage int
	// emails makes them emails, whose texts are read one by one; a text for which it reports true cannot be read now.
	emails func(n int) (busy bool)
	// conversation is the id of the contact's conversation, empty for the usual one.
	conversationID string
	// refuse may answer instead of the list; nil never does.
	refuse func(list, cursor string) (status int, refused bool)
	// hold may keep an answer back; its context ends with the caller's interest. nil never does.
	hold func(ctx context.Context, list, cursor string)

	mu    sync.Mutex
	calls []string
}

// message is the n-th oldest one; a page has the newest first.
func (d *desk) message(n int) map[string]any {
	text := fmt.Sprintf("line %d", n)
	if d.text != nil {
		text = d.text(n)
	}
	if d.emails != nil {
		return map[string]any{
			"id": idOf(n), "direction": "inbound", "messageType": "TYPE_EMAIL", "dateAdded": noon.Add(time.Duration(n) * time.Second).Format(time.RFC3339Nano),
			"contactId": contact, "conversationId": talk, "meta": map[string]any{"email": map[string]any{"messageIds": []string{idOf(n)}}},
		}
	}
	return map[string]any{
		"id": idOf(n), "direction": []string{"inbound", "outbound"}[n%2], "messageType": "TYPE_SMS", "body": text,
		"dateAdded": noon.Add(time.Duration(n) * time.Second).Format(time.RFC3339Nano), "contactId": contact, "conversationId": talk,
	}
}

func idOf(n int) string { return fmt.Sprintf("message%012d", n) }

// asked lists the calls of lists, in order.
func (d *desk) asked() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string{}, d.calls...)
}

func (d *desk) note(list, cursor string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, list+" "+cursor)
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch r.URL.Path {
	case "/conversations/search":
		found := []any{}
		if d.talks > 0 {
			found = append(found, map[string]any{"id": cmp.Or(d.conversationID, talk), "contactId": r.URL.Query().Get("contactId")})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"conversations": found})
	case "/conversations/" + cmp.Or(d.conversationID, talk) + "/messages":
		d.conversation(r.Context(), w, q)
	case "/conversations/messages/export":
		d.export(r.Context(), w, q)
	default:
		d.email(w, r)
	}
}

func (d *desk) email(w http.ResponseWriter, r *http.Request) {
	var n int
	if _, err := fmt.Sscanf(r.URL.Path, "/conversations/messages/email/message%d", &n); err != nil || d.emails == nil {
		http.NotFound(w, r)
		return
	}
	if d.note("email", idOf(n)); d.emails(n) {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"subject": "S", "body": fmt.Sprintf("text %d", n)})
}

func (d *desk) answer(ctx context.Context, w http.ResponseWriter, list, cursor string) bool {
	d.note(list, cursor)
	if d.hold != nil {
		d.hold(ctx, list, cursor)
	}
	if d.refuse != nil {
		if status, refused := d.refuse(list, cursor); refused {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"message":"Invalid cursor"}`))
			return false
		}
	}
	return true
}

func (d *desk) conversation(ctx context.Context, w http.ResponseWriter, q url.Values) {
	last := q.Get("lastMessageId")
	if !d.answer(ctx, w, "conversation", last) {
		return
	}
	from := d.talks
	if last != "" {
		_, _ = fmt.Sscanf(last, "message%d", &from)
	}
	to := max(0, from-d.size(q))
	page := d.page(from, to)
	_ = json.NewEncoder(w).Encode(map[string]any{"messages": map[string]any{"lastMessageId": idOf(to), "nextPage": to > 0, "messages": page}})
}

func (d *desk) export(ctx context.Context, w http.ResponseWriter, q url.Values) {
	cursor := q.Get("cursor")
	if !d.answer(ctx, w, "export", cursor) {
		return
	}
	from := d.exported
	if cursor != "" {
		from, _ = strconv.Atoi(cursor)
	} else if end, err := time.Parse(time.RFC3339Nano, q.Get("endDate")); err == nil {
		from = min(from, int(end.Sub(noon)/time.Second)+1)
	}
	to := max(0, from-d.size(q))
	var next any
	if to > 0 {
		next = strconv.Itoa(to)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"messages": d.page(from, to), "nextCursor": next})
}

func (d *desk) size(q url.Values) int {
	n, _ := strconv.Atoi(q.Get("limit"))
	if d.perPage > 0 {
		n = min(n, d.perPage)
	}
	return n
}

func (d *desk) page(from, to int) []any {
	page := []any{}
	for n := from - 1; n >= to; n-- {
		page = append(page, d.message(n))
	}
	return page
}

// rig is the real store on PostgreSQL with one linked lead; mirrors on it stand for replicas.
type rig struct {
	*testing.T
	desk   *desk
	db     *pgtest.DB
	box    *secretbox.Box
	url    string
	clock  *clock.Movable
	thread store.Thread
}

func newRig(t *testing.T, d *desk) *rig {
	t.Helper()
	provider := httptest.NewServer(d)
	t.Cleanup(provider.Close)
	r := &rig{
		T: t, desk: d, db: pgtest.New(t, store.Migrations()), url: provider.URL, clock: clock.NewMovable(noon.Add(240 * time.Hour)),
		thread: store.Thread{Workspace: uuid.New(), Lead: uuid.New(), Channel: sending.SMS},
	}
	keyset, err := secretbox.GenerateKeyset()
	if err == nil {
		r.box, err = secretbox.New(keyset)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.exec(`INSERT INTO workspace (id, display_name, time_zone, create_time, update_time) VALUES ($1, 'Acme', 'UTC', now(), now())`, r.thread.Workspace)
	r.exec(`INSERT INTO lead (workspace_id, id, ghl_contact_id, create_time, update_time) VALUES ($1, $2, $3, now(), now())`,
		r.thread.Workspace, r.thread.Lead, contact)
	return r
}

// replica is a mirror with a store and connections of its own.
func (r *rig) replica() *mirror.Mirror {
	r.Helper()
	client, err := ghl.New(ghl.Config{BaseURL: r.url, Timeout: 10 * time.Second})
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(client.Close)
	return mirror.New(mirror.Config{
		Store:  store.New(store.Config{Pool: r.db.Pool(r.T, "sync"), Box: r.box, Clock: r.clock}),
		Client: client, Clock: r.clock, Logger: slog.New(slog.NewTextHandler(r.Output(), nil)),
		Account: func(context.Context, uuid.UUID) (ghl.Account, bool, error) {
			return ghl.Account{Location: location, Token: "pit-0123456789"}, true, nil
		},
	})
}

func (r *rig) exec(query string, args ...any) {
	r.Helper()
	err := postgres.InTx(r.Context(), r.db.Pool(r.T, "sync"), func(tx pgx.Tx) error { _, err := tx.Exec(r.Context(), query, args...); return err })
	if err != nil {
		r.Fatal(err)
	}
}

// asOwner changes the schema.
func (r *rig) asOwner(query string) {
	r.Helper()
	conn, err := pgx.Connect(r.Context(), r.db.AdminDSN)
	if err == nil {
		_, err = conn.Exec(r.Context(), `SET search_path = sync`)
	}
	if err == nil {
		_, err = conn.Exec(r.Context(), query)
	}
	if err != nil {
		r.Fatal(err)
	}
	_ = conn.Close(r.Context())
}

func (r *rig) text(query string) (out string) {
	r.Helper()
	err := postgres.InTx(r.Context(), r.db.Pool(r.T, "sync"), func(tx pgx.Tx) error {
		return tx.QueryRow(r.Context(), `SELECT coalesce((`+query+`)::text, '')`).Scan(&out)
	})
	if err != nil {
		r.Fatal(err)
	}
	return out
}

// whole checks that every message is stored once, and that the certificate says so.
func (r *rig) whole(got mirror.Receipt, n int) {
	r.Helper()
	c := got.Conversation
	if c.ProvenRevision == nil || int(c.ListedCount) != n || r.text(`SELECT count(*) FROM message`) != strconv.Itoa(n) {
		r.Errorf("%s messages stored; certificate %+v", r.text(`SELECT count(*) FROM message`), c)
	}
}
