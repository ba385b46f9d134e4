package jobs

import (
	"context"

	"github.com/riverqueue/river"

	"github.com/relance/relance/services/sync/internal/work"
)

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
