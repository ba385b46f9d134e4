package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/principal"
	"github.com/relance/relance/services/sync/internal/inbox"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

const (
	// togetherTimeout bounds the commit of a page.
	togetherTimeout = 20 * time.Second
	// lease is longer than a webhook that is processed alone may take.
	lease = 2 * jobTimeout
	// settleTimeout bounds writing down what became of it, also at shutdown.
	settleTimeout = 5 * time.Second
)

// Inbox applies stored webhooks. It implements inbox.Effects.
type Inbox struct{ Deps }

// Due lists the workspaces with webhooks that are due.
func (i Inbox) Due(ctx context.Context) ([]inbox.Waiting, error) {
	var out []inbox.Waiting
	err := i.Store.Look(ctx, func(tx *store.Tx) error {
		rows, err := tx.WaitingInboxes(ctx)
		out = make([]inbox.Waiting, len(rows))
		for n, r := range rows {
			out[n] = inbox.Waiting{Workspace: r.WorkspaceID, Together: r.Together, Alone: r.Alone}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for waiting webhooks: %w", err)
	}
	return out, nil
}

// Together applies the next webhooks of a workspace in one commit.
func (i Inbox) Together(ctx context.Context, workspace uuid.UUID) (int, error) {
	ctx, cancel := context.WithTimeout(asSync(ctx), togetherTimeout)
	defer cancel()
	return i.together(ctx, workspace)
}

// Lease takes webhooks that are processed alone.
func (i Inbox) Lease(ctx context.Context, workspace uuid.UUID, n int) ([]func(context.Context), error) {
	var rows []db.WebhookInbox
	err := i.Store.Workspace(ctx, workspace, func(tx *store.Tx) (err error) {
		rows, err = tx.LeaseInboxes(ctx, db.LeaseInboxesParams{LeaseSeconds: lease.Seconds(), WorkspaceID: workspace, Page: int32(n)})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lease webhooks: %w", err)
	}
	out := make([]func(context.Context), len(rows))
	for n, row := range rows {
		out[n] = func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(asSync(ctx), jobTimeout)
			defer cancel()
			i.alone(ctx, row)
		}
	}
	return out, nil
}

func asSync(ctx context.Context) context.Context {
	return principal.NewContext(ctx, principal.Principal{Kind: principal.KindSync})
}
