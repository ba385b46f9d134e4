// Package mirror keeps the timeline whole against the provider: it reads a conversation's lists page by page, stores what
// is missing, heals what differs, and writes the certificate. It only reads at the provider. Each page is one commit with
// the place of the next, so that an interrupted walk goes on where it was.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/history"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// maxPages bounds one walk: some 200,000 messages.
const maxPages = 2000

// Why a conversation cannot be read at the provider now.
var (
	ErrNoLead       = errors.New("mirror: no such lead")
	ErrNoContact    = errors.New("mirror: the lead is not linked to a contact at the provider")
	ErrNotConnected = errors.New("mirror: the workspace has no usable connection")
	// ErrTooLong is a conversation with more pages than one walk reads; the next walk goes on.
	ErrTooLong = errors.New("mirror: the conversation is longer than one walk")
)

// Config is what a mirror is made of.
type Config struct {
	Store  *store.Store
	Client *ghl.Client
	// Account opens a workspace's connection; false when there is none that can be used.
	Account func(ctx context.Context, workspace uuid.UUID) (ghl.Account, bool, error)
	Clock   clock.Clock
	Logger  *slog.Logger
}

// Mirror synchronises conversations. It is safe for concurrent use.
type Mirror struct {
	Config
	// most and part are maxPages and partPages.
	most, part int
}

// New makes a mirror.
func New(cfg Config) *Mirror { return &Mirror{Config: cfg, most: maxPages, part: partPages} }

// Receipt is what one synchronisation did.
type Receipt struct {
	store.Page
	Pages int
	// Kept says that the walk did not come to its end, and that what it has seen is kept for the next.
	Kept bool
	// Conversation holds the certificate.
	Conversation db.Conversation
}

// walk is one reading of all lists.
type walk struct {
	store.Thread
	account ghl.Account
	contact string
	began   time.Time
	verify  bool
	// conversations are the provider's, read once.
	conversations []string
	// again holds the conversations whose list was begun once more.
	again map[string]bool
	// ahead is the page that is asked for while another is stored; nil for none.
	ahead *ahead
	shown
	trail trail
	// met is what earlier runs had seen, while the walk catches up with what came since.
	met     map[string]history.Listed
	receipt Receipt
}

// Sync reads a conversation whole, or goes on where an earlier run had to leave it. With verify it changes nothing but the
// certificate, and goes on with nothing. Errors: ErrNoLead, ErrNoContact, ErrNotConnected, ErrTooLong, ghl.ReadError.
func (m *Mirror) Sync(ctx context.Context, thread store.Thread, verify bool) (Receipt, error) {
	w := &walk{Thread: thread, verify: verify, trail: trail{id: uuid.New(), off: true}}
	rest, err := m.begin(ctx, w)
	if err != nil {
		return Receipt{}, err
	}
	var at place
	if !verify {
		if at, err = m.follow(ctx, w); err != nil {
			return w.receipt, err
		}
	}
	if at.zero() && !rest.zero() {
		// What an interrupted walk had left. What it had read before is not known any more, so a whole reading follows.
		if err := m.read(ctx, w, rest); err != nil {
			return w.receipt, err
		}
		w.shown = shown{}
	}
	if at.zero() {
		w.began = m.Clock.Now().UTC()
	}
	w.trail.off = verify
	if err := m.read(ctx, w, at); err != nil {
		return w.receipt, err
	}
	if !at.zero() {
		if err := m.catchUp(ctx, w); err != nil {
			return w.receipt, err
		}
	}
	return w.receipt, m.certify(ctx, w)
}

// begin finds the contact and the place where an interrupted walk stopped.
func (m *Mirror) begin(ctx context.Context, w *walk) (place, error) {
	var at place
	err := m.Store.Workspace(ctx, w.Workspace, func(tx *store.Tx) error {
		row, err := tx.Lead(ctx, db.LeadParams{WorkspaceID: w.Workspace, ID: w.Lead})
		if postgres.IsNoRows(err) {
			return ErrNoLead
		}
		if err != nil {
			return err
		}
		w.contact = store.Deref(row.GhlContactID)
		if err := tx.EnsureConversation(ctx, db.EnsureConversationParams{
			WorkspaceID: w.Workspace, LeadID: w.Lead, Channel: string(w.Channel), Now: tx.Now,
		}); err != nil {
			return err
		}
		if _, err := tx.EnsureImport(ctx, db.EnsureImportParams{WorkspaceID: w.Workspace, LeadID: w.Lead, Channel: string(w.Channel)}); err != nil {
			return err
		}
		state, err := tx.HistoryImport(ctx, db.HistoryImportParams{WorkspaceID: w.Workspace, LeadID: w.Lead, Channel: string(w.Channel)})
		at = parsePlace(state.Cursor)
		return err
	})
	switch {
	case err != nil:
		return place{}, fmt.Errorf("begin walk: %w", err)
	case !lead.ValidID(w.contact):
		return place{}, ErrNoContact
	case w.verify:
		at = place{} // A comparison that stores nothing has no place either.
	}
	var usable bool
	if w.account, usable, err = m.Account(ctx, w.Workspace); err != nil {
		return place{}, fmt.Errorf("open connection: %w", err)
	}
	if !usable {
		return place{}, ErrNotConnected
	}
	return at, nil
}

// read walks the lists from a place to the end.
func (m *Mirror) read(ctx context.Context, w *walk, at place) error {
	defer w.forgetAhead()
	seen := map[place]bool{}
	for n := range m.most {
		page, next, err := m.page(ctx, w, at)
		if back, ok := w.fallBack(at, err); ok {
			at = back
			clear(seen) // The pages that follow may lead to the same cursors.
			continue
		}
		if err != nil {
			return m.failed(ctx, w, step{page: page, fresh: page, next: at}, err)
		}
		w.receipt.Pages++
		fresh, unmet := w.note(page)
		if seen[next] || w.allMet(page) && !next.done && next.token != "" {
			next = next.afterList(w.conversations) // A cursor that leads in a circle ends its list, as does what was met before.
		}
		seen[next] = true
		if !w.verify {
			if !next.done && n+1 < m.most {
				m.askAhead(ctx, w, next)
			}
			if err := m.save(ctx, w, step{page: page, fresh: fresh, unmet: unmet, next: next}); err != nil {
				return err
			}
		}
		if at = next; at.done {
			return nil
		}
	}
	return errors.Join(ErrTooLong, m.keep(ctx, w, at))
}

// failed keeps what a walk has seen until it could not go on, with the part of a page whose texts were read. It forgets a place that
// leads nowhere: the provider does not take its cursor, nor does going back help.
func (m *Mirror) failed(ctx context.Context, w *walk, s step, err error) error {
	if w.verify {
		return err
	}
	var failed *ghl.ReadError
	if s.next.token == "" || !errors.As(err, &failed) || !cursorRefused(failed) {
		if len(s.page) > 0 {
			err = errors.Join(err, m.saveTexts(ctx, w, s.page))
		}
		return errors.Join(err, m.keep(ctx, w, s.next))
	}
	reset := m.Store.Workspace(ctx, w.Workspace, func(tx *store.Tx) error {
		if err := w.endTrail(ctx, tx); err != nil {
			return err
		}
		return tx.ResetImport(ctx, db.ResetImportParams{WorkspaceID: w.Workspace, LeadID: w.Lead, Channel: string(w.Channel)})
	})
	return errors.Join(err, reset)
}
