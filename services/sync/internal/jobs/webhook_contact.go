package jobs

import (
	"context"
	"slices"
	"time"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
)

// Kinds of evidence about a contact.
const (
	evidenceContact = "contact"
	evidenceTags    = "tags"
	evidenceDND     = "dnd"
)

// Sources of channel flags.
const (
	sourceDND         = "dnd_webhook"
	sourceStop        = "inbound_stop"
	sourceUnsubscribe = "unsubscribe_webhook"
	sourceBounce      = "bounce_webhook"
)

// claim is what is known of a contact at one moment of the provider's.
type claim struct {
	at    time.Time
	facts lead.Facts
	flags map[sending.Channel]sending.ChannelStatus
	tags  []string
	// inboundDND is true when the provider keeps the contact's messages from us; of a whole claim.
	inboundDND bool
	// alternates are the contact's other addresses; of a whole claim.
	alternates []string
	// whole is true for a contact as read: facts, flags and tags are all told.
	whole bool
}

// takeTruth merges what the provider says of the contact by the provider's time, so that the order in which webhooks come
// does not matter. A contact that could not be read, because nothing is connected, is taken as the event tells it.
func takeTruth(ctx context.Context, tx *store.Tx, who person, in delivery) error {
	said := claim{at: happened(in), facts: in.event.Lead}
	switch {
	case in.truth != nil:
		said = claim{at: in.truth.Updated, facts: in.truth.Facts, flags: in.truth.Flags, tags: in.truth.Tags, inboundDND: in.truth.InboundDND, alternates: alternates(in), whole: true}
		if said.at.IsZero() {
			said.at = in.readAt
		}
		if in.event.Kind != webhook.DND {
			said.flags = nil // Do-not-disturb is learned from its own event and from refusals.
		}
	case in.event.Kind == webhook.DND:
		said.flags = webhook.Flags(in.event.DNDAll, in.event.DNDSettings)
	case in.event.Kind == webhook.Tags:
		said.tags = in.event.Tags
	case in.event.Kind != webhook.Contact || in.inbox.Source == string(webhook.Workflow):
		return nil
	}
	if said.whole || in.event.Kind == webhook.Contact {
		if err := refreshLead(ctx, tx, who, said); err != nil {
			return err
		}
	}
	if said.flags != nil {
		if err := doNotDisturb(ctx, tx, who, said); err != nil {
			return err
		}
	}
	if said.whole || in.event.Kind == webhook.Tags {
		return retag(ctx, tx, who, said)
	}
	return nil
}

// raise keeps the newest evidence and reports false for what is older than what is known.
func raise(ctx context.Context, tx *store.Tx, who person, kind string, said claim) (bool, error) {
	tags := said.tags
	if tags == nil || kind != evidenceTags {
		tags = []string{}
	}
	_, err := tx.RaiseEvidence(ctx, db.RaiseEvidenceParams{
		WorkspaceID: who.workspace, LeadID: who.lead, Kind: kind, ProviderTime: said.at, Tags: tags,
	})
	if postgres.IsNoRows(err) {
		return false, nil
	}
	return err == nil, err
}

// refreshLead takes over changed details, and tells that the lead changed.
func refreshLead(ctx context.Context, tx *store.Tx, who person, said claim) error {
	newer, err := raise(ctx, tx, who, evidenceContact, said)
	if err != nil || !newer {
		return err
	}
	if said.whole {
		if err := tx.SetInboundDND(ctx, who.workspace, who.lead, store.InboundDND{On: said.inboundDND, Source: "contact_read", At: said.at}); err != nil {
			return err
		}
	}
	changed, err := tx.RefreshLead(ctx, who.workspace, who.lead, said.facts.Normal(""), said.alternates...)
	if err != nil || !changed || who.created {
		return err
	}
	return tx.Publish(ctx, who.event(store.EventUpdated, said.at))
}

// doNotDisturb sets the flags of all followed channels. An address that bounced stays closed: that the contact may be
// disturbed says nothing about it.
func doNotDisturb(ctx context.Context, tx *store.Tx, who person, said claim) error {
	newer, err := raise(ctx, tx, who, evidenceDND, said)
	if err != nil || !newer {
		return err
	}
	for _, channel := range []sending.Channel{sending.SMS, sending.Email} {
		status := said.flags[channel]
		source, err := tx.FlagSource(ctx, who.workspace, who.lead, channel)
		if err != nil {
			return err
		}
		if source == sourceBounce && status != sending.DNDPermanent {
			continue // a switch that is set now may be opened later, and the address would be open with it
		}
		if err := setSwitch(ctx, tx, who, channelClaim{channel, status, said.at}); err != nil {
			return err
		}
	}
	return nil
}

type channelClaim struct {
	channel sending.Channel
	status  sending.ChannelStatus
	at      time.Time
}

// setSwitch takes one switch of the provider's over. A permanent one is set by the carrier or the provider for who texted
// STOP, and no program can clear it: it is an opt-out, also when the text itself never reached us. The echo of a switch that
// we set for an opt-out of ours changes nothing.
func setSwitch(ctx context.Context, tx *store.Tx, who person, c channelClaim) error {
	flag := store.Flag{Workspace: who.workspace, Lead: who.lead, Channel: c.channel, Status: c.status, Source: sourceDND}
	e := who.event(store.EventDNDChanged, c.at)
	e.Channel, e.Active = c.channel, c.status != sending.Open
	if c.status == sending.DNDPermanent {
		flag.Status, flag.Evidence = sending.Opted, store.Evidence{Rule: "ghl-permanent", At: c.at}
		e = who.event(store.EventOptedOut, c.at)
	}
	changed, err := tx.SetFlag(ctx, flag)
	if err != nil || !changed {
		return err
	}
	return tx.Publish(ctx, e)
}

// retag tells which tags came and went. Without tags known before, those of a new lead all came; of an older lead nothing
// can be told, and the tags are where the next change counts from.
func retag(ctx context.Context, tx *store.Tx, who person, said claim) error {
	known, err := tx.Evidence(ctx, db.EvidenceParams{WorkspaceID: who.workspace, LeadID: who.lead, Kind: evidenceTags})
	baseline := err == nil
	if err != nil && !postgres.IsNoRows(err) {
		return err
	}
	newer, err := raise(ctx, tx, who, evidenceTags, said)
	if err != nil || !newer || (!baseline && !who.created) {
		return err
	}
	e := who.event(store.EventTags, said.at)
	e.Added, e.Removed = without(said.tags, known.Tags), without(known.Tags, said.tags)
	if len(e.Added)+len(e.Removed) == 0 {
		return nil
	}
	return tx.Publish(ctx, e)
}

// without gives the tags of all that are not in some, in order and once.
func without(all, some []string) []string {
	var out []string
	for _, tag := range all {
		if !slices.Contains(some, tag) && !slices.Contains(out, tag) {
			out = append(out, tag)
		}
	}
	return out
}
