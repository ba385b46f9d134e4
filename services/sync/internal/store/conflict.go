package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Resolutions of a conflict, as stored.
const (
	// Kept leaves the identity where it is.
	Kept = "KEPT"
	// Moved gives it to the other lead.
	Moved = "MOVED"
)

// ErrConflictSettled says that a conflict was decided otherwise, or that the identity is where it was not.
var ErrConflictSettled = errors.New("the conflict is settled")

// identify keeps what matching found beside the lead itself: its other addresses, and whoever else holds what was said.
func (t *Tx) identify(ctx context.Context, workspace, id uuid.UUID, said person) error {
	if fresh := lead.Unknown(said.Facts, said.alternates, said.stored); len(fresh) > 0 {
		err := t.InsertLeadEmails(ctx, db.InsertLeadEmailsParams{WorkspaceID: workspace, LeadID: id, Addresses: fresh})
		if err != nil {
			return fmt.Errorf("keep addresses: %w", err)
		}
	}
	for _, c := range lead.Conflicts(said.Facts, said.alternates, id.String(), said.stored) {
		if err := t.keepConflict(ctx, workspace, id, c); err != nil {
			return err
		}
	}
	return nil
}

// keepConflict records for a person that what was said of a lead is held by another.
func (t *Tx) keepConflict(ctx context.Context, workspace, id uuid.UUID, c lead.Conflict) error {
	conflict, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("keep conflict: %w", err)
	}
	err = t.InsertConflict(ctx, db.InsertConflictParams{
		WorkspaceID: workspace, ID: conflict, LeadID: id, HolderID: uuid.MustParse(c.Holder), Key: c.Key, Value: c.Value, Now: t.Now,
	})
	if err != nil {
		return fmt.Errorf("keep conflict: %w", err)
	}
	return nil
}

// Resolution is a person's decision about a conflict.
type Resolution struct {
	Workspace, ID uuid.UUID
	// Move gives the identity to the lead; otherwise it stays with its holder.
	Move             bool
	Resolver, Reason string
}

// ResolveConflict records the decision and carries it out, and reports whether that changed anything. It answers no rows for
// an unknown conflict, and ErrConflictSettled.
func (t *Tx) ResolveConflict(ctx context.Context, r Resolution) (db.LeadConflict, bool, error) {
	row, err := t.Conflict(ctx, db.ConflictParams{WorkspaceID: r.Workspace, ID: r.ID})
	if err != nil {
		return row, false, fmt.Errorf("resolve conflict: %w", err)
	}
	if err := t.lockBoth(ctx, row); err != nil {
		return row, false, err
	}
	if row, err = t.LockConflict(ctx, db.LockConflictParams{WorkspaceID: r.Workspace, ID: r.ID}); err != nil {
		return row, false, fmt.Errorf("resolve conflict: %w", err)
	}
	resolution := Kept
	if r.Move {
		resolution = Moved
	}
	switch row.Resolution {
	case resolution:
		return row, false, nil
	case "":
	default:
		return row, false, ErrConflictSettled
	}
	if r.Move {
		if err := t.moveIdentity(ctx, row); err != nil {
			return row, false, err
		}
	}
	err = t.Queries.ResolveConflict(ctx, db.ResolveConflictParams{
		Resolution: resolution, Resolver: r.Resolver, Reason: r.Reason, Now: &t.Now, WorkspaceID: r.Workspace, ID: r.ID,
	})
	if err != nil {
		return row, false, fmt.Errorf("resolve conflict: %w", err)
	}
	row, err = t.Conflict(ctx, db.ConflictParams{WorkspaceID: r.Workspace, ID: r.ID})
	return row, true, err
}

// lockBoth locks the two leads in the order that matching does.
func (t *Tx) lockBoth(ctx context.Context, row db.LeadConflict) error {
	first, second := row.LeadID, row.HolderID
	if second.String() < first.String() {
		first, second = second, first
	}
	for _, id := range []uuid.UUID{first, second} {
		if _, err := t.LockLead(ctx, db.LockLeadParams{WorkspaceID: row.WorkspaceID, ID: id}); err != nil {
			return fmt.Errorf("lock leads: %w", err)
		}
	}
	return nil
}

// moveIdentity takes an address or a number from its holder and gives it to the lead. A lead that has an address of its own
// keeps it, and gets the other beside it; it has one number only. Opt-outs of the address or number follow it.
func (t *Tx) moveIdentity(ctx context.Context, row db.LeadConflict) error {
	who, err := t.Lead(ctx, db.LeadParams{WorkspaceID: row.WorkspaceID, ID: row.LeadID})
	if err != nil {
		return fmt.Errorf("move identity: %w", err)
	}
	var n int64
	if row.Key == "phone" {
		n, err = t.ClearPhone(ctx, db.ClearPhoneParams{Now: t.Now, WorkspaceID: row.WorkspaceID, ID: row.HolderID, Phone: row.Value})
		if err == nil && n > 0 {
			err = t.GivePhone(ctx, db.GivePhoneParams{Phone: row.Value, Now: t.Now, WorkspaceID: row.WorkspaceID, ID: row.LeadID})
		}
	} else {
		n, err = t.takeEmail(ctx, row)
		switch {
		case err != nil || n == 0:
		case who.Email == nil:
			err = t.GiveEmail(ctx, db.GiveEmailParams{Email: row.Value, Now: t.Now, WorkspaceID: row.WorkspaceID, ID: row.LeadID})
		default:
			err = t.InsertLeadEmails(ctx, db.InsertLeadEmailsParams{WorkspaceID: row.WorkspaceID, LeadID: row.LeadID, Addresses: []string{row.Value}})
		}
	}
	if err != nil {
		return fmt.Errorf("move identity: %w", err)
	}
	if n == 0 {
		return ErrConflictSettled
	}
	return nil
}

// takeEmail takes an address from its holder, whether it is its own or one of its others.
func (t *Tx) takeEmail(ctx context.Context, row db.LeadConflict) (int64, error) {
	n, err := t.ClearEmail(ctx, db.ClearEmailParams{Now: t.Now, WorkspaceID: row.WorkspaceID, ID: row.HolderID, Email: row.Value})
	if err != nil || n > 0 {
		return n, err
	}
	return t.DropEmail(ctx, db.DropEmailParams{WorkspaceID: row.WorkspaceID, LeadID: row.HolderID, Email: row.Value})
}
