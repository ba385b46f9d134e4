package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/secretbox"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
	"github.com/relance/relance/services/sync/internal/work"
)

// Sources of webhooks as stored.
const (
	SourceMarketplace = "marketplace"
	SourceWorkflow    = "workflow"
)

// BodyPlace is where a webhook's raw body is sealed.
func BodyPlace(inbox uuid.UUID) secretbox.AD {
	return secretbox.AD{Table: "webhook_inbox", Column: "body", ID: inbox.String()}
}

// delivery is a stored webhook on its way to its effects.
type delivery struct {
	inbox     db.WebhookInbox
	workspace uuid.UUID
	event     webhook.Event
	// truth is the contact as read back from the provider, nil when it was not read.
	truth *ghl.Contact
}

// processWebhook applies a stored webhook once. last says that no attempt follows, so that a failure parks it.
func (d Deps) processWebhook(ctx context.Context, inbox string, last bool) error {
	id, err := uuid.Parse(inbox)
	if err != nil {
		return fmt.Errorf("process webhook: %w", err)
	}
	in, ok, err := d.load(ctx, id)
	if err != nil || !ok {
		return err
	}
	err = d.apply(ctx, in)
	if err == nil || !last {
		return err
	}
	d.Logger.ErrorContext(ctx, "webhook parked", "inbox", inbox, "event_type", in.event.Type, "error", err)
	return d.park(ctx, in, "PROCESSING_FAILED")
}

func (d Deps) load(ctx context.Context, id uuid.UUID) (delivery, bool, error) {
	var in delivery
	err := d.Store.System(ctx, func(tx *store.Tx) (err error) {
		in.inbox, err = tx.Inbox(ctx, id)
		return err
	})
	if err != nil {
		return in, false, fmt.Errorf("load webhook: %w", err)
	}
	if in.inbox.State != "PENDING" || in.inbox.WorkspaceID == nil {
		return in, false, nil
	}
	in.workspace = *in.inbox.WorkspaceID
	raw, err := d.Store.Open(in.inbox.BodyEnc, BodyPlace(id))
	if err != nil {
		return in, false, err
	}
	if in.inbox.Source == SourceWorkflow {
		in.event, err = webhook.ParseWorkflow([]byte(raw), in.workspace.String(), in.inbox.CreateTime)
	} else {
		in.event, err = webhook.ParseMarketplace([]byte(raw))
	}
	if err != nil {
		return in, false, d.park(ctx, in, "BODY_UNREADABLE")
	}
	return in, true, nil
}

func (d Deps) apply(ctx context.Context, in delivery) error {
	proceed, err := d.readBack(ctx, &in)
	if err != nil || !proceed {
		return err
	}
	err = d.Store.Workspace(ctx, in.workspace, func(tx *store.Tx) error {
		row, err := tx.LockInbox(ctx, in.inbox.ID)
		if err != nil || row.State != "PENDING" {
			return err
		}
		if err := d.effects(ctx, tx, in); err != nil {
			return err
		}
		_, err = tx.CloseInbox(ctx, db.CloseInboxParams{State: "PROCESSED", Now: &tx.Now, ID: in.inbox.ID})
		return err
	})
	if err != nil {
		return fmt.Errorf("apply webhook: %w", err)
	}
	return nil
}

// readBack reads the contact where the webhook alone is not enough: a workflow's hint is not signed, a message names its
// writer by id only, and do-not-disturb may have changed again since. It reports false when the webhook was parked.
func (d Deps) readBack(ctx context.Context, in *delivery) (bool, error) {
	need, err := d.needsTruth(ctx, *in)
	if err != nil || !need {
		return err == nil, err
	}
	account, usable, err := d.account(ctx, in.workspace)
	if err != nil || !usable {
		return err == nil, err
	}
	contact, err := d.Client.Contact(ctx, account, in.event.Lead.ContactID)
	var failed *ghl.ReadError
	switch {
	case err == nil && (contact.Location == "" || contact.Location == account.Location):
		in.truth = &contact
		return true, nil
	case err == nil, errors.As(err, &failed) && failed.NotFound():
		if in.inbox.Source == SourceWorkflow {
			return false, d.park(ctx, *in, string(sending.ContactNotFound))
		}
		return true, nil
	case failed != nil && failed.Verdict.Class == classify.Suspended:
		return true, d.suspend(ctx, in.workspace, failed.Verdict.Refusal.Reason)
	default:
		return false, fmt.Errorf("read contact: %w", err)
	}
}

func (d Deps) needsTruth(ctx context.Context, in delivery) (bool, error) {
	if in.inbox.Source == SourceWorkflow || in.event.Kind == webhook.DND {
		return true, nil
	}
	if in.event.Kind != webhook.Message || !in.event.Inbound {
		return false, nil
	}
	known := false
	err := d.Store.Workspace(ctx, in.workspace, func(tx *store.Tx) error {
		rows, err := tx.MatchLeads(ctx, db.MatchLeadsParams{WorkspaceID: in.workspace, GhlContactID: &in.event.Lead.ContactID})
		known = len(rows) > 0 && (rows[0].Phone != nil || rows[0].Email != nil)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for lead: %w", err)
	}
	return !known, nil
}

// suspend records that the connection cannot be used.
func (d Deps) suspend(ctx context.Context, workspace uuid.UUID, reason sending.Reason) error {
	state := sending.AuthRevoked
	if reason == sending.LocationInactive {
		state = sending.Inactive
	}
	err := d.Store.Workspace(ctx, workspace, func(tx *store.Tx) error {
		_, err := tx.SetConnectionState(ctx, db.SetConnectionStateParams{State: string(state), Now: tx.Now, WorkspaceID: workspace})
		return err
	})
	if err != nil {
		return fmt.Errorf("suspend connection: %w", err)
	}
	return nil
}

func (d Deps) park(ctx context.Context, in delivery, reason string) error {
	err := d.Store.System(ctx, func(tx *store.Tx) error {
		_, err := tx.CloseInbox(ctx, db.CloseInboxParams{State: "PARKED", ErrorReason: reason, Now: &tx.Now, ID: in.inbox.ID})
		return err
	})
	if err != nil {
		return fmt.Errorf("park webhook: %w", err)
	}
	return nil
}

// effects are everything a webhook changes, in one transaction with its inbox row.
func (d Deps) effects(ctx context.Context, tx *store.Tx, in delivery) error {
	facts := in.event.Lead
	if in.truth != nil {
		facts = in.truth.Facts
	}
	facts = facts.Normal("")
	row, created, err := d.leadFor(ctx, tx, in, facts)
	if err != nil || row.ID == uuid.Nil {
		return err
	}
	who := person{workspace: in.workspace, lead: row.ID, created: created}
	if created {
		err := tx.Publish(ctx, store.Event{Type: store.EventCreated, Workspace: who.workspace, Lead: who.lead, At: happened(in)})
		if err != nil {
			return err
		}
	}
	if err := firstContact(ctx, tx, who); err != nil {
		return err
	}
	switch in.event.Kind {
	case webhook.Message:
		return message(ctx, tx, who, in)
	case webhook.DND:
		return doNotDisturb(ctx, tx, who, in)
	default:
		return nil
	}
}

// leadFor finds the lead, and makes one only for somebody who came to us: a new contact, a message from outside, a
// workflow's call. Other events of unknown contacts have no lead and no effect.
func (d Deps) leadFor(ctx context.Context, tx *store.Tx, in delivery, facts lead.Facts) (db.Lead, bool, error) {
	makes := in.inbox.Source == SourceWorkflow || in.event.Type == "ContactCreate" ||
		(in.event.Kind == webhook.Message && in.event.Inbound)
	if !makes {
		rows, err := tx.MatchLeads(ctx, db.MatchLeadsParams{WorkspaceID: in.workspace, GhlContactID: &facts.ContactID})
		if err != nil || len(rows) == 0 {
			return db.Lead{}, false, err
		}
	}
	return tx.UpsertLead(ctx, in.workspace, facts)
}

type person struct {
	workspace, lead uuid.UUID
	created         bool
}

// firstContact starts the history import the first time a lead's webhook comes in.
func firstContact(ctx context.Context, tx *store.Tx, who person) error {
	if _, err := tx.Connection(ctx, who.workspace); err != nil {
		if postgres.IsNoRows(err) {
			return nil
		}
		return err
	}
	n, err := tx.EnsureImport(ctx, db.EnsureImportParams{WorkspaceID: who.workspace, LeadID: who.lead, Channel: string(sending.SMS)})
	if err != nil || n == 0 {
		return err
	}
	return tx.Enqueue(ctx, work.ImportHistory{
		Workspace: who.workspace.String(), Lead: who.lead.String(), Channel: string(sending.SMS),
	}, 0)
}

func message(ctx context.Context, tx *store.Tx, who person, in delivery) error {
	at := happened(in)
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

func happened(in delivery) time.Time {
	switch {
	case !in.event.MessageTime.IsZero():
		return in.event.MessageTime
	case !in.event.Timestamp.IsZero():
		return in.event.Timestamp
	default:
		return in.inbox.CreateTime
	}
}
