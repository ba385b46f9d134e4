package sender

import (
	"context"
	"fmt"
	"slices"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// route decides who sends a new request, and which message it answers. Texts leave through GHL. An email answers the message
// that was named, or the newest that the lead wrote, through the sender that brought it; one that GHL brought, or a lead that
// never wrote, is GHL's. A refusal means that there is nothing to answer.
func route(ctx context.Context, tx *store.Tx, who db.Lead, r *Request) (*sending.Refusal, error) {
	r.via = provider.GHL
	if r.ReplyTo != nil {
		return routeTo(ctx, tx, r)
	}
	if r.Channel != sending.Email {
		return nil, nil
	}
	newest, other, err := tx.Emails(ctx, r.Workspace, r.Lead)
	if err != nil {
		return nil, err
	}
	connected, err := tx.ConnectedProviders(ctx, r.Workspace)
	if err != nil {
		return nil, fmt.Errorf("read connections: %w", err)
	}
	atGHL := who.GhlContactID != nil && slices.Contains(connected, string(provider.GHL))
	reply := newest
	switch {
	case reply != nil && atGHL && !slices.Contains(connected, reply.Provider):
		reply = nil // GHL can reach the lead, and the sender cannot be asked.
	case reply == nil && !atGHL:
		reply = other
	}
	if reply != nil {
		r.via, r.ReplyTo = provider.Kind(reply.Provider), &reply.Message
		return nil, nil
	}
	if len(connected) == 0 || slices.Contains(connected, string(provider.GHL)) {
		return nil, nil
	}
	r.via = provider.Kind(connected[0])
	return noTarget(connected[0]), nil
}

// routeTo answers the message that was named.
func routeTo(ctx context.Context, tx *store.Tx, r *Request) (*sending.Refusal, error) {
	row, err := tx.ReplyTarget(ctx, db.ReplyTargetParams{WorkspaceID: r.Workspace, MessageID: *r.ReplyTo, LeadID: r.Lead})
	if postgres.IsNoRows(err) {
		return noTarget(""), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read reply target: %w", err)
	}
	r.via = provider.Kind(row.Provider)
	return nil, nil
}

func noTarget(provider string) *sending.Refusal {
	meta := map[string]string{}
	if provider != "" {
		meta["provider"] = provider
	}
	return &sending.Refusal{Reason: sending.NoReplyTarget, Meta: meta}
}
