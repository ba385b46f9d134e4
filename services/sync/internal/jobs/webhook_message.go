package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/optout"
	"github.com/relance/relance/services/sync/internal/reconcile"
	"github.com/relance/relance/services/sync/internal/sender"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
)

// message stores a message once, whichever way it comes first, and tells of it once.
func (d Deps) message(ctx context.Context, tx *store.Tx, who person, in delivery) error {
	at := happened(in)
	if !in.event.Inbound && fromGHL(in) {
		// It may be, or may settle, a send of ours; then it is in the timeline already when it is recorded below.
		_, err := d.Reconciler.Observe(ctx, tx, reconcile.Evidence{
			Workspace: who.workspace, Lead: who.lead, Channel: in.event.Channel, ProviderID: in.event.MessageID,
			ConversationID: in.event.ConversationID, Text: in.event.Text, Source: in.event.Source, Status: in.event.Status, At: at,
		})
		if err != nil {
			return err
		}
	}
	if ours, err := d.observeMail(ctx, tx, who, in); ours || err != nil {
		return err
	}
	entry := store.Entry{
		Workspace: who.workspace, Lead: who.lead, Channel: in.event.Channel, Inbound: in.event.Inbound, Subject: in.event.Subject,
		Body: in.event.Text, ProviderID: in.event.MessageID, At: at, Arrival: store.ByWebhook,
	}
	if in.inbox.Source == string(webhook.Poller) {
		entry.Arrival = store.ByPoll
	}
	if entry.ProviderID == "" {
		entry.WebhookKey = in.inbox.Source + ":" + in.inbox.WebhookID
	}
	id, fresh, err := tx.Record(ctx, entry)
	if err != nil {
		return err
	}
	if err := countArrival(ctx, tx, in, id, fresh); err != nil {
		return err
	}
	if err := keepTarget(ctx, tx, in, id); err != nil {
		return err
	}
	first, err := tx.Announce(ctx, db.AnnounceParams{Now: &tx.Now, WorkspaceID: who.workspace, ID: id})
	if err != nil {
		return err
	}
	e := who.event(store.EventReplied, at)
	e.Message = "workspaces/" + who.workspace.String() + "/messages/" + id.String()
	if !in.event.Inbound {
		return outbound(ctx, tx, in, e, len(first) == 1 && first[0] != "OWN")
	}
	if err := tx.TouchInbound(ctx, db.TouchInboundParams{At: at, Now: tx.Now, WorkspaceID: who.workspace, ID: who.lead}); err != nil {
		return err
	}
	if len(first) == 0 {
		return nil // Told before: by the webhook, the poller, or an earlier run of this event.
	}
	who.message = id
	return d.inbound(ctx, tx, who, in, e)
}

// fromGHL tells whether an event is about a message at GoHighLevel, where our own are.
func fromGHL(in delivery) bool {
	switch webhook.Source(in.inbox.Source) {
	case webhook.Marketplace, webhook.Workflow, webhook.Poller:
		return true
	default:
		return false
	}
}

// inbound is what a lead's words lead to.
func (d Deps) inbound(ctx context.Context, tx *store.Tx, who person, in delivery, e store.Event) error {
	if read := words(in.event); read.Stops() {
		changed, err := tx.SetFlag(ctx, store.Flag{
			Workspace: who.workspace, Lead: who.lead, Channel: in.event.Channel, Status: sending.Opted, Source: sourceStop,
			Evidence: store.Evidence{Rule: read.Rule, Message: &who.message, Unclear: read.Kind == optout.Unclear, At: e.At},
		})
		if err != nil || !changed {
			return err
		}
		if read.Kind == optout.Out && in.event.Channel == sending.SMS {
			if err := d.Sender.Confirm(ctx, tx, sender.Confirmation{Workspace: who.workspace, Lead: who.lead, At: e.At}); err != nil {
				return err
			}
		}
		e.Type = store.EventOptedOut
		return tx.Publish(ctx, e)
	}
	if in.event.Channel == sending.SMS && optout.Rejoins(in.event.Text) {
		if err := rejoin(ctx, tx, who, e.At); err != nil {
			return err
		}
	}
	if who.created {
		return nil // The message that brings a lead in answers nothing of ours.
	}
	return tx.Publish(ctx, e)
}

// rejoin lifts the opt-out of texts of a lead that asks by key word to be written to again: the lead does it, no program.
func rejoin(ctx context.Context, tx *store.Tx, who person, at time.Time) error {
	lifted, err := tx.Rejoin(ctx, store.Rejoined{
		Workspace: who.workspace, Lead: who.lead, Message: who.message, Channel: sending.SMS, At: at,
	})
	if err != nil || !lifted {
		return err
	}
	e := who.event(store.EventDNDChanged, at)
	e.Channel = sending.SMS
	return tx.Publish(ctx, e)
}

// outbound is what follows from a message that somebody else sent: sequences' waits count from a person's. news tells that
// nobody has told of it yet, be it that history has stored it.
func outbound(ctx context.Context, tx *store.Tx, in delivery, e store.Event, news bool) error {
	err := tx.TouchOutbound(ctx, db.TouchOutboundParams{At: e.At, Now: tx.Now, WorkspaceID: e.Workspace, ID: e.Lead})
	person := in.event.Source == "app" || (in.event.Source == "" && in.event.User != "")
	if err != nil || !news || !person {
		return err
	}
	e.Type = store.EventHuman
	return tx.Publish(ctx, e)
}

// countArrival keeps the figures of what webhooks brought and what they did not, by the hour of the message.
func countArrival(ctx context.Context, tx *store.Tx, in delivery, id uuid.UUID, fresh bool) error {
	count := db.CountIngestedParams{WorkspaceID: in.workspace, Hour: happened(in).UTC().Truncate(time.Hour)}
	switch source := webhook.Source(in.inbox.Source); {
	case fresh && source == webhook.Poller:
		count.Found = 1
	case fresh && (source == webhook.Marketplace || source == webhook.Workflow):
		count.Delivered = 1
	case source == webhook.Marketplace || source == webhook.Workflow:
		at, err := tx.ArrivedLate(ctx, db.ArrivedLateParams{WorkspaceID: in.workspace, ID: id})
		if postgres.IsNoRows(err) {
			return nil
		}
		if err != nil {
			return err
		}
		count.Late, count.Hour = 1, at.UTC().Truncate(time.Hour)
	default:
		return nil
	}
	tx.Ingested(count)
	return nil
}

// words reads what a lead's message asks for.
func words(e webhook.Event) optout.Verdict {
	if e.Channel == sending.Email {
		return optout.ReadMail(optout.Mail{Subject: e.Subject, Body: e.Text})
	}
	return optout.Read(e.Text)
}
