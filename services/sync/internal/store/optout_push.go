package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

// noContact is the push's error while the lead has no contact at the provider. It is no failure: the push waits for one.
const noContact = "NO_CONTACT"

// PushLease is how long an attempt to tell the provider may take before another is made: longer than any attempt does.
const PushLease = 2 * time.Minute

// planPush says whether the provider has to be told of a new opt-out. What it told itself, it knows.
func (t *Tx) planPush(row *db.InsertOptOutParams, who db.Lead) {
	switch {
	case row.Source == "provider_dnd":
		row.Push = "NOT_NEEDED"
	case who.GhlContactID == nil:
		row.Push, row.PushError = "PENDING", noContact
	default:
		row.Push, row.PushNextTime = "PENDING", &t.Now
	}
}

// withdraw takes back what the provider was told of an opt-out that is lifted. The caller holds the lead's lock.
func (t *Tx) withdraw(ctx context.Context, row db.OptOut) error {
	if row.Push == "NOT_NEEDED" {
		return nil
	}
	err := t.StartWithdraw(ctx, db.StartWithdrawParams{Now: t.Now, Lease: t.Now.Add(PushLease), WorkspaceID: row.WorkspaceID, ID: row.ID})
	if err == nil {
		err = t.Enqueue(ctx, work.PushOptOut{Workspace: row.WorkspaceID.String(), OptOut: row.ID.String()}, 0)
	}
	if err != nil {
		return fmt.Errorf("withdraw opt-out: %w", err)
	}
	return nil
}

// RetryPush begins a push anew that was given up, and reports whether it was. It answers no rows for an unknown opt-out.
func (t *Tx) RetryPush(ctx context.Context, workspace, id uuid.UUID) (db.OptOut, bool, error) {
	n, err := t.Queries.RetryPush(ctx, db.RetryPushParams{Now: t.Now, WorkspaceID: workspace, ID: id})
	if err == nil && n > 0 {
		err = t.Enqueue(ctx, work.PushOptOut{Workspace: workspace.String(), OptOut: id.String()}, 0)
	}
	if err != nil {
		return db.OptOut{}, false, fmt.Errorf("retry push: %w", err)
	}
	row, err := t.OptOut(ctx, db.OptOutParams{WorkspaceID: workspace, ID: id})
	return row, n > 0, err
}

// retell tells the opt-outs of a lead at the contact that it is linked to now.
func (t *Tx) retell(ctx context.Context, workspace, lead uuid.UUID) error {
	ids, err := t.RependPushes(ctx, db.RependPushesParams{Now: t.Now, WorkspaceID: workspace, LeadID: lead})
	for _, id := range ids {
		if err == nil {
			err = t.Enqueue(ctx, work.PushOptOut{Workspace: workspace.String(), OptOut: id.String()}, 0)
		}
	}
	if err != nil {
		return fmt.Errorf("retell opt-outs: %w", err)
	}
	return nil
}

// InboundDND says whether the provider keeps a lead's messages from us.
type InboundDND struct {
	On bool
	// Source is contact_read.
	Source string
	// At is the provider's time.
	At time.Time
}

// SetInboundDND records it; told again it changes nothing.
func (t *Tx) SetInboundDND(ctx context.Context, workspace, lead uuid.UUID, d InboundDND) error {
	row := db.SetInboundDNDParams{Now: t.Now, WorkspaceID: workspace, ID: lead}
	if d.On {
		row.Since, row.Source = &d.At, d.Source
	}
	if _, err := t.Queries.SetInboundDND(ctx, row); err != nil {
		return fmt.Errorf("record inbound do-not-disturb: %w", err)
	}
	return nil
}
