package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

// Evidence is what an opt-out was learned from.
type Evidence struct {
	// Rule is the rule of the detector that read it; Message the message it was read in.
	Rule    string
	Message *uuid.UUID
	// Unclear is true for words that a person has to look at. They count until then.
	Unclear bool
	// At is when the person said it; zero is now.
	At time.Time
}

// optOutSources gives the record's source for a flag's.
var optOutSources = map[string]string{
	"inbound_stop": "inbound_text", "unsubscribe_webhook": "unsubscribe", "provider_refusal": "provider_refusal",
}

// recordOptOut keeps the proof of an opt-out, with the number or address the lead has now, in the commit that closes the
// channel. Clear words after unclear ones settle the review.
func (t *Tx) recordOptOut(ctx context.Context, f Flag) error {
	who, err := t.LockLead(ctx, db.LockLeadParams{WorkspaceID: f.Workspace, ID: f.Lead})
	if err != nil {
		return fmt.Errorf("record opt-out: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("record opt-out: %w", err)
	}
	row := db.InsertOptOutParams{
		WorkspaceID: f.Workspace, ID: id, LeadID: f.Lead, Channel: string(f.Channel), Address: Deref(who.Phone),
		Source: optOutSources[f.Source], Rule: f.Evidence.Rule, MessageID: f.Evidence.Message, Review: "NONE",
		OptOutTime: f.Evidence.At, Now: t.Now,
	}
	if f.Channel == sending.Email {
		row.Address = Deref(who.Email)
	}
	if row.Source == "" {
		row.Source = "provider_dnd"
	}
	if f.Evidence.Unclear {
		row.Review = "PENDING"
	}
	t.planPush(&row, who)
	if row.OptOutTime.IsZero() {
		row.OptOutTime = t.Now
	}
	n, err := t.InsertOptOut(ctx, row)
	if err == nil && n > 0 && row.PushNextTime != nil {
		err = t.Enqueue(ctx, work.PushOptOut{Workspace: f.Workspace.String(), OptOut: id.String()}, 0)
	}
	if err == nil && n == 0 && !f.Evidence.Unclear {
		_, err = t.ConfirmUnclear(ctx, db.ConfirmUnclearParams{WorkspaceID: f.Workspace, LeadID: f.Lead, Channel: string(f.Channel)})
	}
	if err != nil {
		return fmt.Errorf("record opt-out: %w", err)
	}
	return nil
}

// NotPendingError says that an opt-out does not wait for a person, or was decided otherwise.
type NotPendingError struct {
	// Review is where it stands: NONE, CONFIRMED or REVERSED.
	Review string
}

// Error says so.
func (e *NotPendingError) Error() string {
	return "the opt-out does not wait for a review: " + e.Review
}

// OptOutDecision is a person's decision about an opt-out that was read in unclear words.
type OptOutDecision struct {
	Workspace, ID uuid.UUID
	// Dismiss lifts the opt-out; otherwise it is confirmed.
	Dismiss bool
	// Reviewer is the principal; Reason is what they gave for it.
	Reviewer, Reason string
}

// DecideOptOut records the decision, opens the channel of a dismissed one in the same commit, and reports whether that changed
// anything. It answers no rows for an unknown opt-out, and NotPendingError.
func (t *Tx) DecideOptOut(ctx context.Context, d OptOutDecision) (db.OptOut, bool, error) {
	row, err := t.OptOut(ctx, db.OptOutParams{WorkspaceID: d.Workspace, ID: d.ID})
	if err != nil {
		return db.OptOut{}, false, fmt.Errorf("decide opt-out: %w", err)
	}
	// The lead's lock comes first, as for whoever records an opt-out or claims a send.
	if _, err = t.LockLead(ctx, db.LockLeadParams{WorkspaceID: d.Workspace, ID: row.LeadID}); err != nil {
		return db.OptOut{}, false, fmt.Errorf("decide opt-out: %w", err)
	}
	if row, err = t.LockOptOut(ctx, db.LockOptOutParams{WorkspaceID: d.Workspace, ID: d.ID}); err != nil {
		return db.OptOut{}, false, fmt.Errorf("decide opt-out: %w", err)
	}
	next := db.ReviewOptOutParams{
		Review: "CONFIRMED", State: row.State, Reviewer: d.Reviewer, Note: d.Reason, Now: &t.Now, WorkspaceID: d.Workspace, ID: d.ID,
	}
	if d.Dismiss {
		next.Review, next.State = "REVERSED", "LIFTED"
	}
	if row.Review == next.Review {
		return row, false, nil
	}
	if row.Review != "PENDING" {
		return db.OptOut{}, false, &NotPendingError{Review: row.Review}
	}
	if _, err = t.ReviewOptOut(ctx, next); err != nil {
		return db.OptOut{}, false, fmt.Errorf("decide opt-out: %w", err)
	}
	if d.Dismiss {
		if err = t.withdraw(ctx, row); err != nil {
			return db.OptOut{}, false, fmt.Errorf("decide opt-out: %w", err)
		}
		_, err = t.ReopenChannel(ctx, db.ReopenChannelParams{Source: "person", Now: t.Now, WorkspaceID: d.Workspace, LeadID: row.LeadID, Channel: row.Channel})
		if err != nil {
			return db.OptOut{}, false, fmt.Errorf("decide opt-out: %w", err)
		}
	}
	row, err = t.OptOut(ctx, db.OptOutParams{WorkspaceID: d.Workspace, ID: d.ID})
	return row, true, err
}
