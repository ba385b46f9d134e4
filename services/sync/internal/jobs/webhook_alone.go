package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// alone applies a leased webhook once. What fails on every attempt is parked; a provider that is away uses up no attempt. One
// whose process dies is taken up by another when its lease ends.
func (d Deps) alone(ctx context.Context, row db.WebhookInbox) {
	in, err := d.opened(row)
	if err == nil {
		err = d.guarded(ctx, in)
	}
	if err == nil {
		return
	}
	attempt, wait := row.Attempt, time.Duration(0)
	switch {
	case away(err) && in.age < patience:
		attempt, wait = row.Attempt-1, min(max(in.age/4, 2*time.Second), 5*time.Minute)
	case row.Attempt < maxAttempts && !away(err) && !errors.Is(err, errUnreadable):
		d.Logger.WarnContext(ctx, "webhook not applied; it is tried again", "inbox", row.ID.String(), "attempt", row.Attempt, "error", err)
		wait = retryWait(int(row.Attempt))
	}
	// What became of it is written down also when the time for it is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if wait > 0 {
		err = d.defers(ctx, row, db.DeferInboxParams{WaitSeconds: wait.Seconds(), Attempt: attempt, ID: row.ID, Leased: row.Attempt})
	} else {
		d.Logger.ErrorContext(ctx, "webhook parked", "inbox", row.ID.String(), "event_type", in.event.Type, "error", err)
		err = d.park(ctx, in, parkReason(err))
	}
	if err != nil {
		d.Logger.WarnContext(ctx, "webhook waits for the end of its lease", "inbox", row.ID.String(), "error", err)
	}
}

func (d Deps) defers(ctx context.Context, row db.WebhookInbox, next db.DeferInboxParams) error {
	return d.Store.Workspace(ctx, store.Deref(row.WorkspaceID), func(tx *store.Tx) error { return tx.DeferInbox(ctx, next) })
}
