package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/relance/relance/services/sync/internal/crashpoint"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

// outcome is a settlement on its way to the database.
type outcome struct {
	row db.SendIntent
	// age is the time since the claim when the look began.
	age        time.Duration
	source     string
	seen       sending.Sighting
	settlement sending.Settlement
}

// apply commits what a look means, in one transaction: the move, the claimed id, the closed attempt, the timeline, the
// event to followups, the record of the look, and the next job. If the send has moved meanwhile, nothing is done.
func (r *Reconciler) apply(ctx context.Context, o outcome) error {
	moved := false
	err := r.Store.Workspace(ctx, o.row.WorkspaceID, func(tx *store.Tx) (err error) {
		// The lead first: every writer takes lead and intent in this order.
		if _, err := tx.LockLead(ctx, db.LockLeadParams{WorkspaceID: o.row.WorkspaceID, ID: o.row.LeadID}); err != nil {
			return err
		}
		moved, err = r.applyIn(ctx, tx, o)
		if o.settlement.To == sending.Accepted {
			crashpoint.At(crashpoint.C12)
		} else if moved {
			crashpoint.At(crashpoint.C13)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	r.metrics.looked(ctx, o.source, o.result())
	if moved {
		r.announce(ctx, o)
	}
	return nil
}

// applyIn is apply inside a transaction whose caller holds the lead's lock. It reports whether the send moved.
func (r *Reconciler) applyIn(ctx context.Context, tx *store.Tx, o outcome) (bool, error) {
	if o.settlement.Rule == "" {
		return false, r.wait(ctx, tx, o)
	}
	n, err := settleIntent(ctx, tx, o)
	if err != nil || n == 0 {
		return false, err
	}
	if err := recordLook(ctx, tx, o); err != nil {
		return false, err
	}
	if err := closeAttempt(ctx, tx, o); err != nil {
		return false, err
	}
	switch o.settlement.To {
	case sending.Accepted:
		if err := r.noteLateness(ctx, tx, o); err != nil {
			return false, err
		}
		at := o.settlement.Found.At
		if at.IsZero() {
			at = tx.Now
		}
		err = tx.Accepted(ctx, store.Acceptance{Intent: o.row, ProviderID: o.settlement.Found.ID, At: at})
		if err == nil {
			err = tx.Publish(ctx, tx.Settled(o.row, string(sending.Accepted)))
		}
	case sending.Parked:
		err = tx.Publish(ctx, tx.Settled(o.row, string(o.settlement.Reason)))
	case sending.Retryable:
		err = tx.Enqueue(ctx, work.ResumeSend{Workspace: o.row.WorkspaceID.String(), Intent: o.row.ID.String()}, 0)
	}
	return true, err
}

// wait keeps the send unknown until its next look.
func (r *Reconciler) wait(ctx context.Context, tx *store.Tx, o outcome) error {
	complete, failed := o.counts()
	err := tx.DeferLook(ctx, db.DeferLookParams{
		Complete: complete, Failed: failed, AgeSeconds: o.settlement.Next.Seconds(), WorkspaceID: o.row.WorkspaceID, ID: o.row.ID,
		Attempt: o.row.Attempt, Seen: o.row.Looks,
	})
	if err == nil {
		err = recordLook(ctx, tx, o)
	}
	if err != nil {
		return err
	}
	return tx.Enqueue(ctx, work.Reconcile{Intent: o.row.ID.String()}, max(o.settlement.Next-o.age, 0))
}

func (o outcome) counts() (complete, failed int32) {
	switch {
	case o.source != "list":
		return 0, 0
	case o.seen.Complete:
		return 1, 0
	default:
		return 0, 1
	}
}

func settleIntent(ctx context.Context, tx *store.Tx, o outcome) (int64, error) {
	complete, failed := o.counts()
	p := db.SettleIntentParams{
		State: string(o.settlement.To), Reason: string(o.settlement.Reason), ReasonMeta: []byte("{}"), Now: tx.Now, Complete: complete,
		Failed: failed, Duplicate: o.settlement.Rule == sending.T12, WorkspaceID: o.row.WorkspaceID, ID: o.row.ID, Attempt: o.row.Attempt,
		Sources: sending.Sources(o.settlement.To, o.settlement.Rule),
	}
	if o.settlement.Rule == sending.T13 {
		p.Resends = 1
	}
	if o.settlement.To == sending.Accepted {
		p.ProviderMessageID = &o.settlement.Found.ID
		if o.settlement.Found.ConversationID != "" {
			p.ConversationID = &o.settlement.Found.ConversationID
		}
	}
	return tx.SettleIntent(ctx, p)
}

// closeAttempt ends an attempt of which no answer was recorded.
func closeAttempt(ctx context.Context, tx *store.Tx, o outcome) error {
	state := string(sending.Unknown)
	if o.settlement.To == sending.Accepted {
		state = string(sending.Accepted)
	}
	evidence, err := json.Marshal(map[string]string{"code": o.source + "_" + o.result(), "rule": string(o.settlement.Rule)})
	if err != nil {
		return err
	}
	return tx.CloseAttempt(ctx, db.CloseAttemptParams{
		Outcome: &state, Evidence: evidence, WorkspaceID: o.row.WorkspaceID, IntentID: o.row.ID, Attempt: o.row.Attempt,
	})
}

func (o outcome) result() string {
	switch {
	case len(o.seen.Matches) == 1:
		return "found"
	case len(o.seen.Matches) > 1:
		return "several"
	case !o.seen.Complete:
		return "failed"
	case len(o.seen.Others) > 0:
		return "different"
	default:
		return "absent"
	}
}

func recordLook(ctx context.Context, tx *store.Tx, o outcome) error {
	candidates := []string{}
	for _, found := range append(append([]sending.Found{}, o.seen.Matches...), o.seen.Others...) {
		candidates = append(candidates, found.ID)
	}
	return tx.RecordLook(ctx, db.RecordLookParams{
		WorkspaceID: o.row.WorkspaceID, IntentID: o.row.ID, Attempt: o.row.Attempt, Source: o.source, AgeMs: o.age.Milliseconds(),
		Result: o.result(), Rule: string(o.settlement.Rule), Listed: int32(o.seen.Listed), Candidates: candidates,
	})
}

// announce says on the outside what a committed settlement means.
func (r *Reconciler) announce(ctx context.Context, o outcome) {
	r.metrics.moved(ctx, string(o.settlement.Rule))
	fields := []any{"intent", o.row.ID.String(), "rule", string(o.settlement.Rule), "state", string(o.settlement.To), "source", o.source}
	switch o.settlement.To {
	case sending.Parked:
		r.logger.WarnContext(ctx, "send parked for a person", append(fields, "reason", string(o.settlement.Reason))...)
	case sending.Accepted:
		r.logger.InfoContext(ctx, "send settled: the provider has it", fields...)
		r.watchDelay(ctx, o)
	default:
		r.logger.InfoContext(ctx, "send settled: the provider does not have it; it is sent once more", fields...)
	}
	if o.settlement.Rule == sending.T12 {
		r.logger.ErrorContext(ctx, "duplicate suspected: the provider shows more than one message of this send",
			append(fields, "messages", len(o.seen.Matches))...)
	}
}
