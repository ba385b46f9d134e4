package sender

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/legal"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

// Confirmation names an opt-out of texts that was just recorded.
type Confirmation struct {
	Workspace, Lead uuid.UUID
	// At is when the lead said it.
	At time.Time
}

// Confirm plans the one text that confirms an opt-out, in the transaction that records it, when the workspace has words for
// it. Its request id is made of the opt-out's, so that an opt-out has one however often it is asked for. It expires with the
// time that the law gives it, and an unknown outcome is never tried again: twice would be worse than none.
func (s *Sender) Confirm(ctx context.Context, tx *store.Tx, c Confirmation) error {
	w, err := tx.OneWorkspace(ctx, c.Workspace)
	if err != nil {
		return fmt.Errorf("confirm opt-out: %w", err)
	}
	said := c.At
	if said.After(tx.Now) {
		said = tx.Now // by a provider's clock that is ahead
	}
	expire := said.Add(legal.ConfirmWithin)
	if w.OptOutConfirmation == "" || !expire.After(tx.Now) {
		return nil
	}
	o, err := tx.ActiveOptOut(ctx, db.ActiveOptOutParams{WorkspaceID: c.Workspace, LeadID: c.Lead, Channel: string(sending.SMS)})
	if err != nil {
		return fmt.Errorf("confirm opt-out: %w", err)
	}
	if o.ConfirmationID != nil {
		return nil
	}
	id, err := s.insert(ctx, tx, Request{
		Workspace: c.Workspace, Lead: c.Lead, Channel: sending.SMS, RequestID: uuid.NewSHA1(o.ID, []byte("opt-out confirmation")),
		Content: sending.Content{Body: w.OptOutConfirmation}, Expire: &expire, Policy: sending.Hold, Purpose: legal.Confirmation, via: provider.GHL,
	})
	if err == nil {
		err = tx.SetConfirmation(ctx, db.SetConfirmationParams{Confirmation: id, WorkspaceID: c.Workspace, ID: o.ID})
	}
	if err == nil {
		err = tx.Enqueue(ctx, work.ResumeSend{Workspace: c.Workspace.String(), Intent: id.String()}, 0)
	}
	if err != nil {
		return fmt.Errorf("confirm opt-out: %w", err)
	}
	return nil
}
