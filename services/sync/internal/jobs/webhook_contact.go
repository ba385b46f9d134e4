package jobs

import (
	"context"

	"github.com/relance/relance/services/sync/internal/contact"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/webhook"
)

// Sources of channel flags.
const (
	sourceStop        = "inbound_stop"
	sourceUnsubscribe = "unsubscribe_webhook"
	sourceBounce      = contact.SourceBounce
)

// takeTruth merges what the provider says of the contact by the provider's time, so that the order in which webhooks come
// does not matter. A contact that could not be read, because nothing is connected, is taken as the event tells it.
func takeTruth(ctx context.Context, tx *store.Tx, who person, in delivery) error {
	said := contact.Word{At: happened(in), Facts: in.event.Lead}
	switch {
	case in.truth != nil:
		said = contact.Of(*in.truth, in.readAt)
		if in.event.Kind != webhook.DND {
			said.Flags = nil // Do-not-disturb is learned from its own event and from refusals.
		}
	case in.event.Kind == webhook.DND:
		said.Flags = webhook.Flags(in.event.DNDAll, in.event.DNDSettings)
	case in.event.Kind == webhook.Tags:
		said.Tags = in.event.Tags
	case in.event.Kind != webhook.Contact || in.inbox.Source == string(webhook.Workflow):
		return nil
	}
	if said.Whole || in.event.Kind == webhook.Contact {
		if err := contact.Refresh(ctx, tx, who.known(), said); err != nil {
			return err
		}
	}
	if said.Flags != nil {
		if err := contact.DoNotDisturb(ctx, tx, who.known(), said); err != nil {
			return err
		}
	}
	if said.Whole || in.event.Kind == webhook.Tags {
		return contact.Retag(ctx, tx, who.known(), said)
	}
	return nil
}
