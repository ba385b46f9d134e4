package jobs

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/crashpoint"
	"github.com/relance/relance/services/sync/internal/inbox"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
)

// page are a workspace's webhooks on their way to one commit.
type page struct {
	rows []db.WebhookInbox
	// known are the contacts of whom nothing has to be read; true for those whose history is imported.
	known map[string]bool
	// done and ignored are applied; alone need the provider, or are not understood.
	done, ignored, alone []uuid.UUID
}

// together applies the next webhooks of a workspace that need nothing but the database, in one commit, and puts the others
// aside. If the commit fails for one of them, each is tried alone: the short way decides nothing.
func (d Deps) together(ctx context.Context, workspace uuid.UUID) (int, error) {
	var p page
	err := d.Store.Workspace(ctx, workspace, func(tx *store.Tx) error {
		p = page{}
		locked, err := tx.TryInboxLock(ctx, workspace)
		if err != nil || !locked {
			return err
		}
		if p.rows, err = tx.TakeInboxes(ctx, db.TakeInboxesParams{WorkspaceID: workspace, Page: inbox.Page}); err != nil || len(p.rows) == 0 {
			return err
		}
		if err := d.applyPage(ctx, tx, workspace, &p); err != nil {
			return err
		}
		return p.close(ctx, tx)
	})
	if err == nil || len(p.rows) == 0 || ctx.Err() != nil || postgres.IsUnavailable(err) {
		return len(p.rows), err
	}
	d.Logger.WarnContext(ctx, "webhooks not applied together; each is tried alone", "webhooks", len(p.rows), "error", err)
	apart := page{}
	for _, row := range p.rows {
		apart.alone = append(apart.alone, row.ID)
	}
	return len(p.rows), d.Store.Workspace(ctx, workspace, func(tx *store.Tx) error { return apart.close(ctx, tx) })
}

func (d Deps) applyPage(ctx context.Context, tx *store.Tx, workspace uuid.UUID, p *page) error {
	list, contacts := []delivery{}, []string{}
	for _, row := range p.rows {
		in, err := d.opened(row)
		if err != nil || in.event.Kind == webhook.Access {
			p.alone = append(p.alone, row.ID)
			continue
		}
		list, contacts = append(list, in), append(contacts, in.event.Lead.ContactID)
	}
	known, err := tx.KnownContacts(ctx, db.KnownContactsParams{WorkspaceID: workspace, Contacts: contacts})
	if err != nil {
		return fmt.Errorf("look for leads: %w", err)
	}
	p.known = map[string]bool{}
	for _, row := range known {
		p.known[row.ContactID] = row.Imported
	}
	for _, in := range list {
		in.imported = p.known[in.event.Lead.ContactID]
		if err := d.applyOne(ctx, tx, in, p); err != nil {
			return err
		}
	}
	return nil
}

// applyOne applies a webhook of the page, or puts it aside. A panic is an error like any other.
func (d Deps) applyOne(ctx context.Context, tx *store.Tx, in delivery, p *page) (err error) {
	defer func() {
		if recover() != nil {
			d.Logger.ErrorContext(ctx, "webhook processing panicked", "inbox", in.inbox.ID.String(), "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	read, err := needsTruth(in, func(contact string) (bool, error) {
		_, known := p.known[contact]
		return known, nil
	})
	switch {
	case err != nil:
		return err
	case read:
		p.alone = append(p.alone, in.inbox.ID)
		return nil
	case in.event.Kind == webhook.Ignored:
		p.ignored = append(p.ignored, in.inbox.ID)
		return nil
	}
	p.done = append(p.done, in.inbox.ID)
	return d.effects(ctx, tx, in)
}

// close writes down what became of the page's webhooks.
func (p *page) close(ctx context.Context, tx *store.Tx) error {
	if len(p.alone) > 0 {
		if err := tx.PutAlone(ctx, p.alone); err != nil {
			return fmt.Errorf("put webhooks aside: %w", err)
		}
	}
	for state, ids := range map[string][]uuid.UUID{"PROCESSED": p.done, "IGNORED": p.ignored} {
		if len(ids) == 0 {
			continue
		}
		if err := tx.CloseInboxes(ctx, db.CloseInboxesParams{State: state, Now: tx.Now, Ids: ids}); err != nil {
			return fmt.Errorf("close webhooks: %w", err)
		}
	}
	if len(p.done) > 0 {
		crashpoint.At(crashpoint.H4)
	}
	return nil
}
