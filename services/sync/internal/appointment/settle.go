package appointment

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Settle tells followups that a lead has no appointment any more, once the grace of its cancellations is over: of the primary
// one, which is the latest of those cancelled, and not while another that stands is ahead. What is told or has no news is
// settled, so that a second run tells nothing. It returns how long the next cancellation still waits, 0 when none does.
func Settle(ctx context.Context, tx *store.Tx, workspace, lead uuid.UUID) (time.Duration, error) {
	if _, err := tx.LockLead(ctx, db.LockLeadParams{WorkspaceID: workspace, ID: lead}); err != nil {
		return 0, err
	}
	untold, err := tx.UntoldCancellations(ctx, db.UntoldCancellationsParams{WorkspaceID: workspace, LeadID: lead})
	if err != nil || len(untold) == 0 {
		return 0, err
	}
	var wait time.Duration
	for _, b := range untold {
		if left := b.SettleTime.Sub(tx.Now); left > 0 && (wait == 0 || left < wait) {
			wait = left
		}
	}
	ahead, err := tx.BookedAhead(ctx, db.BookedAheadParams{WorkspaceID: workspace, LeadID: lead, Now: tx.Now})
	if err != nil {
		return 0, err
	}
	if primary := untold[0]; !ahead && !primary.SettleTime.After(tx.Now) {
		err := tx.Publish(ctx, store.Event{
			Type: store.EventCancelled, Workspace: workspace, Lead: lead, At: primary.ProviderTime, Booking: primary.ProviderID,
			BookingTime: store.Deref(primary.StartTime),
		})
		if err != nil {
			return 0, err
		}
	}
	return wait, tx.CancellationsSettled(ctx, db.CancellationsSettledParams{WorkspaceID: workspace, LeadID: lead, Now: tx.Now})
}
