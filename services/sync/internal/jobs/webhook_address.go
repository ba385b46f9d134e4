package jobs

import (
	"context"

	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
)

// unsubscribed takes a sender's word that the lead wants no more email.
func unsubscribed(ctx context.Context, tx *store.Tx, who person, in delivery) error {
	changed, err := tx.SetFlag(ctx, store.Flag{
		Workspace: who.workspace, Lead: who.lead, Channel: sending.Email, Status: sending.Opted, Source: sourceUnsubscribe,
	})
	if err != nil || !changed {
		return err
	}
	return tx.Publish(ctx, who.event(store.EventOptedOut, happened(in)))
}

// bounced closes email to an address that takes none.
func bounced(ctx context.Context, tx *store.Tx, who person, in delivery) error {
	changed, err := tx.SetFlag(ctx, store.Flag{
		Workspace: who.workspace, Lead: who.lead, Channel: sending.Email, Status: sending.DNDPermanent, Source: sourceBounce,
	})
	if err != nil || !changed {
		return err
	}
	e := who.event(store.EventDNDChanged, happened(in))
	e.Channel, e.Active = sending.Email, true
	return tx.Publish(ctx, e)
}
