package jobs

import (
	"context"
	"strings"

	"github.com/relance/relance/services/sync/internal/reconcile"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
)

func (d Deps) message(ctx context.Context, tx *store.Tx, who person, in delivery) error {
	at := happened(in)
	if !in.event.Inbound {
		// It may be, or may settle, a send of ours; then it is in the timeline already when it is recorded below.
		_, err := d.Reconciler.Observe(ctx, tx, reconcile.Evidence{
			Workspace: who.workspace, Lead: who.lead, Channel: in.event.Channel, ProviderID: in.event.MessageID,
			ConversationID: in.event.ConversationID, Text: in.event.Text, Source: in.event.Source, Status: in.event.Status, At: at,
		})
		if err != nil {
			return err
		}
	}
	entry := store.Entry{
		Workspace: who.workspace, Lead: who.lead, Channel: in.event.Channel, Inbound: in.event.Inbound, Subject: in.event.Subject,
		Body: in.event.Text, ProviderID: in.event.MessageID, At: at,
	}
	if entry.ProviderID == "" {
		entry.WebhookKey = in.inbox.Source + ":" + in.inbox.WebhookID
	}
	id, _, err := tx.Record(ctx, entry)
	if err != nil {
		return err
	}
	if !in.event.Inbound {
		return tx.TouchOutbound(ctx, db.TouchOutboundParams{At: at, Now: tx.Now, WorkspaceID: who.workspace, ID: who.lead})
	}
	if err := tx.TouchInbound(ctx, db.TouchInboundParams{At: at, Now: tx.Now, WorkspaceID: who.workspace, ID: who.lead}); err != nil {
		return err
	}
	event := store.Event{
		Type: store.EventReplied, Workspace: who.workspace, Lead: who.lead, At: at,
		Message: "workspaces/" + who.workspace.String() + "/messages/" + id.String(),
	}
	if webhook.IsOptOut(newText(in.event)) {
		changed, err := tx.SetFlag(ctx, store.Flag{
			Workspace: who.workspace, Lead: who.lead, Channel: in.event.Channel, Status: sending.Opted, Source: "inbound_stop",
		})
		if err != nil || !changed {
			return err
		}
		event.Type = store.EventOptedOut
		return tx.Publish(ctx, event)
	}
	if who.created {
		return nil // The message that brings a lead in answers nothing of ours.
	}
	return tx.Publish(ctx, event)
}

// newText is what the lead wrote now: for email the first line, since the quoted mail below speaks of unsubscribing.
func newText(e webhook.Event) string {
	if e.Channel != sending.Email {
		return e.Text
	}
	var plain strings.Builder
	inTag := false
	for _, r := range e.Text {
		switch {
		case r == '<':
			inTag = true
			plain.WriteByte('\n')
		case r == '>':
			inTag = false
		case !inTag:
			plain.WriteRune(r)
		}
	}
	first, _, _ := strings.Cut(strings.TrimSpace(plain.String()), "\n")
	return first
}
