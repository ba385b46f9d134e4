package jobs

import (
	"context"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
	"github.com/relance/relance/services/sync/internal/work"
)

type person struct {
	workspace, lead uuid.UUID
	created         bool
}

// effects are everything a webhook changes, in one transaction with its inbox row.
func (d Deps) effects(ctx context.Context, tx *store.Tx, in delivery) error {
	facts := in.event.Lead
	if in.truth != nil {
		facts = in.truth.Facts
	}
	facts = facts.Normal("")
	row, created, err := d.leadFor(ctx, tx, in, facts)
	if err != nil || row.ID == uuid.Nil {
		return err
	}
	who := person{workspace: in.workspace, lead: row.ID, created: created}
	if created {
		err := tx.Publish(ctx, store.Event{Type: store.EventCreated, Workspace: who.workspace, Lead: who.lead, At: happened(in)})
		if err != nil {
			return err
		}
	}
	if err := firstContact(ctx, tx, who); err != nil {
		return err
	}
	switch in.event.Kind {
	case webhook.Message:
		return d.message(ctx, tx, who, in)
	case webhook.DND:
		return doNotDisturb(ctx, tx, who, in)
	default:
		return nil
	}
}

// leadFor finds the lead, and makes one only for somebody who came to us: a new contact, a message from outside, a
// workflow's call. Other events of unknown contacts have no lead and no effect.
func (d Deps) leadFor(ctx context.Context, tx *store.Tx, in delivery, facts lead.Facts) (db.Lead, bool, error) {
	makes := in.inbox.Source == SourceWorkflow || in.event.Type == "ContactCreate" ||
		(in.event.Kind == webhook.Message && in.event.Inbound)
	if !makes {
		rows, err := tx.MatchLeads(ctx, db.MatchLeadsParams{WorkspaceID: in.workspace, GhlContactID: &facts.ContactID})
		if err != nil || len(rows) == 0 {
			return db.Lead{}, false, err
		}
	}
	return tx.UpsertLead(ctx, in.workspace, facts)
}

// firstContact starts the history import the first time a lead's webhook comes in.
func firstContact(ctx context.Context, tx *store.Tx, who person) error {
	if _, err := tx.Connection(ctx, who.workspace); err != nil {
		if postgres.IsNoRows(err) {
			return nil
		}
		return err
	}
	n, err := tx.EnsureImport(ctx, db.EnsureImportParams{WorkspaceID: who.workspace, LeadID: who.lead, Channel: string(sending.SMS)})
	if err != nil || n == 0 {
		return err
	}
	return tx.Enqueue(ctx, work.ImportHistory{
		Workspace: who.workspace.String(), Lead: who.lead.String(), Channel: string(sending.SMS),
	}, 0)
}
