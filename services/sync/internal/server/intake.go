package server

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/gather"
	syncv1 "github.com/relance/relance/proto/gen/relance/sync/v1"
	"github.com/relance/relance/services/sync/internal/crashpoint"
	"github.com/relance/relance/services/sync/internal/jobs"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
)

// intakeTimeout bounds the commit of a batch. Senders wait ten seconds and more.
const intakeTimeout = 4 * time.Second

type intakeGatherer = gather.Gatherer[struct{}, inbound, *syncv1.AcceptWebhookResponse]

// inbound is a webhook that is authentic and was understood.
type inbound struct {
	event    webhook.Event
	delivery webhook.Delivery
	// bound is the workspace of its sender's secret; empty where its location finds it.
	bound string
}

// row is the webhook as it is stored.
func (in inbound) row(tx *store.Tx, workspace *uuid.UUID) (db.InsertInboxParams, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return db.InsertInboxParams{}, err
	}
	sealed, err := tx.Seal(string(in.delivery.Body), jobs.BodyPlace(id))
	if err != nil {
		return db.InsertInboxParams{}, err
	}
	row := db.InsertInboxParams{
		ID: id, WorkspaceID: workspace, Source: string(in.delivery.Source), WebhookID: in.event.WebhookID, EventType: in.event.Type,
		Location: in.event.Location, BodyEnc: sealed, State: "PENDING", Now: tx.Now,
	}
	switch {
	case in.event.Kind == webhook.Ignored:
		row.State, row.ProcessTime = "IGNORED", &tx.Now
	case workspace == nil:
		row.State, row.ProcessTime = "UNROUTED", &tx.Now
	}
	return row, nil
}

// heard reports whether the webhook shows that a workspace's connection to GHL brings webhooks.
func (in inbound) heard() bool {
	return in.delivery.Source == webhook.Marketplace || in.delivery.Source == webhook.Workflow
}

// storeAlone stores a webhook in a transaction of its own.
func (s *Server) storeAlone(ctx context.Context, in inbound) (*syncv1.AcceptWebhookResponse, error) {
	if in.event.Company != "" {
		out, err := s.spread(ctx, in)
		return out, mapped(err)
	}
	out := &syncv1.AcceptWebhookResponse{}
	err := s.Store.System(ctx, func(tx *store.Tx) error {
		to, err := route(ctx, tx, in.event, in.bound)
		if err != nil {
			return err
		}
		err = storeWebhook(ctx, tx, in, to, out)
		crashpoint.At(crashpoint.H2)
		return err
	})
	return out, mapped(err)
}

func storeWebhook(ctx context.Context, tx *store.Tx, in inbound, to home, out *syncv1.AcceptWebhookResponse) error {
	row, err := in.row(tx, to.workspace)
	if err != nil {
		return err
	}
	n, err := tx.InsertInbox(ctx, row)
	if err != nil {
		return err
	}
	if n == 0 {
		return repeated(ctx, tx, row, out)
	}
	out.Event, out.State = eventName(row.ID), webhookState(row.State)
	if row.State == "PENDING" {
		tx.Waiting(*to.workspace)
	}
	if !in.heard() || !to.news(tx.Now) {
		return nil
	}
	return tx.TouchConnectionWebhook(ctx, db.TouchConnectionWebhookParams{Now: &tx.Now, WorkspaceID: *to.workspace})
}

// storeTogether stores the webhooks that come at the same time in one transaction. What has no result was not
// new or could not be routed, and is stored alone, as all are when the transaction fails.
func (s *Server) storeTogether(ctx context.Context, _ struct{}, batch []inbound) ([]*syncv1.AcceptWebhookResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, intakeTimeout)
	defer cancel()
	var out []*syncv1.AcceptWebhookResponse
	err := s.Store.BatchSystem(ctx, func(tx *store.Tx) error {
		out = make([]*syncv1.AcceptWebhookResponse, len(batch))
		err := storeAll(ctx, tx, batch, out)
		crashpoint.At(crashpoint.H2)
		return err
	})
	return out, err
}

// origin is what a webhook is routed by.
type origin struct{ bound, location string }

// routes finds the workspaces of a batch, each origin once.
type routes struct {
	tx    *store.Tx
	found map[origin]home
	bad   map[origin]bool
}

// of gives the home of a webhook, and false when it cannot be routed.
func (r *routes) of(ctx context.Context, in inbound) (home, bool) {
	at := origin{in.bound, in.event.Location}
	if _, known := r.found[at]; !known && !r.bad[at] {
		to, err := route(ctx, r.tx, in.event, in.bound)
		r.found[at], r.bad[at] = to, err != nil // a statement that failed fails the next one too
	}
	return r.found[at], !r.bad[at]
}

func storeAll(ctx context.Context, tx *store.Tx, batch []inbound, out []*syncv1.AcceptWebhookResponse) error {
	by := routes{tx: tx, found: map[origin]home{}, bad: map[origin]bool{}}
	rows, index := map[uuid.UUID]db.InsertInboxParams{}, map[uuid.UUID]int{}
	insert := db.InsertInboxesParams{Now: tx.Now}
	for i, in := range batch {
		to, ok := by.of(ctx, in)
		if !ok || in.event.Company != "" {
			continue
		}
		row, err := in.row(tx, to.workspace)
		if err != nil {
			return err
		}
		rows[row.ID], index[row.ID] = row, i
		add(&insert, row)
	}
	fresh, err := tx.InsertInboxes(ctx, insert)
	if err != nil {
		return err
	}
	heard := map[uuid.UUID]bool{}
	for _, id := range fresh {
		row, i := rows[id], index[id]
		out[i] = &syncv1.AcceptWebhookResponse{Event: eventName(id), State: webhookState(row.State)}
		if row.State == "PENDING" {
			tx.Waiting(*row.WorkspaceID) // without one it is UNROUTED
		}
		if to, _ := by.of(ctx, batch[i]); batch[i].heard() && to.news(tx.Now) {
			heard[*row.WorkspaceID] = true
		}
	}
	// In one order, so that two batches cannot wait for each other.
	for _, id := range slices.SortedFunc(maps.Keys(heard), func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }) {
		if err := tx.TouchConnectionWebhook(ctx, db.TouchConnectionWebhookParams{Now: &tx.Now, WorkspaceID: id}); err != nil {
			return err
		}
	}
	return nil
}

func add(insert *db.InsertInboxesParams, row db.InsertInboxParams) {
	insert.Ids, insert.Workspaces = append(insert.Ids, row.ID), append(insert.Workspaces, store.Deref(row.WorkspaceID))
	insert.Sources, insert.WebhookIds = append(insert.Sources, row.Source), append(insert.WebhookIds, row.WebhookID)
	insert.EventTypes, insert.Locations = append(insert.EventTypes, row.EventType), append(insert.Locations, row.Location)
	insert.Bodies, insert.States = append(insert.Bodies, row.BodyEnc), append(insert.States, row.State)
}
