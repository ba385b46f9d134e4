package server

import (
	"context"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// sharePage bounds the transaction that stores what an agency's webhook means for its locations.
const sharePage = 200

// spread stores a webhook that is about every location of a company: itself, which is done with that, and one for each location
// that the company's token opens, which is looked at as if its own webhook had come. Without any it has no workspace. The locations
// come first, a page a transaction: until the webhook itself is stored its sender delivers it again, and what is there stays.
func (s *Server) spread(ctx context.Context, in inbound) (*syncv1.AcceptWebhookResponse, error) {
	known := false
	err := s.Store.System(ctx, func(tx *store.Tx) error {
		_, err := tx.InboxByDelivery(ctx, db.InboxByDeliveryParams{Source: string(in.delivery.Source), WebhookID: in.event.WebhookID})
		if known = err == nil; postgres.IsNoRows(err) {
			err = nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	opened := 0
	for after, more := uuid.Nil, !known; more; {
		var page []db.ConnectionsOfCompanyRow
		err := s.Store.System(ctx, func(tx *store.Tx) (err error) {
			page, err = tx.ConnectionsOfCompany(ctx, db.ConnectionsOfCompanyParams{Company: in.event.Company, After: after, Page: sharePage})
			if err != nil || len(page) == 0 {
				return err
			}
			return in.share(ctx, tx, page)
		})
		if err != nil {
			return nil, err
		}
		if opened += len(page); len(page) > 0 {
			after = page[len(page)-1].WorkspaceID
		}
		more = len(page) == sharePage
	}
	out := &syncv1.AcceptWebhookResponse{}
	return out, s.Store.System(ctx, func(tx *store.Tx) error { return in.whole(ctx, tx, opened > 0, out) })
}

// share stores the webhook once for each of the locations.
func (in inbound) share(ctx context.Context, tx *store.Tx, with []db.ConnectionsOfCompanyRow) error {
	insert := db.InsertInboxesParams{Now: tx.Now}
	for _, c := range with {
		one := in
		one.event.Location, one.event.WebhookID = c.Location, in.event.WebhookID+":"+c.Location
		row, err := one.row(tx, &c.WorkspaceID)
		if err != nil {
			return err
		}
		add(&insert, row)
		tx.Waiting(c.WorkspaceID)
	}
	_, err := tx.InsertInboxes(ctx, insert)
	return err
}

// whole stores the webhook itself.
func (in inbound) whole(ctx context.Context, tx *store.Tx, spread bool, out *syncv1.AcceptWebhookResponse) error {
	row, err := in.row(tx, nil)
	if err != nil {
		return err
	}
	if spread {
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
	return tx.ExpireCompany(ctx, in.event.Company)
}
