package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store/db"
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
		Source: optOutSources[f.Source], Rule: f.Evidence.Rule, MessageID: f.Evidence.Message, Review: "NONE", Push: "PENDING",
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
	if row.OptOutTime.IsZero() {
		row.OptOutTime = t.Now
	}
	n, err := t.InsertOptOut(ctx, row)
	if err == nil && n == 0 && !f.Evidence.Unclear {
		_, err = t.ConfirmUnclear(ctx, db.ConfirmUnclearParams{WorkspaceID: f.Workspace, LeadID: f.Lead, Channel: string(f.Channel)})
	}
	if err != nil {
		return fmt.Errorf("record opt-out: %w", err)
	}
	return nil
}
