package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/work"
)

// contactGone reads a contact that a refused send called gone. When the provider does not have it any more, the lead has no contact: what
// is due is refused without a call, and whoever asks for the contact finds the one that it was merged into. A refusal alone would not
// do: one wrong word of the provider would cost a lead its contact.
func (d Deps) contactGone(ctx context.Context, args work.ContactGone) error {
	workspace, id, err := ids(args.Workspace, args.Lead)
	if err != nil {
		return err
	}
	account, usable, err := d.account(ctx, workspace)
	if err != nil || !usable {
		return err
	}
	_, err = d.Client.Contact(ctx, account, args.Contact)
	var failed *ghl.ReadError
	if !errors.As(err, &failed) || !failed.NotFound() {
		return err
	}
	err = d.Store.Workspace(ctx, workspace, func(tx *store.Tx) error {
		lost, err := tx.LoseContact(ctx, workspace, args.Contact)
		if err != nil || !lost {
			return err
		}
		return tx.Publish(ctx, store.Event{Type: store.EventUpdated, Workspace: workspace, Lead: id, At: tx.Now})
	})
	if err != nil {
		return fmt.Errorf("lose contact: %w", err)
	}
	return nil
}
