package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/token"
	"github.com/relance/relance/services/sync/internal/webhook"
)

// errMessageAbsent says that a workflow told of a message that the provider does not show.
var errMessageAbsent = errors.New("the provider does not show the message")

// truthWait is how long a signed message waits for its writer's contact to be read: without it the lead has no name, but an
// opt-out must not wait for the end of an outage.
const truthWait = time.Minute

// readBack reads the contact where the webhook alone is not enough: a workflow's hint is not signed, a message names its
// writer by id only, and what a contact webhook tells may have changed again since. It reports false when the webhook was
// parked.
func (d Deps) readBack(ctx context.Context, in *delivery) (bool, error) {
	need, err := needsTruth(*in, d.knownContact(ctx, in.workspace))
	if err != nil || !need {
		return err == nil, err
	}
	hint := in.inbox.Source == string(webhook.Workflow)
	account, usable, err := d.account(ctx, in.workspace)
	if err != nil {
		return in.without(err)
	}
	if !usable {
		if hint {
			return false, d.park(ctx, *in, string(sending.ProviderNotConnected))
		}
		return true, nil
	}
	in.readAt = d.Clock.Now()
	contact, err := d.Client.Contact(ctx, account, in.event.Lead.ContactID)
	var failed *ghl.ReadError
	switch {
	case err == nil && (contact.Location == "" || contact.Location == account.Location):
		in.truth = &contact
		if hint && in.event.Kind == webhook.Message {
			err = d.findHinted(ctx, in, account)
		}
		return err == nil, err
	case err == nil, errors.As(err, &failed) && failed.NotFound():
		if hint {
			return false, d.park(ctx, *in, string(sending.ContactNotFound))
		}
		in.gone = true
		return true, nil
	case failed != nil && failed.Verdict.Class == classify.Suspended:
		if err := d.Store.SuspendConnection(ctx, in.workspace, account.Version, failed.Verdict.Refusal.Reason); err != nil || !hint {
			return err == nil, err
		}
		return false, d.park(ctx, *in, string(failed.Verdict.Refusal.Reason))
	default:
		return in.without(fmt.Errorf("read contact: %w", err))
	}
}

// without decides about a webhook whose contact cannot be read. A signed message that has waited is applied all the same: the
// next event of the lead reads the contact again.
func (in *delivery) without(err error) (proceed bool, _ error) {
	if in.event.Kind == webhook.Message && in.inbox.Source != string(webhook.Workflow) && in.age > truthWait {
		return true, nil
	}
	return false, err
}

// needsTruth tells whether the provider has to be read before an event is applied. What is known of a contact answers for it.
func needsTruth(in delivery, known func(contact string) (bool, error)) (bool, error) {
	if in.inbox.Source == string(webhook.Workflow) {
		return true, nil
	}
	switch in.event.Kind {
	case webhook.Contact, webhook.Deleted, webhook.DND, webhook.Tags:
		return true, nil
	case webhook.Message, webhook.Booked:
		if in.event.Lead.ContactID == "" || (in.event.Kind == webhook.Message && !in.event.Inbound) {
			return false, nil
		}
		yes, err := known(in.event.Lead.ContactID)
		return !yes, err
	default:
		return false, nil
	}
}

// knownContact tells whether a contact's lead can be reached, so that nothing has to be read of it.
func (d Deps) knownContact(ctx context.Context, workspace uuid.UUID) func(string) (bool, error) {
	return func(contact string) (known bool, err error) {
		err = d.Store.Workspace(ctx, workspace, func(tx *store.Tx) error {
			rows, err := tx.KnownContacts(ctx, db.KnownContactsParams{WorkspaceID: workspace, Contacts: []string{contact}})
			known = len(rows) > 0
			return err
		})
		if err != nil {
			return false, fmt.Errorf("look for lead: %w", err)
		}
		return known, nil
	}
}

// lookAtAccess finds out whether the connection works after the app was installed or removed, or the location changed:
// the event is a hint, since a private integration token outlives the app, and an older UNINSTALL may come after a newer INSTALL.
func (d Deps) lookAtAccess(ctx context.Context, in delivery) error {
	workspace := in.workspace
	if in.event.Type == eventInstall {
		if err := d.access(ctx, in, token.AppInstalled); err != nil {
			return err
		}
	}
	account, state, err := d.Accounts.Account(ctx, workspace)
	if errors.Is(err, token.ErrNone) || state == sending.ReconnectNeeded {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at connection: %w", err)
	}
	err = d.Client.Probe(ctx, account)
	if errors.Is(err, token.ErrNotReady) {
		// The token was called expired, and no other could be had.
		if _, state, _ = d.Accounts.Account(ctx, workspace); state == sending.ReconnectNeeded {
			return nil
		}
	}
	var failed *ghl.ReadError
	switch {
	case err == nil:
		err = d.Store.Workspace(ctx, workspace, func(tx *store.Tx) error {
			_, err := tx.SetConnectionState(ctx, db.SetConnectionStateParams{State: string(sending.Connected), Now: tx.Now, WorkspaceID: workspace})
			return err
		})
	case errors.As(err, &failed) && failed.Verdict.Class == classify.Suspended:
		if err := d.Store.SuspendConnection(ctx, workspace, account.Version, failed.Verdict.Refusal.Reason); err != nil || in.event.Type != eventUninstall {
			return err
		}
		return d.access(ctx, in, token.AppUninstalled)
	}
	if err != nil {
		return fmt.Errorf("look at connection: %w", err)
	}
	return nil
}

// Events of the app's installs.
const (
	eventInstall   = "INSTALL"
	eventUninstall = "UNINSTALL"
)

func (d Deps) access(ctx context.Context, in delivery, change func(context.Context, *store.Tx, string) (bool, error)) error {
	return d.Store.System(ctx, func(tx *store.Tx) error {
		_, err := change(ctx, tx, in.inbox.Location)
		return err
	})
}
