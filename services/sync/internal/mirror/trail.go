package mirror

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/history"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

const (
	// partPages is how many pages a part of a trail holds: what a killed process reads again at most.
	partPages = 10
	// oldestTrail is how long a trail is gone on with. A provider's list of yesterday proves nothing of today's.
	oldestTrail = 24 * time.Hour
	trailPurge  = 100
)

// trail keeps what a walk has seen, in parts that are stored with the pages they are of. A walk that ends before its end is gone on
// with by the next run, which certifies both. Walks of fewer pages than a part leave none unless they are interrupted.
type trail struct {
	id uuid.UUID
	// parts and from are how many parts are stored, and how many of the listed messages those hold.
	parts int32
	from  int
	// pages were read since the last part.
	pages int
	// off says that nothing is kept: this walk changes nothing here, or another run has taken the trail over.
	off bool
}

// follow takes over the trail of an earlier walk and gives the place where it ends, zero for none. What the provider lists under
// another contact or in other conversations is another list: then the walk begins anew.
func (m *Mirror) follow(ctx context.Context, w *walk) (place, error) {
	var row db.HistoryWalk
	var parts []db.WalkPartsRow
	err := m.Store.Workspace(ctx, w.Workspace, func(tx *store.Tx) (err error) {
		row, err = tx.TakeWalk(ctx, db.TakeWalkParams{ID: w.trail.id, WorkspaceID: w.Workspace, LeadID: w.Lead, Channel: string(w.Channel)})
		if err == nil {
			parts, err = tx.WalkParts(ctx, db.WalkPartsParams{WorkspaceID: w.Workspace, LeadID: w.Lead, Channel: string(w.Channel)})
		}
		return err
	})
	if postgres.IsNoRows(err) {
		return place{}, nil
	}
	if err != nil {
		return place{}, fmt.Errorf("read trail: %w", err)
	}
	if err := m.talks(ctx, w); err != nil {
		return place{}, err
	}
	if row.Contact == w.contact && m.Clock.Now().Sub(row.BeginTime) < oldestTrail && sameSet(row.Conversations, w.conversations) {
		if at, ok := w.retrace(parts); ok {
			w.began, w.conversations = row.BeginTime, row.Conversations // in the order in which they are read
			return at, nil
		}
	}
	w.shown = shown{}
	return place{}, m.forget(ctx, w)
}

// retrace makes what earlier runs have seen this walk's.
func (w *walk) retrace(parts []db.WalkPartsRow) (place, bool) {
	var at place
	for i := range parts {
		listed, err := history.Unpack(parts[i].Listed)
		if err != nil {
			return place{}, false
		}
		w.listed = append(w.listed, listed...)
		at, w.revision = parsePlace(parts[i].Place), &parts[i].Revision
	}
	w.last = map[string]int{}
	for i, l := range w.listed {
		w.last[l.ID] = i
	}
	w.trail.parts, w.trail.from = int32(len(parts)), len(w.listed) // #nosec G115 -- a part has pages
	return at, !at.zero()
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// part stores what was listed since the last part, with the place behind it, and reports whether the trail is still this walk's. The
// caller has stored all of it.
func (t trail) part(ctx context.Context, tx *store.Tx, w *walk, at place) (bool, error) {
	if t.parts == 0 {
		err := tx.StartWalk(ctx, db.StartWalkParams{
			WorkspaceID: w.Workspace, LeadID: w.Lead, Channel: string(w.Channel), ID: t.id, Contact: w.contact,
			Conversations: w.conversations, BeginTime: w.began,
		})
		if err != nil {
			return false, err
		}
	}
	n, err := tx.AddWalkPart(ctx, db.AddWalkPartParams{
		Part: t.parts, Place: at.String(), Revision: store.Deref(w.revision), Listed: history.Pack(w.listed[t.from:]),
		WorkspaceID: w.Workspace, LeadID: w.Lead, Channel: string(w.Channel), ID: t.id,
	})
	return n > 0, err
}

// trailed notes that a part was stored, or that the trail is not this walk's any more.
func (w *walk) trailed(mine bool) {
	if w.trail = (trail{id: w.trail.id, parts: w.trail.parts + 1, from: len(w.listed), off: !mine}); mine {
		w.receipt.Kept = true
	}
}

// keep stores what a walk that ends at a place has seen since its last part.
func (m *Mirror) keep(ctx context.Context, w *walk, at place) error {
	if w.trail.off || w.trail.pages == 0 || at.String() == "" {
		return nil
	}
	mine := false
	err := m.Store.Workspace(context.WithoutCancel(ctx), w.Workspace, func(tx *store.Tx) (err error) {
		mine, err = w.trail.part(ctx, tx, w, at)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep trail: %w", err)
	}
	w.trailed(mine)
	return nil
}

// forget ends the trail: it is certified, or proves nothing.
func (m *Mirror) forget(ctx context.Context, w *walk) error {
	w.trail = trail{id: w.trail.id, off: w.trail.off}
	err := m.Store.Workspace(ctx, w.Workspace, func(tx *store.Tx) error { return w.endTrail(ctx, tx) })
	if err != nil {
		return fmt.Errorf("forget trail: %w", err)
	}
	return nil
}

func (w *walk) endTrail(ctx context.Context, tx *store.Tx) error {
	return tx.EndWalk(ctx, db.EndWalkParams{WorkspaceID: w.Workspace, LeadID: w.Lead, Channel: string(w.Channel)})
}

// catchUp reads what came while several runs read the rest: of each list from its newest message to the first page that shows nothing
// else than what was seen. The certificate is then as of its beginning, as that of a walk in one run.
func (m *Mirror) catchUp(ctx context.Context, w *walk) error {
	w.began = m.Clock.Now().UTC()
	w.trail.off = true // a run that goes on with it catches up itself
	w.met = make(map[string]history.Listed, len(w.listed))
	for _, l := range w.listed {
		w.met[l.ID] = l
	}
	return m.read(ctx, w, place{})
}

// allMet reports whether a page shows only what was seen before the walk caught up.
func (w *walk) allMet(page []store.Imported) bool {
	if w.met == nil {
		return false
	}
	return !slices.ContainsFunc(page, func(i store.Imported) bool {
		met, ok := w.met[i.ID]
		return !ok || !met.Same(i.Listed())
	})
}
