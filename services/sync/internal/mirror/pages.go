package mirror

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// place is where a walk stands: first the lists of the contact's conversations, which show the newest messages at once,
// then the export, which lags and shows what no conversation does. The zero value is the beginning.
type place struct {
	list, id, token string
	// bound is the newest time that the export is asked for, empty for none; oldest is the oldest time that it has shown, from
	// which it is asked anew when its cursor has expired. Both are RFC 3339.
	bound, oldest string
	done          bool
}

const (
	listConversation = "conversation"
	listExport       = "export"
)

func (p place) zero() bool { return p == place{} }

// String is the stored form; empty at the beginning and at the end.
func (p place) String() string {
	if p.done || p.list == "" {
		return ""
	}
	id := p.id
	if p.list == listExport && p.bound+p.oldest != "" {
		id = p.bound + "/" + p.oldest
	}
	return p.list + "|" + id + "|" + p.token
}

func parsePlace(text string) place {
	parts := strings.SplitN(text, "|", 3)
	if len(parts) != 3 || (parts[0] != listConversation && parts[0] != listExport) {
		return place{}
	}
	p := place{list: parts[0], id: parts[1], token: parts[2]}
	if p.list == listExport {
		p.id = ""
		p.bound, p.oldest, _ = strings.Cut(parts[1], "/")
	}
	return p
}

// afterList is the beginning of the list that follows the one of p.
func (p place) afterList(conversations []string) place {
	if p.list == listExport {
		return place{done: true}
	}
	if i := slices.Index(conversations, p.id); i >= 0 && i+1 < len(conversations) {
		return place{list: listConversation, id: conversations[i+1]}
	}
	return place{list: listExport}
}

// page reads the page at a place, with the texts of the emails that are not stored yet, and tells the place of the next.
func (m *Mirror) page(ctx context.Context, w *walk, at place) ([]store.Imported, place, error) {
	if err := m.talks(ctx, w); err != nil {
		return nil, place{}, err
	}
	if at.zero() {
		at = place{list: listExport}
		if len(w.conversations) > 0 {
			at = place{list: listConversation, id: w.conversations[0]}
		}
	}
	got, err := m.listing(ctx, w, at)
	if err != nil {
		return nil, place{}, err
	}
	next := at.afterList(w.conversations)
	if got.token != "" {
		next = place{list: at.list, id: at.id, token: got.token, bound: at.bound, oldest: at.oldest}
		if at.list == listExport {
			next.oldest = oldestOf(got.found, at.oldest)
		}
	}
	page, err := m.texts(ctx, w, got.found)
	return page, next, err
}

// talks reads which conversations the contact has, once a walk.
func (m *Mirror) talks(ctx context.Context, w *walk) error {
	if w.conversations != nil {
		return nil
	}
	ids, err := m.Client.Conversations(ctx, w.account, w.contact)
	if err == nil {
		w.conversations = append([]string{}, ids...)
	}
	return err
}

// texts turns listed messages into ones that can be stored. Messages without a time cannot be placed and are left out. When a text
// cannot be read, it gives those whose texts were, with the error: a page of emails takes a call for each, and what the budget
// sufficed for is not read again.
func (m *Mirror) texts(ctx context.Context, w *walk, found []ghl.HistoryMessage) ([]store.Imported, error) {
	var out []store.Imported
	var ids []string
	for _, f := range found {
		if f.At.IsZero() {
			continue
		}
		out = append(out, store.Imported{ID: f.ID, Inbound: f.Inbound, At: f.At.UTC(), Body: f.Body, Texted: w.Channel == sending.SMS})
		ids = append(ids, f.ID)
	}
	if w.Channel != sending.Email || w.verify || len(ids) == 0 {
		return out, nil
	}
	known, err := m.known(ctx, w.Thread, ids)
	if err != nil {
		return nil, err
	}
	var texted []store.Imported
	for i := range out {
		if known[out[i].ID] {
			continue
		}
		if err := m.email(ctx, w, &out[i], found); err != nil {
			return texted, err
		}
		texted = append(texted, out[i])
	}
	return out, nil
}

// email reads the text of an email by its second call. One that the provider does not know any more stays without.
func (m *Mirror) email(ctx context.Context, w *walk, into *store.Imported, found []ghl.HistoryMessage) error {
	i := slices.IndexFunc(found, func(f ghl.HistoryMessage) bool { return f.ID == into.ID })
	if i < 0 || len(found[i].EmailIDs) == 0 {
		return nil
	}
	subject, body, err := m.Client.Email(ctx, w.account, found[i].EmailIDs[0])
	var failed *ghl.ReadError
	if errors.As(err, &failed) && failed.NotFound() || errors.Is(err, ghl.ErrID) {
		return nil
	}
	into.Subject, into.Body = subject, body
	return err
}

func (m *Mirror) known(ctx context.Context, thread store.Thread, ids []string) (map[string]bool, error) {
	known := map[string]bool{}
	err := m.Store.Workspace(ctx, thread.Workspace, func(tx *store.Tx) error {
		rows, err := tx.MessagesByProvider(ctx, db.MessagesByProviderParams{WorkspaceID: thread.Workspace, Ids: ids})
		for _, r := range rows {
			known[r.ProviderMessageID] = true
		}
		return err
	})
	return known, err
}

// oldestOf is the oldest time of a page and of those before it.
func oldestOf(found []ghl.HistoryMessage, before string) string {
	oldest := parseMoment(before)
	for _, f := range found {
		if !f.At.IsZero() && (oldest.IsZero() || f.At.Before(oldest)) {
			oldest = f.At
		}
	}
	if oldest.IsZero() {
		return ""
	}
	return oldest.UTC().Format(time.RFC3339Nano)
}

// parseMoment reads a time of a place; zero for none.
func parseMoment(text string) time.Time {
	at, _ := time.Parse(time.RFC3339Nano, text)
	return at
}

// fallBack is where a walk goes on when the provider does not take a cursor any more: the export from the oldest message
// that it has shown, a conversation's list once more from its beginning. It reports false when that leads nowhere.
func (w *walk) fallBack(at place, err error) (place, bool) {
	var failed *ghl.ReadError
	if at.token == "" || !errors.As(err, &failed) || !cursorRefused(failed) {
		return place{}, false
	}
	if at.list == listConversation {
		if w.again[at.id] {
			return place{}, false
		}
		if w.again == nil {
			w.again = map[string]bool{}
		}
		w.again[at.id] = true
		return place{list: at.list, id: at.id}, true
	}
	oldest, bound := parseMoment(at.oldest), parseMoment(at.bound)
	if oldest.IsZero() {
		// A place from before the export's times were kept: from its beginning, whose pages give a time.
		return place{list: listExport}, true
	}
	// Lists cut times to milliseconds; what the bound repeats is known by its id.
	to := oldest.Truncate(time.Millisecond).Add(time.Millisecond)
	if !bound.IsZero() && !to.Before(bound) {
		return place{}, false
	}
	return place{list: listExport, bound: to.UTC().Format(time.RFC3339Nano), oldest: at.oldest}, true
}

// cursorRefused tells a refused cursor from a provider in trouble, a used-up budget and a token that is refused.
func cursorRefused(e *ghl.ReadError) bool {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	default:
		return e.Status >= 400 && e.Status < 500 && e.Verdict.Class != classify.Suspended
	}
}
