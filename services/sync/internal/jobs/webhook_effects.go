package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/contact"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
)

// person is the lead that an event is about.
type person struct {
	workspace, lead uuid.UUID
	created         bool
	// message is the message that is worked on, Nil for none.
	message uuid.UUID
}

// known is the person as package contact has it.
func (p person) known() contact.Who {
	return contact.Who{Workspace: p.workspace, Lead: p.lead, Created: p.created}
}

func (p person) event(kind string, at time.Time) store.Event {
	return store.Event{Type: kind, Workspace: p.workspace, Lead: p.lead, At: at}
}

// effects are everything a webhook changes, in one transaction with its inbox row.
func (d Deps) effects(ctx context.Context, tx *store.Tx, in delivery) error {
	if in.event.Kind == webhook.Ignored || in.event.Kind == webhook.Access {
		return nil
	}
	row, created, err := leadFor(ctx, tx, in)
	if err != nil || row.ID == uuid.Nil {
		return err
	}
	who := person{workspace: in.workspace, lead: row.ID, created: created}
	if created {
		if err := tx.Publish(ctx, who.event(store.EventCreated, happened(in))); err != nil {
			return err
		}
	}
	if row.GhlContactID != nil && !in.imported {
		if err := contact.FirstContact(ctx, tx, who.known()); err != nil {
			return err
		}
	}
	if err := takeTruth(ctx, tx, who, in); err != nil {
		return err
	}
	switch in.event.Kind {
	case webhook.Message:
		if in.inbox.Source == string(webhook.Workflow) {
			// The first look may have made the lead, and the message shown on a later one.
			who.created = created || !row.CreateTime.Before(in.inbox.CreateTime)
			return d.hinted(ctx, tx, who, in)
		}
		return d.message(ctx, tx, who, in)
	case webhook.Booked:
		return booked(ctx, tx, who, in)
	case webhook.Unsubscribed:
		return unsubscribed(ctx, tx, who, in)
	case webhook.Bounced:
		return bounced(ctx, tx, who, in)
	default:
		return nil // Contact, tags and do-not-disturb are what takeTruth has taken.
	}
}

// leadFor finds the lead, and makes one only for somebody who came to us: a new contact, a message from outside, a
// booking, a workflow's call, or who wants no mail any more. Other events of unknown contacts have no lead and no effect.
func leadFor(ctx context.Context, tx *store.Tx, in delivery) (db.Lead, bool, error) {
	facts := in.event.Lead
	if in.truth != nil {
		facts = in.truth.Facts
	}
	facts = facts.Normal("")
	if in.gone {
		row, err := formerLead(ctx, tx, in.workspace, facts.ContactID)
		if err != nil || row.ID != uuid.Nil || !comesToUs(in) {
			return row, false, err
		}
		row, created, err := tx.UpsertLead(ctx, in.workspace, facts)
		if err == nil {
			_, err = formerLead(ctx, tx, in.workspace, facts.ContactID)
		}
		return row, created, err
	}
	if !comesToUs(in) {
		rows, err := tx.MatchLeads(ctx, db.MatchLeadsParams{
			WorkspaceID: in.workspace, GhlContactID: optional(facts.ContactID), Addresses: emailOnly(facts),
		})
		if err != nil || len(rows) == 0 {
			return db.Lead{}, false, err
		}
	}
	return tx.UpsertLead(ctx, in.workspace, facts, alternates(in)...)
}

// alternates are the contact's other addresses, where it was read.
func alternates(in delivery) []string {
	if in.truth == nil {
		return nil
	}
	return lead.Alternates(in.truth.Alternates)
}

func comesToUs(in delivery) bool {
	switch in.event.Kind {
	case webhook.Booked, webhook.Unsubscribed:
		return true
	case webhook.Message:
		return in.event.Inbound
	default:
		return in.inbox.Source == string(webhook.Workflow) || in.event.Type == "ContactCreate"
	}
}

// emailOnly identifies by email where a sender knows no contact id.
func emailOnly(f lead.Facts) []string {
	if f.ContactID != "" {
		return nil
	}
	return lead.Addresses(f, nil)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// formerLead is the lead of a contact that the provider does not have any more. The link ends, so that nothing is sent
// to the contact; what was written before still belongs to the lead, in whatever order it comes.
func formerLead(ctx context.Context, tx *store.Tx, workspace uuid.UUID, contact string) (db.Lead, error) {
	if _, err := tx.LoseContact(ctx, workspace, contact); err != nil {
		return db.Lead{}, err
	}
	id, err := tx.FormerContact(ctx, db.FormerContactParams{WorkspaceID: workspace, ContactID: contact})
	if postgres.IsNoRows(err) {
		return db.Lead{}, nil
	}
	if err != nil {
		return db.Lead{}, err
	}
	return tx.LockLead(ctx, db.LockLeadParams{WorkspaceID: workspace, ID: id})
}

// happened is when an event happened, by the provider's clock where it told.
func happened(in delivery) time.Time {
	for _, t := range []time.Time{in.event.MessageTime, in.event.Changed, in.event.Timestamp} {
		if !t.IsZero() {
			return t
		}
	}
	return in.inbox.CreateTime
}
