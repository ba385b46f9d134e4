package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/relance/relance/services/sync/internal/lateness"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// takenAfter tells how long after our call was given up the provider took the message that was found (A1). It is not known
// when either time is missing, or when the provider's lies in the future.
func (r *Reconciler) takenAfter(o outcome) (time.Duration, bool) {
	at, claimed := o.settlement.Found.At, store.Deref(o.row.ClaimTime)
	if first := store.Deref(o.row.ClaimFrom); at.Before(claimed) && !first.IsZero() {
		// Sent again since: the message is of an earlier call, which is exactly what must not happen.
		claimed = first
	}
	if claimed.IsZero() || at.IsZero() || at.After(r.clock.Now().Add(clockSkew)) {
		return 0, false
	}
	t := r.Assumed.Configured()
	return at.Sub(claimed) - t.Write - t.Call, true
}

// clockSkew is how far a provider's clock may be ahead of ours.
const clockSkew = 2 * time.Minute

// noteLateness stores what a message that was found says against assumptions A1 and A2, in the commit that settles its send.
func (r *Reconciler) noteLateness(ctx context.Context, tx *store.Tx, o outcome) error {
	if o.settlement.Found.At.IsZero() {
		return nil
	}
	t := r.Assumed.Configured()
	if after, known := r.takenAfter(o); known && after > t.Delay {
		if err := r.Assumed.Note(ctx, tx, lateness.Sighting{Provider: o.row.Provider, Assumption: lateness.Delay, Seen: after}); err != nil {
			return err
		}
	}
	if o.row.Looks == 0 {
		return nil
	}
	absent, err := tx.LastAbsence(ctx, db.LastAbsenceParams{WorkspaceID: o.row.WorkspaceID, IntentID: o.row.ID, Attempt: o.row.Attempt})
	if err != nil {
		return fmt.Errorf("read looks: %w", err)
	}
	// A complete look passed over a message that had been taken long before.
	hidden := time.Duration(absent)*time.Millisecond - o.settlement.Found.At.Sub(store.Deref(o.row.ClaimTime))
	if hidden <= t.Visible {
		return nil
	}
	return r.Assumed.Note(ctx, tx, lateness.Sighting{Provider: o.row.Provider, Assumption: lateness.Visible, Seen: hidden})
}

// watchDelay measures assumption A1 on a message that was found.
func (r *Reconciler) watchDelay(ctx context.Context, o outcome) {
	after, known := r.takenAfter(o)
	if !known {
		return
	}
	if assumed := r.Assumed.Configured().Delay; r.metrics.found(ctx, after, assumed) {
		r.logger.ErrorContext(ctx, "the provider took a message later than assumed: sends of unknown outcome wait longer now",
			"intent", o.row.ID.String(), "provider", o.row.Provider, "after", after.String(), "assumed", assumed.String())
	}
}

// watchLateness shows how far each provider's constants are lengthened, and tells when they are or are no more.
func (r *Reconciler) watchLateness(ctx context.Context) {
	base := r.Assumed.Configured()
	for _, kind := range append(slices.Collect(maps.Keys(r.Mail)), provider.GHL) {
		of := string(kind)
		now := r.Assumed.Timing(of)
		r.metrics.stretched(ctx, of, lateness.Delay, now.Delay.Seconds()/base.Delay.Seconds())
		r.metrics.stretched(ctx, of, lateness.Visible, now.Visible.Seconds()/base.Visible.Seconds())
		told, _ := r.told.Swap("lateness of "+of, now)
		before, ok := told.(sending.Timing)
		if !ok {
			before = base
		}
		switch {
		case now.Settle > before.Settle:
			r.logger.WarnContext(ctx, "the provider is later than configured: absence counts later",
				"provider", of, "delay", now.Delay.String(), "visible", now.Visible.String(), "settle", now.Settle.String())
		case now.Settle < before.Settle && now == base:
			r.logger.InfoContext(ctx, "the provider keeps to what is configured again", "provider", of)
		}
	}
}
