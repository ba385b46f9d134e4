package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/secretbox"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Entry is a message that came to us: by webhook or from the provider's history.
type Entry struct {
	Workspace, Lead uuid.UUID
	Channel         sending.Channel
	Inbound         bool
	Subject, Body   string
	// ProviderID is the provider's id, WebhookKey the key of a webhook that had none. One of them is set.
	ProviderID, WebhookKey string
	At                     time.Time
	// Arrival is the way it came: webhook, poll, or import when empty.
	Arrival string
}

// Ways in which messages come.
const (
	ByWebhook = "webhook"
	ByPoll    = "poll"
	byImport  = "import"
	bySend    = "send"
)

// Record stores a message once, whichever way it comes, and reports whether it was new. The caller holds the lead's lock.
func (t *Tx) Record(ctx context.Context, e Entry) (uuid.UUID, bool, error) {
	id, known, err := t.known(ctx, e)
	if err != nil || known {
		return id, false, err
	}
	if id, err = uuid.NewV7(); err != nil {
		return uuid.Nil, false, fmt.Errorf("record message: %w", err)
	}
	row := db.InsertMessageParams{
		WorkspaceID: e.Workspace, ID: id, LeadID: e.Lead, Channel: string(e.Channel), Direction: "outbound", Origin: "IMPORTED",
		BodyHash: sending.TextHash(e.Body), ProviderMessageID: opt(e.ProviderID), WebhookKey: opt(e.WebhookKey), MessageTime: e.At, Now: t.Now,
		Arrival: byImport,
	}
	if e.Arrival != "" {
		row.Arrival = e.Arrival
	}
	if e.Inbound {
		row.Direction, row.Origin = "inbound", "RECEIVED"
	}
	if err := t.sealMessage(&row, e.Subject, e.Body); err != nil {
		return uuid.Nil, false, err
	}
	n, err := t.InsertMessage(ctx, row)
	if err != nil {
		return uuid.Nil, false, fmt.Errorf("record message: %w", err)
	}
	return id, n > 0, nil
}

func (t *Tx) known(ctx context.Context, e Entry) (uuid.UUID, bool, error) {
	var id uuid.UUID
	var err error
	if e.ProviderID != "" {
		id, err = t.MessageByProvider(ctx, db.MessageByProviderParams{WorkspaceID: e.Workspace, ProviderMessageID: e.ProviderID})
	} else {
		id, err = t.MessageByWebhook(ctx, db.MessageByWebhookParams{WorkspaceID: e.Workspace, WebhookKey: e.WebhookKey})
	}
	if err == nil {
		return id, true, nil
	}
	if !postgres.IsNoRows(err) {
		return uuid.Nil, false, fmt.Errorf("look for message: %w", err)
	}
	return t.adoptTwin(ctx, e)
}

// adoptTwin finds the same message stored by the other way in, and gives it the key it lacked.
func (t *Tx) adoptTwin(ctx context.Context, e Entry) (uuid.UUID, bool, error) {
	direction := "outbound"
	if e.Inbound {
		direction = "inbound"
	}
	twin, err := t.TwinMessage(ctx, db.TwinMessageParams{
		WorkspaceID: e.Workspace, LeadID: e.Lead, Channel: string(e.Channel), Direction: direction,
		BodyHash: sending.TextHash(e.Body), At: e.At, ByProvider: e.ProviderID != "",
	})
	switch {
	case postgres.IsNoRows(err):
		return uuid.Nil, false, nil
	case err != nil:
		return uuid.Nil, false, fmt.Errorf("look for twin message: %w", err)
	case e.ProviderID != "":
		err = t.AdoptProviderID(ctx, db.AdoptProviderIDParams{ProviderMessageID: e.ProviderID, WorkspaceID: e.Workspace, ID: twin.ID})
	default:
		err = t.AdoptWebhookKey(ctx, db.AdoptWebhookKeyParams{WebhookKey: e.WebhookKey, WorkspaceID: e.Workspace, ID: twin.ID})
	}
	if err != nil {
		return uuid.Nil, false, fmt.Errorf("adopt twin message: %w", err)
	}
	return twin.ID, true, nil
}

// Own stores the timeline row of a send, with the id of its intent.
func (t *Tx) Own(ctx context.Context, e Entry, intent uuid.UUID) error {
	row := t.own(e, intent)
	if err := t.sealMessage(&row, e.Subject, e.Body); err != nil {
		return err
	}
	if _, err := t.InsertMessage(ctx, row); err != nil {
		return fmt.Errorf("store own message: %w", err)
	}
	return nil
}

func (t *Tx) own(e Entry, intent uuid.UUID) db.InsertMessageParams {
	return db.InsertMessageParams{
		WorkspaceID: e.Workspace, ID: intent, LeadID: e.Lead, Channel: string(e.Channel), Direction: "outbound", Origin: "OWN",
		BodyHash: sending.TextHash(e.Body), MessageTime: t.Now, Now: t.Now, Arrival: bySend,
	}
}

func (t *Tx) sealMessage(row *db.InsertMessageParams, subject, body string) (err error) {
	if row.BodyEnc, err = t.Seal(body, place("body", row.ID)); err != nil {
		return err
	}
	if subject != "" {
		row.SubjectEnc, err = t.Seal(subject, place("subject", row.ID))
	}
	return err
}

func place(column string, id uuid.UUID) secretbox.AD {
	return secretbox.AD{Table: "message", Column: column, ID: id.String()}
}

// Text decrypts a message's subject and body.
func (s *Store) Text(m db.Message) (subject, body string, err error) {
	if subject, err = s.Open(m.SubjectEnc, place("subject", m.ID)); err != nil {
		return "", "", err
	}
	body, err = s.Open(m.BodyEnc, place("body", m.ID))
	return subject, body, err
}
