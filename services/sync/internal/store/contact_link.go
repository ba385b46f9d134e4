package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

// LinkPlan asks for a lead's contact.
type LinkPlan struct {
	Workspace, Lead uuid.UUID
	// Request is who asked, nil for a send.
	Request *uuid.UUID
	// Wanted is the contact that a person named, empty to search.
	Wanted string
	// Wait is how long the jobs leave it to its caller; zero queues a job at once.
	Wait time.Duration
}

// PlanLink plans the link unless the lead has a live one, and gives the one that the lead has then.
func (t *Tx) PlanLink(ctx context.Context, p LinkPlan) (db.ContactLink, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return db.ContactLink{}, fmt.Errorf("plan link: %w", err)
	}
	n, err := t.InsertLink(ctx, db.InsertLinkParams{
		WorkspaceID: p.Workspace, ID: id, LeadID: p.Lead, RequestID: p.Request, Wanted: p.Wanted, WaitSeconds: p.Wait.Seconds(), Now: t.Now,
	})
	if err == nil && n > 0 && p.Wait == 0 {
		err = t.Enqueue(ctx, work.LinkContacts{Workspace: p.Workspace.String(), Link: id.String()}, 0)
	}
	if err != nil {
		return db.ContactLink{}, fmt.Errorf("plan link: %w", err)
	}
	row, err := t.NewestLink(ctx, db.NewestLinkParams{WorkspaceID: p.Workspace, LeadID: p.Lead})
	if err != nil {
		return db.ContactLink{}, fmt.Errorf("plan link: %w", err)
	}
	return row, nil
}

// ContactOf is a contact about to become a lead's.
type ContactOf struct {
	Workspace, Lead uuid.UUID
	Contact         string
	// Key and Value are what the contact and the lead have in common: email or phone; empty where that is not known.
	Key, Value string
}

// SetContact makes the contact the lead's. The caller holds the lead's row, and tells that the lead changed. A lead that has a
// contact keeps it: it is answered, and nothing changes. A contact that another lead has stays with that one: the lead that holds it
// is answered, and recorded as a conflict for a person.
func (t *Tx) SetContact(ctx context.Context, c ContactOf) (has string, holder uuid.UUID, err error) {
	who, err := t.Lead(ctx, db.LeadParams{WorkspaceID: c.Workspace, ID: c.Lead})
	if err != nil {
		return "", uuid.Nil, fmt.Errorf("link contact: %w", err)
	}
	if who.GhlContactID != nil {
		return *who.GhlContactID, uuid.Nil, nil
	}
	rows, err := t.MatchLeads(ctx, db.MatchLeadsParams{WorkspaceID: c.Workspace, GhlContactID: &c.Contact})
	if err != nil {
		return "", uuid.Nil, fmt.Errorf("link contact: %w", err)
	}
	if len(rows) > 0 {
		holder = rows[0].Lead.ID
		return "", holder, t.heldBy(ctx, c, holder)
	}
	_, err = t.Queries.SetContact(ctx, db.SetContactParams{Contact: c.Contact, Now: t.Now, WorkspaceID: c.Workspace, ID: c.Lead})
	if err == nil {
		err = t.ForgetEvidence(ctx, db.ForgetEvidenceParams{WorkspaceID: c.Workspace, LeadID: c.Lead})
	}
	if err == nil {
		err = t.retell(ctx, c.Workspace, c.Lead)
	}
	if err != nil {
		return "", uuid.Nil, fmt.Errorf("link contact: %w", err)
	}
	return c.Contact, uuid.Nil, nil
}

// LoseContact ends the link of whichever lead has the contact, and reports whether one had it: the provider does not have the contact any
// more. What was written before still belongs to the lead.
func (t *Tx) LoseContact(ctx context.Context, workspace uuid.UUID, contact string) (lost bool, err error) {
	_, err = t.RetireContact(ctx, db.RetireContactParams{Now: t.Now, WorkspaceID: workspace, ContactID: contact})
	if err != nil {
		return false, fmt.Errorf("lose contact: %w", err)
	}
	n, err := t.UnlinkContact(ctx, db.UnlinkContactParams{Now: t.Now, WorkspaceID: workspace, ContactID: contact})
	if err != nil {
		return false, fmt.Errorf("lose contact: %w", err)
	}
	return n > 0, nil
}

// heldBy records for a person that two leads are one contact.
func (t *Tx) heldBy(ctx context.Context, c ContactOf, holder uuid.UUID) error {
	if c.Key == "" {
		return nil
	}
	return t.keepConflict(ctx, c.Workspace, c.Lead, lead.Conflict{Holder: holder.String(), Key: c.Key, Value: c.Value})
}
