package store

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/secretbox"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

// Acceptance says that the provider has a message of ours.
type Acceptance struct {
	Workspace, Lead, Intent uuid.UUID
	// ProviderID is the provider's id of the message.
	ProviderID string
	// At is when the provider took it, as far as is known.
	At time.Time
}

// Accepted shows an accepted send in the lead's timeline. The caller holds the lead's lock and has moved the intent.
func (t *Tx) Accepted(ctx context.Context, a Acceptance) error {
	err := t.DropImportedTwin(ctx, db.DropImportedTwinParams{WorkspaceID: a.Workspace, ProviderMessageID: a.ProviderID, ID: a.Intent})
	if err == nil {
		err = t.AcceptMessage(ctx, db.AcceptMessageParams{ProviderMessageID: a.ProviderID, Now: a.At, WorkspaceID: a.Workspace, ID: a.Intent})
	}
	if err == nil {
		err = t.TouchOutbound(ctx, db.TouchOutboundParams{At: a.At, Now: t.Now, WorkspaceID: a.Workspace, ID: a.Lead})
	}
	if err == nil && sampled(a.Intent) {
		err = t.Enqueue(ctx, work.WatchVisible{Workspace: a.Workspace.String(), Intent: a.Intent.String()}, firstGlance)
	}
	if err != nil {
		return fmt.Errorf("accept message: %w", err)
	}
	return nil
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
