package jobs

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/secretbox"
	"github.com/relance/relance/services/sync/internal/crashpoint"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/token"
	"github.com/relance/relance/services/sync/internal/webhook"
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
	// age is how long ago it was first queued.
	age time.Duration
	// truth is the contact as read back from the provider, nil when it was not read.
	truth *ghl.Contact
	// readAt is when it was read; gone says that the provider does not have it.
	readAt time.Time
	gone   bool
	// imported says that the import of the lead's history was begun before.
	imported bool
	// found are the messages that a workflow's hint led to.
	found []ghl.HistoryMessage
}

const (
	// patience is how long a webhook waits for a provider that cannot be read before it is parked.
	patience = 24 * time.Hour
)

// errPanic is what is told of a panic; its value may hold what a person wrote.
var errPanic = errors.New("processing panicked")

// guarded applies a webhook; a panic is an error like any other, so that it ends parked and not in a loop.
func (d Deps) guarded(ctx context.Context, in delivery) (err error) {
	defer func() {
		if recover() != nil {
			d.Logger.ErrorContext(ctx, "webhook processing panicked", "inbox", in.inbox.ID.String(), "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	return d.apply(ctx, in)
}

// away tells whether the provider could not be read, no token could be had, or the database did not answer: for a reason that
// passes. It says nothing about the webhook.
func away(err error) bool {
	var failed *ghl.ReadError
	if errors.As(err, &failed) {
		return failed.Status == 0 || failed.Status == 429 || failed.Status >= 500
	}
	return errors.Is(err, token.ErrNotReady) || errors.Is(err, store.ErrContended) || postgres.IsUnavailable(err) || postgres.IsRetryable(err)
}

func parkReason(err error) string {
	var failed *ghl.ReadError
	switch {
	case errors.Is(err, errUnreadable):
		return "BODY_UNREADABLE"
	case errors.Is(err, errPanic):
		return "PROCESSING_PANICKED"
	case errors.Is(err, errMessageAbsent):
		return "MESSAGE_NOT_FOUND"
	case errors.As(err, &failed):
		return "PROVIDER_READ_FAILED"
	default:
		return "PROCESSING_FAILED"
	}
}

// errUnreadable says that a body was opened, and is none.
var errUnreadable = errors.New("the body cannot be read")

// opened reads a stored webhook.
func (d Deps) opened(row db.WebhookInbox) (delivery, error) {
	in := delivery{inbox: row, workspace: store.Deref(row.WorkspaceID), age: clock.System().Now().Sub(row.QueueTime)}
	raw, err := d.Store.Open(row.BodyEnc, BodyPlace(row.ID))
	if err != nil {
		return in, err
	}
	in.event, err = webhook.Parse(webhook.Delivery{
		Source: webhook.Source(row.Source), Body: []byte(raw), Workspace: in.workspace.String(), Received: row.CreateTime,
	})
	if err != nil {
		return in, errUnreadable
	}
	return in, nil
}

func (d Deps) apply(ctx context.Context, in delivery) error {
	if in.event.Kind == webhook.Access {
		if err := d.lookAtAccess(ctx, in); err != nil {
			return err
		}
	} else if proceed, err := d.readBack(ctx, &in); err != nil || !proceed {
		if errors.Is(err, errMessageAbsent) {
			err = errors.Join(err, d.contactOnly(ctx, in))
		}
		return err
	}
	err := d.Store.Workspace(ctx, in.workspace, func(tx *store.Tx) error {
		row, err := tx.LockInbox(ctx, in.inbox.ID)
		if err != nil || row.State != "PENDING" {
			return err
		}
		if err := d.effects(ctx, tx, in); err != nil {
			return err
		}
		done := "PROCESSED"
		if in.event.Kind == webhook.Ignored {
			done = "IGNORED"
		}
		_, err = tx.CloseInbox(ctx, db.CloseInboxParams{State: done, Now: &tx.Now, ID: in.inbox.ID})
		crashpoint.At(crashpoint.H4)
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
