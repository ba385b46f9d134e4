package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/secretbox"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
)

// Sources of webhooks as stored.
const (
	SourceMarketplace = "marketplace"
	SourceWorkflow    = "workflow"
)

// BodyPlace is where a webhook's raw body is sealed.
func BodyPlace(inbox uuid.UUID) secretbox.AD {
	return secretbox.AD{Table: "webhook_inbox", Column: "body", ID: inbox.String()}
}

// delivery is a stored webhook on its way to its effects.
type delivery struct {
	inbox     db.WebhookInbox
	workspace uuid.UUID
	event     webhook.Event
	// truth is the contact as read back from the provider, nil when it was not read.
	truth *ghl.Contact
}

// processWebhook applies a stored webhook once. last says that no attempt follows, so that a failure parks it.
func (d Deps) processWebhook(ctx context.Context, inbox string, last bool) error {
	id, err := uuid.Parse(inbox)
	if err != nil {
		return fmt.Errorf("process webhook: %w", err)
	}
	in, ok, err := d.load(ctx, id)
	if err != nil || !ok {
		return err
	}
	err = d.apply(ctx, in)
	if err == nil || !last {
		return err
	}
	d.Logger.ErrorContext(ctx, "webhook parked", "inbox", inbox, "event_type", in.event.Type, "error", err)
	return d.park(ctx, in, "PROCESSING_FAILED")
}

func (d Deps) load(ctx context.Context, id uuid.UUID) (delivery, bool, error) {
	var in delivery
	err := d.Store.System(ctx, func(tx *store.Tx) (err error) {
		in.inbox, err = tx.Inbox(ctx, id)
		return err
	})
	if err != nil {
		return in, false, fmt.Errorf("load webhook: %w", err)
	}
	if in.inbox.State != "PENDING" || in.inbox.WorkspaceID == nil {
		return in, false, nil
	}
	in.workspace = *in.inbox.WorkspaceID
	raw, err := d.Store.Open(in.inbox.BodyEnc, BodyPlace(id))
	if err != nil {
		return in, false, err
	}
	if in.inbox.Source == SourceWorkflow {
		in.event, err = webhook.ParseWorkflow([]byte(raw), in.workspace.String(), in.inbox.CreateTime)
	} else {
		in.event, err = webhook.ParseMarketplace([]byte(raw))
	}
	if err != nil {
		return in, false, d.park(ctx, in, "BODY_UNREADABLE")
	}
	return in, true, nil
}

func (d Deps) apply(ctx context.Context, in delivery) error {
	proceed, err := d.readBack(ctx, &in)
	if err != nil || !proceed {
		return err
	}
	err = d.Store.Workspace(ctx, in.workspace, func(tx *store.Tx) error {
		row, err := tx.LockInbox(ctx, in.inbox.ID)
		if err != nil || row.State != "PENDING" {
			return err
		}
		if err := d.effects(ctx, tx, in); err != nil {
			return err
		}
		_, err = tx.CloseInbox(ctx, db.CloseInboxParams{State: "PROCESSED", Now: &tx.Now, ID: in.inbox.ID})
		return err
	})
	if err != nil {
		return fmt.Errorf("apply webhook: %w", err)
	}
	return nil
}

func (d Deps) park(ctx context.Context, in delivery, reason string) error {
	err := d.Store.System(ctx, func(tx *store.Tx) error {
		_, err := tx.CloseInbox(ctx, db.CloseInboxParams{State: "PARKED", ErrorReason: reason, Now: &tx.Now, ID: in.inbox.ID})
		return err
	})
	if err != nil {
		return fmt.Errorf("park webhook: %w", err)
	}
	return nil
}

func happened(in delivery) time.Time {
	switch {
	case !in.event.MessageTime.IsZero():
		return in.event.MessageTime
	case !in.event.Timestamp.IsZero():
		return in.event.Timestamp
	default:
		return in.inbox.CreateTime
	}
}
