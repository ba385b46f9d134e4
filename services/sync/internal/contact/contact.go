// Package contact takes over what the provider says of a lead's contact: details, do-not-disturb, tags. What is said is merged by
// the provider's time, so that the order in which it is heard does not matter.
package contact

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

// Kinds of evidence about a contact.
const (
	evidenceContact = "contact"
	evidenceTags    = "tags"
	evidenceDND     = "dnd"
)

const (
	sourceDND = "dnd_webhook"
	// SourceBounce is the source of a flag that an address which bounced set.
	SourceBounce = "bounce_webhook"
)

// Who is the lead that something is said of.
type Who struct {
	Workspace, Lead uuid.UUID
	// Created is true when the lead was made by what is taken over.
	Created bool
}

// Event is an event of the lead.
func (w Who) Event(kind string, at time.Time) store.Event {
	return store.Event{Type: kind, Workspace: w.Workspace, Lead: w.Lead, At: at}
}

// Word is what the provider says of a contact at one moment of its own.
type Word struct {
	At    time.Time
	Facts lead.Facts
	Flags map[sending.Channel]sending.ChannelStatus
	Tags  []string
	// InboundDND is true when the provider keeps the contact's messages from us; of a whole word.
	InboundDND bool
	// Alternates are the contact's other addresses; of a whole word.
	Alternates []string
	// Whole is true for a contact as read: facts, flags and tags are all told.
	Whole bool
}

// Of is the word of a contact that was read. What the provider does not date is of when it was read.
func Of(c ghl.Contact, readAt time.Time) Word {
	said := Word{
		At: c.Updated, Facts: c.Facts, Flags: c.Flags, Tags: c.Tags, InboundDND: c.InboundDND,
		Alternates: lead.Alternates(c.Alternates), Whole: true,
	}
	if said.At.IsZero() {
		said.At = readAt
	}
	return said
}

// Take takes over all of a contact that was read. The caller holds the lead's row.
func Take(ctx context.Context, tx *store.Tx, who Who, said Word) error {
	for _, take := range []func(context.Context, *store.Tx, Who, Word) error{Refresh, DoNotDisturb, Retag} {
		if err := take(ctx, tx, who, said); err != nil {
			return err
		}
	}
	return nil
}

// FirstContact starts the history import the first time something is heard of a lead's contact.
func FirstContact(ctx context.Context, tx *store.Tx, who Who) error {
	if _, err := tx.Connection(ctx, who.Workspace); err != nil {
		if postgres.IsNoRows(err) {
			return nil
		}
		return err
	}
	n, err := tx.EnsureImport(ctx, db.EnsureImportParams{WorkspaceID: who.Workspace, LeadID: who.Lead, Channel: string(sending.SMS)})
	if err != nil || n == 0 {
		return err
	}
	return tx.Enqueue(ctx, work.ImportHistory{
		Workspace: who.Workspace.String(), Lead: who.Lead.String(), Channel: string(sending.SMS),
	}, 0)
}
