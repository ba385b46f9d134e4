package store

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

// atEnd is what a transaction does once, last, however often it was asked for: the rows that all transactions of a workspace
// share are then locked for the commit only.
type atEnd struct {
	published bool
	// waiting are workspaces whose webhooks wait.
	waiting  map[uuid.UUID]bool
	ingested map[hour]db.CountIngestedParams
}

type hour struct {
	workspace uuid.UUID
	at        time.Time
}

// Waiting says that the transaction leaves webhooks of a workspace waiting in the inbox; who takes them is told when it has
// committed.
func (t *Tx) Waiting(workspace uuid.UUID) {
	if t.end.waiting == nil {
		t.end.waiting = map[uuid.UUID]bool{}
	}
	t.end.waiting[workspace] = true
}

// Ingested adds to the figures of an hour.
func (t *Tx) Ingested(n db.CountIngestedParams) {
	if t.end.ingested == nil {
		t.end.ingested = map[hour]db.CountIngestedParams{}
	}
	key := hour{n.WorkspaceID, n.Hour}
	sum := t.end.ingested[key]
	sum.WorkspaceID, sum.Hour = n.WorkspaceID, n.Hour
	sum.Delivered, sum.Found, sum.Late = sum.Delivered+n.Delivered, sum.Found+n.Found, sum.Late+n.Late
	t.end.ingested[key] = sum
}

// within runs fn in a transaction that has begun, and what the transaction does at its end.
func (s *Store) within(ctx context.Context, raw pgx.Tx, end *atEnd, fn func(*Tx) error) error {
	tx := &Tx{Queries: db.New(raw), Now: s.clock.Now().UTC(), raw: raw, store: s}
	if err := fn(tx); err != nil {
		return err
	}
	*end = tx.end
	return tx.finish(ctx)
}

func (t *Tx) finish(ctx context.Context) error {
	if t.end.published {
		if err := t.Enqueue(ctx, work.DeliverEvents{}, 0); err != nil {
			return err
		}
	}
	// In one order, so that two transactions cannot wait for each other.
	for _, key := range slices.SortedFunc(maps.Keys(t.end.ingested), hour.compare) {
		if err := t.CountIngested(ctx, t.end.ingested[key]); err != nil {
			return fmt.Errorf("count what came in: %w", err)
		}
	}
	return nil
}

func (h hour) compare(o hour) int {
	if c := bytes.Compare(h.workspace[:], o.workspace[:]); c != 0 {
		return c
	}
	return h.at.Compare(o.at)
}

// after is done when the transaction has committed.
func (s *Store) after(end atEnd) {
	if s.inbox == nil {
		return
	}
	for workspace := range end.waiting {
		s.inbox(workspace)
	}
}
