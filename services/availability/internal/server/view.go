package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/services/availability/internal/changes"
	"github.com/relance/relance/services/availability/internal/refresh"
	"github.com/relance/relance/services/availability/internal/slots"
	"github.com/relance/relance/services/availability/internal/store"
)

// maxZones bounds the zones that a view keeps labels of.
const maxZones = 4

// view is a row as it is served: its starts that may be offered, with what is said of them by zone. Row and starts never
// change.
type view struct {
	row    store.Row
	starts []time.Time

	mu    sync.Mutex
	zones map[string]*zoned
}

// newView leaves out what lies beyond the look-ahead and what appointments take that the row does not know of.
func newView(row store.Row, taken []slots.Span) *view {
	if row.Link != nil {
		// What opens the calendar is of no use to readers.
		link := *row.Link
		link.SourceURL, link.Token = "", ""
		row.Link = &link
	}
	inside := slots.Within(row.Slots, time.Time{}, row.AsOf.Add(row.LookAhead))
	return &view{
		row: row, starts: slots.Untaken(inside, row.Meeting, taken), zones: map[string]*zoned{},
	}
}

func (v *view) weight() int { return len(v.starts) * maxZones / 2 }

// span gives the indexes of the starts in [from, to); a zero to means no end.
func (v *view) span(from, to time.Time) (first, last int) {
	first, last = v.index(from), len(v.starts)
	if !to.IsZero() {
		last = max(first, v.index(to))
	}
	return first, last
}

func (v *view) between(from, to time.Time) []time.Time {
	first, last := v.span(from, to)
	return v.starts[first:last]
}

// index gives the first start that is not before t.
func (v *view) index(t time.Time) int {
	i, _ := slices.BinarySearchFunc(v.starts, t, time.Time.Compare)
	return i
}

// view gives what is known of a calendar to a caller who may see it: from memory while that is fresh enough, else from
// the database, after a look at the calendar where one is due.
func (s *Server) view(ctx context.Context, key slots.Key, notBefore time.Time) (*view, error) {
	if err := principal.AuthorizeWorkspace(ctx, key.Workspace.String()); err != nil {
		return nil, err
	}
	if v, ok := s.cache.Get(key); ok && !refresh.Stale(v.row, s.clock.Now(), notBefore) {
		return v, nil
	}
	if err := s.admit(ctx, key.Workspace); err != nil {
		return nil, err
	}
	// A look at the calendar changes the row, so it is the next reader who puts it in.
	ticket := s.cache.Begin(key)
	row, err := s.refresher.Fresh(ctx, key, notBefore)
	if err != nil {
		return nil, toStatus(err)
	}
	taken, err := s.store.TakenSince(ctx, row, s.clock.Now())
	if err != nil {
		return nil, toStatus(err)
	}
	v := newView(row, taken)
	s.cache.Put(ticket, v)
	return v, nil
}

// Changed drops what is known of the workspace that the payload names.
func (s *Server) Changed(payload string) {
	workspace, err := uuid.Parse(payload)
	if err != nil {
		// Somebody else speaks on the channel: what it means is not known, so nothing is.
		s.cache.Distrust()
		return
	}
	s.cache.Forget(workspace)
}

// Heard lets what is known be served for changes.Span.
func (s *Server) Heard(since time.Time) { s.cache.Trust(since, changes.Span) }

// Lost drops everything.
func (s *Server) Lost() { s.cache.Distrust() }
