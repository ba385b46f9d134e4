package jobs

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/secretbox"
	"github.com/relance/relance/services/sync/internal/crashpoint"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
	"github.com/relance/relance/services/sync/internal/work"
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
	// found are the messages that a workflow's hint led to.
	found []ghl.HistoryMessage
}

const (
	// patience is how long a webhook waits for a provider that cannot be read before it is parked.
	patience = 24 * time.Hour
	// sweepAge is how old a webhook is whose job must have been lost.
	sweepAge  = 15 * time.Minute
	sweepPage = 500
)

// errPanic is what is told of a panic; its value may hold what a person wrote.
var errPanic = errors.New("processing panicked")

// processWebhook applies a stored webhook once. What fails on every attempt is parked; a provider that is away uses up no
// attempt.
func (d Deps) processWebhook(ctx context.Context, job *river.Job[work.ProcessWebhook]) error {
	id, err := uuid.Parse(job.Args.Inbox)
	if err != nil {
		return river.JobCancel(fmt.Errorf("process webhook: %w", err))
	}
	in, ok, err := d.load(ctx, id)
	if err != nil || !ok {
		return err
	}
	in.age = clock.System().Now().Sub(job.CreatedAt)
	err = d.guarded(ctx, in)
	if err == nil {
		return nil
	}
	if away(err) && in.age < patience {
		return river.JobSnooze(min(max(in.age/4, 2*time.Second), 5*time.Minute))
	}
	if job.Attempt < job.MaxAttempts && !away(err) {
		return err
	}
	d.Logger.ErrorContext(ctx, "webhook parked", "inbox", job.Args.Inbox, "event_type", in.event.Type, "error", err)
	return d.park(ctx, in, parkReason(err))
}

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

// away tells whether the provider could not be read for a reason that passes.
func away(err error) bool {
	var failed *ghl.ReadError
	return errors.As(err, &failed) && (failed.Status == 0 || failed.Status == 429 || failed.Status >= 500)
}

func parkReason(err error) string {
	var failed *ghl.ReadError
	switch {
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

// sweepWebhooks queues what was stored long ago and never finished.
func (d Deps) sweepWebhooks(ctx context.Context) error {
	err := d.Store.System(ctx, func(tx *store.Tx) error {
		ids, err := tx.SweepInbox(ctx, db.SweepInboxParams{Now: tx.Now, Before: tx.Now.Add(-sweepAge), Page: sweepPage})
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := tx.Enqueue(ctx, work.ProcessWebhook{Inbox: id.String()}, 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sweep webhooks: %w", err)
	}
	return nil
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
	in.event, err = webhook.Parse(webhook.Delivery{
		Source: webhook.Source(in.inbox.Source), Body: []byte(raw), Workspace: in.workspace.String(), Received: in.inbox.CreateTime,
	})
	if err != nil {
		return in, false, d.park(ctx, in, "BODY_UNREADABLE")
	}
	return in, true, nil
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
