package mirror

import (
	"context"
	"fmt"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/history"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// shown is what the lists of one walk have shown.
type shown struct {
	// listed holds each message once for each way in which it was shown.
	listed []history.Listed
	// last says where in listed a message was shown last.
	last map[string]int
	// revision is the conversation's after the walk's last page; while it stays, all that was shown is stored as it was shown.
	revision *int64
	// alone says that nobody but this walk ever stored a message of the conversation: what it has not shown is not stored.
	alone bool
}

// note adds a page and answers those of its messages that were not shown before, or not in the same way: the second list
// mostly repeats the first. unmet says that none of them was shown before at all.
func (s *shown) note(page []store.Imported) (fresh []store.Imported, unmet bool) {
	if s.last == nil {
		s.last = map[string]int{}
	}
	unmet = true
	for i := range page {
		l := page[i].Listed()
		at, met := s.last[l.ID]
		if met && s.listed[at].Same(l) {
			continue
		}
		unmet = unmet && !met
		s.last[l.ID] = len(s.listed)
		s.listed = append(s.listed, l)
		fresh = append(fresh, page[i])
	}
	return fresh, unmet
}

// step is a page that was read: fresh are those of it that the walk had not met, next is the place of the next page.
type step struct {
	page, fresh []store.Imported
	// unmet says that none of fresh was shown before in another way either.
	unmet bool
	next  place
}

// save stores a page with the place of the next in one commit.
func (m *Mirror) save(ctx context.Context, w *walk, s step) error {
	var done store.Page
	var revision int64
	var stale, alone, mine bool
	tries := 0
	keep := !w.trail.off && w.trail.pages+1 >= m.part && !s.next.done
	err := m.Store.Batch(ctx, w.Workspace, func(tx *store.Tx) error {
		before, err := tx.LockThread(ctx, db.LockThreadParams{WorkspaceID: w.Workspace, LeadID: w.Lead, Channel: string(w.Channel)})
		if postgres.IsNoRows(err) {
			return ErrNoLead
		}
		if err != nil {
			return err
		}
		tries++
		todo, put := s.fresh, tx.StorePage
		if stale = w.revision != nil && *w.revision != before.Revision; stale {
			todo = s.page
		}
		// A message that another conversation has fails the first try. Then the rest of the walk is looked up.
		alone = !stale && !before.Renamed && tries == 1 && (w.alone || w.revision == nil && before.Revision == 0)
		if alone && s.unmet {
			put = tx.StoreNew
		}
		if done, err = put(ctx, w.Thread, todo); err != nil {
			return err
		}
		done.Unchanged += len(s.page) - len(todo)
		if revision, err = tx.SavePage(ctx, saved(tx, w.Thread, s, done)); err == nil && keep {
			mine, err = w.trail.part(ctx, tx, w, s.next)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("save page: %w", err)
	}
	w.revision, w.alone = &revision, alone
	if w.trail.pages++; keep {
		w.trailed(mine)
	}
	if stale {
		clear(w.last) // Somebody changed what this walk had stored: the second list finds and mends it.
	}
	w.receipt.Imported += done.Imported
	w.receipt.Healed += done.Healed
	w.receipt.Unchanged += done.Unchanged
	return nil
}

// saveTexts stores a part of a page whose place is its own beginning: it is read again, and its texts are not.
func (m *Mirror) saveTexts(ctx context.Context, w *walk, page []store.Imported) error {
	ctx = context.WithoutCancel(ctx)
	var done store.Page
	err := m.Store.Batch(ctx, w.Workspace, func(tx *store.Tx) error {
		if _, err := tx.LockLead(ctx, db.LockLeadParams{WorkspaceID: w.Workspace, ID: w.Lead}); err != nil {
			return err
		}
		var err error
		done, err = tx.StorePage(ctx, w.Thread, page)
		return err
	})
	if err != nil {
		return fmt.Errorf("save texts: %w", err)
	}
	w.receipt.Imported += done.Imported
	return nil
}

// saved is the place after a page, and the times of its newest messages.
func saved(tx *store.Tx, thread store.Thread, s step, done store.Page) db.SavePageParams {
	out := db.SavePageParams{
		WorkspaceID: thread.Workspace, LeadID: thread.Lead, Channel: string(thread.Channel), Now: tx.Now,
		Cursor: s.next.String(), Done: s.next.done, Imported: int32(done.Imported), Repeated: int32(done.Unchanged), // #nosec G115 -- a page is small
	}
	for i := range s.page {
		newest := &out.Outbound
		if s.page[i].Inbound {
			newest = &out.Inbound
		}
		if at := s.page[i].At; *newest == nil || at.After(**newest) {
			*newest = &at
		}
	}
	return out
}
