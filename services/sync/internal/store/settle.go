package store

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/secretbox"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

// Acceptance says that the provider has a message of ours.
type Acceptance struct {
	// Intent is the row of the send.
	Intent db.SendIntent
	// ProviderID is the provider's id of the message.
	ProviderID string
	// At is when the provider took it, as far as is known.
	At time.Time
}

// Accepted shows an accepted send in the lead's timeline. The caller holds the lead's lock and has moved the intent.
func (t *Tx) Accepted(ctx context.Context, a Acceptance) error {
	i := a.Intent
	err := t.DropImportedTwin(ctx, db.DropImportedTwinParams{WorkspaceID: i.WorkspaceID, ProviderMessageID: a.ProviderID, ID: i.ID})
	if err == nil {
		err = t.acceptMessage(ctx, a)
	}
	if err == nil {
		err = t.TouchOutbound(ctx, db.TouchOutboundParams{At: a.At, Now: t.Now, WorkspaceID: i.WorkspaceID, ID: i.LeadID})
	}
	if err == nil {
		err = t.sample(ctx, i)
	}
	if err != nil {
		return fmt.Errorf("accept message: %w", err)
	}
	return nil
}

func (t *Tx) acceptMessage(ctx context.Context, a Acceptance) error {
	p := db.AcceptMessageParams{ProviderMessageID: a.ProviderID, Now: a.At, WorkspaceID: a.Intent.WorkspaceID, ID: a.Intent.ID}
	n, err := t.AcceptMessage(ctx, p)
	if err != nil || n > 0 {
		return err
	}
	if err := t.Show(ctx, a.Intent); err != nil {
		return err
	}
	_, err = t.AcceptMessage(ctx, p)
	return err
}

// ErrUnreadable says that the content of a send cannot be opened: its key is gone.
var ErrUnreadable = errors.New("content of a send cannot be read")

// Show makes the timeline's row of a send that has none yet: one of the short way whose call has ended. With ErrUnreadable
// nothing was asked of the database.
func (t *Tx) Show(ctx context.Context, intent db.SendIntent) error {
	row, err := t.ownMessage(intent)
	if err != nil {
		return err
	}
	if _, err := t.InsertMessage(ctx, row); err != nil {
		return fmt.Errorf("store own message: %w", err)
	}
	return nil
}

// ownMessage is the timeline's row of a send, from its intent.
func (t *Tx) ownMessage(intent db.SendIntent) (db.InsertMessageParams, error) {
	content, err := t.store.PlannedContent(intent)
	if err != nil {
		return db.InsertMessageParams{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	row := t.own(Entry{Workspace: intent.WorkspaceID, Lead: intent.LeadID, Channel: sending.Channel(intent.Channel), Body: content.Body}, intent.ID)
	if !intent.CreateTime.IsZero() {
		row.MessageTime, row.Now = intent.CreateTime, intent.CreateTime
	}
	return row, t.sealMessage(&row, content.Subject, content.Body)
}

// OwnMessage reads a message that may be a send whose call has not ended, and which the timeline therefore does not show.
func (t *Tx) OwnMessage(ctx context.Context, workspace, id uuid.UUID) (db.MessageRow, error) {
	found, err := t.Message(ctx, db.MessageParams{WorkspaceID: workspace, ID: id})
	if !postgres.IsNoRows(err) {
		return found, err
	}
	intent, err := t.Intent(ctx, db.IntentParams{WorkspaceID: workspace, ID: id})
	if err != nil {
		return found, err
	}
	row, err := t.ownMessage(intent)
	return db.MessageRow{
		Message: db.Message{
			WorkspaceID: workspace, ID: id, LeadID: row.LeadID, Channel: row.Channel, Direction: row.Direction, Origin: row.Origin,
			SubjectEnc: row.SubjectEnc, BodyEnc: row.BodyEnc, BodyHash: row.BodyHash, MessageTime: row.MessageTime, CreateTime: row.Now, Arrival: row.Arrival,
		},
		State: intent.State, Reason: intent.Reason, RequestID: &intent.RequestID, Attempt: intent.Attempt, NextTime: &intent.NextTime,
		Provider: intent.Provider,
	}, err
}

// sample asks for one message in a hundred whether the provider's lists show it (A2).
func (t *Tx) sample(ctx context.Context, intent db.SendIntent) error {
	if !sampled(intent.ID) {
		return nil
	}
	return t.Enqueue(ctx, work.WatchVisible{Workspace: intent.WorkspaceID.String(), Intent: intent.ID.String()}, firstGlance)
}

// firstGlance is when a sampled message is first looked for in the provider's lists.
const firstGlance = 5 * time.Second

// sampled picks one message in a hundred, by the random end of its id.
func sampled(intent uuid.UUID) bool {
	return binary.BigEndian.Uint16(intent[14:])%100 == 0
}

// Settled is the event that tells followups a send's outcome: ACCEPTED, or the reason it was refused or parked for.
func (t *Tx) Settled(row db.SendIntent, outcome string) Event {
	return Event{
		Type: EventSettled, Workspace: row.WorkspaceID, Lead: row.LeadID, At: t.Now, Outcome: outcome,
		Message: "workspaces/" + row.WorkspaceID.String() + "/messages/" + row.ID.String(), RequestID: row.RequestID.String(),
	}
}

// ContentPlace is where the content of a send is sealed.
func ContentPlace(intent uuid.UUID) secretbox.AD {
	return secretbox.AD{Table: "send_intent", Column: "content", ID: intent.String()}
}

// PlannedContent decrypts what a send says, as it was planned.
func (s *Store) PlannedContent(row db.SendIntent) (sending.Content, error) {
	var content sending.Content
	raw, err := s.Open(row.ContentEnc, ContentPlace(row.ID))
	if err != nil {
		return content, err
	}
	if err := json.Unmarshal([]byte(raw), &content); err != nil {
		return content, fmt.Errorf("read planned content: %w", err)
	}
	return content, nil
}

// Content decrypts what a send says, as it leaves.
func (s *Store) Content(row db.SendIntent) (sending.Content, error) {
	content, err := s.PlannedContent(row)
	return content.Marked(sending.Channel(row.Channel), row.ID.String()), err
}

// TokenPlace is where a workspace's GHL token is sealed.
func TokenPlace(workspace uuid.UUID) secretbox.AD { return SecretPlace(workspace, "ghl", "token") }

// AgencyPlace is where a column of an agency's credentials is sealed.
func AgencyPlace(app, company, column string) secretbox.AD {
	return secretbox.AD{Table: "agency", Column: column, ID: app + "/" + company}
}

// SecretPlace is where a secret of a workspace's connection is sealed: the column token or refresh.
func SecretPlace(workspace uuid.UUID, provider, column string) secretbox.AD {
	id := workspace.String()
	if provider != "ghl" {
		id += "/" + provider
	}
	return secretbox.AD{Table: "connection", Column: column, ID: id}
}
