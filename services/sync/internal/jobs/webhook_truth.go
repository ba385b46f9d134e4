package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
)

// readBack reads the contact where the webhook alone is not enough: a workflow's hint is not signed, a message names its
// writer by id only, and do-not-disturb may have changed again since. It reports false when the webhook was parked.
func (d Deps) readBack(ctx context.Context, in *delivery) (bool, error) {
	need, err := d.needsTruth(ctx, *in)
	if err != nil || !need {
		return err == nil, err
	}
	account, usable, err := d.account(ctx, in.workspace)
	if err != nil || !usable {
		return err == nil, err
	}
	contact, err := d.Client.Contact(ctx, account, in.event.Lead.ContactID)
	var failed *ghl.ReadError
	switch {
	case err == nil && (contact.Location == "" || contact.Location == account.Location):
		in.truth = &contact
		return true, nil
	case err == nil, errors.As(err, &failed) && failed.NotFound():
		if in.inbox.Source == SourceWorkflow {
			return false, d.park(ctx, *in, string(sending.ContactNotFound))
		}
		return true, nil
	case failed != nil && failed.Verdict.Class == classify.Suspended:
		return true, d.suspend(ctx, in.workspace, failed.Verdict.Refusal.Reason)
	default:
		return false, fmt.Errorf("read contact: %w", err)
	}
}

func (d Deps) needsTruth(ctx context.Context, in delivery) (bool, error) {
	if in.inbox.Source == SourceWorkflow || in.event.Kind == webhook.DND {
		return true, nil
	}
	if in.event.Kind != webhook.Message || !in.event.Inbound {
		return false, nil
	}
	known := false
	err := d.Store.Workspace(ctx, in.workspace, func(tx *store.Tx) error {
		rows, err := tx.MatchLeads(ctx, db.MatchLeadsParams{WorkspaceID: in.workspace, GhlContactID: &in.event.Lead.ContactID})
		known = len(rows) > 0 && (rows[0].Phone != nil || rows[0].Email != nil)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for lead: %w", err)
	}
	return !known, nil
}

// suspend records that the connection cannot be used.
func (d Deps) suspend(ctx context.Context, workspace uuid.UUID, reason sending.Reason) error {
	state := sending.AuthRevoked
	if reason == sending.LocationInactive {
		state = sending.Inactive
	}
	err := d.Store.Workspace(ctx, workspace, func(tx *store.Tx) error {
		_, err := tx.SetConnectionState(ctx, db.SetConnectionStateParams{State: string(state), Now: tx.Now, WorkspaceID: workspace})
		return err
	})
	if err != nil {
		return fmt.Errorf("suspend connection: %w", err)
	}
	return nil
}
