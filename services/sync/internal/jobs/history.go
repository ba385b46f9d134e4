package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/riverqueue/river"

	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/mirror"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/work"
)

// importHistory reads a lead's messages, once, when it first writes. What is not reached now is due by its conversation's
// row all the same.
func (d Deps) importHistory(ctx context.Context, args work.ImportHistory) error {
	workspace, leadID, err := ids(args.Workspace, args.Lead)
	if err != nil {
		return err
	}
	account, _, err := d.account(ctx, workspace) // before its token is used: it may be another's afterwards
	if err != nil {
		return fmt.Errorf("import history: %w", err)
	}
	_, err = d.Mirror.Sync(budget.InBulk(ctx), store.Thread{Workspace: workspace, Lead: leadID, Channel: sending.Channel(args.Channel)}, false)
	var read *ghl.ReadError
	if wait, held := provider.HeldBack(err); held {
		return river.JobSnooze(wait)
	}
	switch v, limited := ghl.RateLimited(err); {
	case err == nil, errors.Is(err, mirror.ErrNoContact), errors.Is(err, mirror.ErrNotConnected):
		return nil
	case errors.Is(err, mirror.ErrNoLead):
		return river.JobCancel(err)
	case limited:
		return river.JobSnooze(v.Wait) // Waiting for the budget is no failed attempt.
	case errors.As(err, &read) && read.Verdict.Class == classify.Suspended:
		return d.Store.SuspendConnection(ctx, workspace, account.Version, read.Verdict.Refusal.Reason)
	default:
		return fmt.Errorf("import history: %w", err)
	}
}
