package server

import (
	"context"

	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/store"
)

// spread stores a webhook that is about every location of a company: itself, which is done with that, and one for each location
// that the company's token opens, which is looked at as if its own webhook had come. Without any it has no workspace.
func spread(ctx context.Context, tx *store.Tx, in inbound, out *syncv1.AcceptWebhookResponse) error {
	row, err := in.row(tx, nil)
	if err != nil {
		return err
	}
	opened, err := tx.ConnectionsOfCompany(ctx, in.event.Company)
	if err != nil {
		return err
	}
	if len(opened) > 0 {
		row.State = "PROCESSED"
	}
	n, err := tx.InsertInbox(ctx, row)
	if err != nil {
		return err
	}
	if n == 0 {
		return repeated(ctx, tx, row, out)
	}
	out.Event, out.State = eventName(row.ID), webhookState(row.State)
	for _, c := range opened {
		one := in
		one.event.Location, one.event.WebhookID = c.Location, in.event.WebhookID+":"+c.Location
		share, err := one.row(tx, &c.WorkspaceID)
		if err != nil {
			return err
		}
		if _, err := tx.InsertInbox(ctx, share); err != nil {
			return err
		}
	}
	tx.Waiting()
	return tx.ExpireCompany(ctx, in.event.Company)
}
