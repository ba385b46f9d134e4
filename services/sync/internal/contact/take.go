package contact

import (
	"context"
	"slices"
	"time"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// raise keeps the newest evidence and reports false for what is older than what is known.
func raise(ctx context.Context, tx *store.Tx, who Who, kind string, said Word) (bool, error) {
	tags := said.Tags
	if tags == nil || kind != evidenceTags {
		tags = []string{}
	}
	_, err := tx.RaiseEvidence(ctx, db.RaiseEvidenceParams{
		WorkspaceID: who.Workspace, LeadID: who.Lead, Kind: kind, ProviderTime: said.At, Tags: tags,
	})
	if postgres.IsNoRows(err) {
		return false, nil
	}
	return err == nil, err
}

// Refresh takes over changed details, and tells that the lead changed.
func Refresh(ctx context.Context, tx *store.Tx, who Who, said Word) error {
	newer, err := raise(ctx, tx, who, evidenceContact, said)
	if err != nil || !newer {
		return err
	}
	if said.Whole {
		if err := tx.SetInboundDND(ctx, who.Workspace, who.Lead, store.InboundDND{On: said.InboundDND, Source: "contact_read", At: said.At}); err != nil {
			return err
		}
	}
	changed, err := tx.RefreshLead(ctx, who.Workspace, who.Lead, said.Facts.Normal(""), said.Alternates...)
	if err != nil || !changed || who.Created {
		return err
	}
	return tx.Publish(ctx, who.Event(store.EventUpdated, said.At))
}

// DoNotDisturb sets the flags of all followed channels. An address that bounced stays closed: that the contact may be
// disturbed says nothing about it.
func DoNotDisturb(ctx context.Context, tx *store.Tx, who Who, said Word) error {
	newer, err := raise(ctx, tx, who, evidenceDND, said)
	if err != nil || !newer {
		return err
	}
	for _, channel := range []sending.Channel{sending.SMS, sending.Email} {
		status := said.Flags[channel]
		source, err := tx.FlagSource(ctx, who.Workspace, who.Lead, channel)
		if err != nil {
			return err
		}
		if source == SourceBounce && status != sending.DNDPermanent {
			continue // a switch that is set now may be opened later, and the address would be open with it
		}
		if err := setSwitch(ctx, tx, who, channelWord{channel, status, said.At}); err != nil {
			return err
		}
	}
	return nil
}

type channelWord struct {
	channel sending.Channel
	status  sending.ChannelStatus
	at      time.Time
}

// setSwitch takes one switch of the provider's over. A permanent one is set by the carrier or the provider for who texted
// STOP, and no program can clear it: it is an opt-out, also when the text itself never reached us. The echo of a switch that
// we set for an opt-out of ours changes nothing.
func setSwitch(ctx context.Context, tx *store.Tx, who Who, c channelWord) error {
	flag := store.Flag{Workspace: who.Workspace, Lead: who.Lead, Channel: c.channel, Status: c.status, Source: sourceDND}
	e := who.Event(store.EventDNDChanged, c.at)
	e.Channel, e.Active = c.channel, c.status != sending.Open
	if c.status == sending.DNDPermanent {
		flag.Status, flag.Evidence = sending.Opted, store.Evidence{Rule: "ghl-permanent", At: c.at}
		e = who.Event(store.EventOptedOut, c.at)
	}
	changed, err := tx.SetFlag(ctx, flag)
	if err != nil || !changed {
		return err
	}
	return tx.Publish(ctx, e)
}

// Retag tells which tags came and went. Without tags known before, those of a new lead all came; of an older lead nothing
// can be told, and the tags are where the next change counts from.
func Retag(ctx context.Context, tx *store.Tx, who Who, said Word) error {
	known, err := tx.Evidence(ctx, db.EvidenceParams{WorkspaceID: who.Workspace, LeadID: who.Lead, Kind: evidenceTags})
	baseline := err == nil
	if err != nil && !postgres.IsNoRows(err) {
		return err
	}
	newer, err := raise(ctx, tx, who, evidenceTags, said)
	if err != nil || !newer || (!baseline && !who.Created) {
		return err
	}
	e := who.Event(store.EventTags, said.At)
	e.Added, e.Removed = without(said.Tags, known.Tags), without(known.Tags, said.Tags)
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
