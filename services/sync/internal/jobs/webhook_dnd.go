package jobs

import (
	"context"

	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/webhook"
)

func doNotDisturb(ctx context.Context, tx *store.Tx, who person, in delivery) error {
	flags := webhook.Flags(in.event.DNDAll, in.event.DNDSettings)
	if in.truth != nil {
		flags = in.truth.Flags
	}
	moved := false
	for _, channel := range []sending.Channel{sending.SMS, sending.Email} {
		changed, err := tx.SetFlag(ctx, store.Flag{
			Workspace: who.workspace, Lead: who.lead, Channel: channel, Status: flags[channel], Source: "dnd_webhook",
		})
		if err != nil {
			return err
		}
		moved = moved || changed
	}
	if !moved {
		return nil
	}
	return tx.Publish(ctx, store.Event{Type: store.EventDNDChanged, Workspace: who.workspace, Lead: who.lead, At: happened(in)})
}
