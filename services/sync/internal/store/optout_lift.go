package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// byLead is who lifted an opt-out when its lead did, by the key word of its carrier.
const byLead = "lead"

// Lift says who lifts an opt-out and why. A program has neither.
type Lift struct {
	Workspace, ID uuid.UUID
	// By is the principal, Reason what they gave.
	By, Reason string
	// message is the lead's own, when it asked itself.
	message *uuid.UUID
}

// LiftOptOut ends an opt-out, opens its channel and takes back what the provider was told, and reports whether that changed
// anything. One that was lifted before stays as it was lifted. It answers no rows for an unknown opt-out.
func (t *Tx) LiftOptOut(ctx context.Context, l Lift) (db.OptOut, bool, error) {
	row, err := t.OptOut(ctx, db.OptOutParams{WorkspaceID: l.Workspace, ID: l.ID})
	if err != nil {
		return db.OptOut{}, false, fmt.Errorf("lift opt-out: %w", err)
	}
	if _, err = t.LockLead(ctx, db.LockLeadParams{WorkspaceID: l.Workspace, ID: row.LeadID}); err != nil {
		return db.OptOut{}, false, fmt.Errorf("lift opt-out: %w", err)
	}
	if row, err = t.LockOptOut(ctx, db.LockOptOutParams{WorkspaceID: l.Workspace, ID: l.ID}); err != nil {
		return db.OptOut{}, false, fmt.Errorf("lift opt-out: %w", err)
	}
	if row.State != "ACTIVE" {
		return row, false, nil
	}
	if err := t.lift(ctx, row, l); err != nil {
		return db.OptOut{}, false, fmt.Errorf("lift opt-out: %w", err)
	}
	row, err = t.OptOut(ctx, db.OptOutParams{WorkspaceID: l.Workspace, ID: l.ID})
	return row, true, err
}

func (t *Tx) lift(ctx context.Context, row db.OptOut, l Lift) error {
	_, err := t.Queries.LiftOptOut(ctx, db.LiftOptOutParams{
		LiftedBy: l.By, Reason: l.Reason, Now: &t.Now, MessageID: l.message, WorkspaceID: row.WorkspaceID, ID: row.ID,
	})
	if err != nil {
		return err
	}
	if err := t.withdraw(ctx, row); err != nil {
		return err
	}
	source := "person"
	if l.By == byLead {
		source = byLead
	}
	_, err = t.ReopenChannel(ctx, db.ReopenChannelParams{
		Source: source, Now: t.Now, WorkspaceID: row.WorkspaceID, LeadID: row.LeadID, Channel: row.Channel,
	})
	return err
}

// Rejoined is a lead's own word that it wants to be written to again.
type Rejoined struct {
	Workspace, Lead, Message uuid.UUID
	Channel                  sending.Channel
	// At is when the lead said it: an opt-out of later stays.
	At time.Time
}

// Rejoin lifts the lead's own opt-out of a channel, and reports whether there was one. The caller holds the lead's lock. An
// opt-out that another lead left on the number stays.
func (t *Tx) Rejoin(ctx context.Context, r Rejoined) (bool, error) {
	row, err := t.ActiveOptOut(ctx, db.ActiveOptOutParams{WorkspaceID: r.Workspace, LeadID: r.Lead, Channel: string(r.Channel)})
	if postgres.IsNoRows(err) || (err == nil && !row.OptOutTime.Before(r.At)) {
		return false, nil
	}
	if err == nil {
		err = t.lift(ctx, row, Lift{By: byLead, message: &r.Message})
	}
	if err != nil {
		return false, fmt.Errorf("rejoin: %w", err)
	}
	return true, nil
}
