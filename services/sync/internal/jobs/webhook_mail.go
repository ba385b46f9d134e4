package jobs

import (
	"context"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/reconcile"
	"github.com/relance/relance/services/sync/internal/store"
)

// keepTarget keeps what it takes to answer an email that a sender brought.
func keepTarget(ctx context.Context, tx *store.Tx, in delivery, message uuid.UUID) error {
	if !in.event.Inbound || !in.event.Target.Usable(in.inbox.Source) {
		return nil
	}
	return tx.KeepTarget(ctx, in.workspace, store.Reply{Message: message, Provider: in.inbox.Source}, in.event.Target)
}

// observeMail takes a sender's word of an email that it sent, which may be, or may settle, an answer of ours. It reports
// whether it is one: that is in the timeline already, under the id of the answer to its call.
func (d Deps) observeMail(ctx context.Context, tx *store.Tx, who person, in delivery) (bool, error) {
	if in.event.Inbound || !provider.Kind(in.inbox.Source).Mail() {
		return false, nil
	}
	return d.Reconciler.ObserveMail(ctx, tx, reconcile.Evidence{
		Workspace: who.workspace, Lead: who.lead, Channel: in.event.Channel, ProviderID: in.event.MessageID, Text: in.event.HTML, At: happened(in),
	})
}
