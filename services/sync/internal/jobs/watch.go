package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"github.com/relance/relance/services/sync/internal/work"
)

// keepEvery is how often months are looked after; they are made two ahead.
const keepEvery = 6 * time.Hour

// keepMonths makes the months of append-only history ahead, and drops those that are older than is kept.
func (d Deps) keepMonths(ctx context.Context) error {
	made, err := d.Store.MakeMonths(ctx)
	if err != nil {
		return err
	}
	dropped, err := d.Store.DropMonths(ctx, d.HistoryMonths)
	if made+dropped > 0 {
		d.Logger.InfoContext(ctx, "months of history kept", "made", made, "dropped", dropped)
	}
	return err
}

// watchVisible looks for an accepted message until both lists show it, or the time assumed is over.
func (d Deps) watchVisible(ctx context.Context, args work.WatchVisible) error {
	workspace, intent, err := ids(args.Workspace, args.Intent)
	if err != nil {
		return err
	}
	wait, err := d.Reconciler.Visible(ctx, workspace, intent)
	if err != nil || wait == 0 {
		return err
	}
	return river.JobSnooze(wait)
}
