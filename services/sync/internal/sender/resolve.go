package sender

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

// Decision is what a person found out about a parked send.
type Decision string

// Decisions, as stored.
const (
	// DecideAccepted: the provider has it.
	DecideAccepted Decision = "ACCEPTED"
	// DecideNotSent: it was not sent, and shall not be.
	DecideNotSent Decision = "NOT_SENT"
	// DecideSendAgain: it was not sent; the same words leave as a new send.
	DecideSendAgain Decision = "SEND_AGAIN"
)

// ErrNoMessage: the workspace has no such send.
var ErrNoMessage = errors.New("no such send")

// NotParkedError says that a send does not wait for a person.
type NotParkedError struct {
	// State is where it stands.
	State sending.State
}

// Error names the state.
func (e *NotParkedError) Error() string {
	return "send is " + string(e.State) + " and waits for nobody"
}

// ClaimedError says that a provider message belongs to another send.
type ClaimedError struct {
	// Message is that send.
	Message uuid.UUID
}

// Error names the send.
func (e *ClaimedError) Error() string {
	return "provider message belongs to send " + e.Message.String()
}

// Resolution is a person's decision.
type Resolution struct {
	Workspace, Message, RequestID uuid.UUID
	Decision                      Decision
	// ProviderID is the provider's id of the message, for DecideAccepted.
	ProviderID string
	// Principal is who decided.
	Principal string
}

// Resolve records a decision about a parked send, once, and does what follows from it in the same commit. It tells the new
// send of DecideSendAgain. The same request id with the same decision is answered the same. Errors: ErrNoMessage,
// NotParkedError, ClaimedError, sending.ReusedError, database errors.
func (s *Sender) Resolve(ctx context.Context, r Resolution) (*uuid.UUID, error) {
	var again *uuid.UUID
	err := s.Store.Workspace(ctx, r.Workspace, func(tx *store.Tx) (err error) {
		again, err = s.resolve(ctx, tx, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("resolve send: %w", err)
	}
	return again, nil
}

func (s *Sender) resolve(ctx context.Context, tx *store.Tx, r Resolution) (*uuid.UUID, error) {
	row, err := s.lockParked(ctx, tx, r)
	if err != nil {
		return nil, err
	}
	before, err := tx.ResolutionByRequest(ctx, db.ResolutionByRequestParams{WorkspaceID: r.Workspace, RequestID: r.RequestID})
	if err == nil {
		return before.NewIntentID, r.same(before)
	}
	if !postgres.IsNoRows(err) {
		return nil, err
	}
	if _, err := tx.Resolution(ctx, db.ResolutionParams{WorkspaceID: r.Workspace, IntentID: r.Message}); !postgres.IsNoRows(err) {
		if err == nil {
			err = &NotParkedError{State: sending.State(row.State)}
		}
		return nil, err
	}
	if sending.State(row.State) != sending.Parked ||
		r.Decision == DecideAccepted && !sending.CanMove(sending.Parked, sending.Reason(row.Reason), sending.Accepted) {
		return nil, &NotParkedError{State: sending.State(row.State)}
	}
	again, err := s.decide(ctx, tx, r, row)
	if err != nil {
		return nil, err
	}
	return again, tx.InsertResolution(ctx, db.InsertResolutionParams{
		WorkspaceID: r.Workspace, IntentID: r.Message, RequestID: r.RequestID, Action: string(r.Decision), ProviderMessageID: r.ProviderID,
		NewIntentID: again, Principal: r.Principal, Now: tx.Now,
	})
}

func (s *Sender) lockParked(ctx context.Context, tx *store.Tx, r Resolution) (db.SendIntent, error) {
	row, err := tx.Intent(ctx, db.IntentParams{WorkspaceID: r.Workspace, ID: r.Message})
	if postgres.IsNoRows(err) {
		return row, ErrNoMessage
	}
	if err != nil {
		return row, err
	}
	// The lead first: every writer takes lead and intent in this order.
	if _, err := tx.LockLead(ctx, db.LockLeadParams{WorkspaceID: r.Workspace, ID: row.LeadID}); err != nil {
		return row, err
	}
	return tx.LockIntent(ctx, db.LockIntentParams{WorkspaceID: r.Workspace, ID: r.Message})
}

// same refuses a request id that was used for another decision.
func (r Resolution) same(before db.SendResolution) error {
	var fields []string
	for _, f := range []struct {
		name    string
		differs bool
	}{
		{"name", before.IntentID != r.Message},
		{"resolution", before.Action != string(r.Decision)},
		{"provider_message_id", before.ProviderMessageID != r.ProviderID},
	} {
		if f.differs {
			fields = append(fields, f.name)
		}
	}
	if len(fields) > 0 {
		return &sending.ReusedError{Fields: fields}
	}
	return nil
}

func (s *Sender) decide(ctx context.Context, tx *store.Tx, r Resolution, row db.SendIntent) (*uuid.UUID, error) {
	switch r.Decision {
	case DecideAccepted:
		return nil, acceptParked(ctx, tx, r, row)
	case DecideSendAgain:
		return s.planAgain(ctx, tx, row)
	default:
		return nil, nil
	}
}

// acceptParked is T11 with a person as the evidence.
func acceptParked(ctx context.Context, tx *store.Tx, r Resolution, row db.SendIntent) error {
	holder, err := tx.IntentByProvider(ctx, db.IntentByProviderParams{WorkspaceID: r.Workspace, ProviderMessageID: r.ProviderID})
	if err == nil {
		return &ClaimedError{Message: holder.ID}
	}
	if !postgres.IsNoRows(err) {
		return err
	}
	_, err = tx.SettleIntent(ctx, db.SettleIntentParams{
		State: string(sending.Accepted), ReasonMeta: []byte("{}"), Now: tx.Now, ProviderMessageID: &r.ProviderID, WorkspaceID: r.Workspace,
		ID: row.ID, Attempt: row.Attempt, Sources: sending.Sources(sending.Accepted, sending.T11),
	})
	if err != nil {
		return err
	}
	err = tx.RecordLook(ctx, db.RecordLookParams{
		WorkspaceID: r.Workspace, IntentID: row.ID, Attempt: row.Attempt, Source: "person", Result: "found", Rule: string(sending.T11),
		Candidates: []string{r.ProviderID},
	})
	if err != nil {
		return err
	}
	at := store.Deref(row.ClaimTime)
	if at.IsZero() {
		at = tx.Now
	}
	err = tx.Accepted(ctx, store.Acceptance{Intent: row, ProviderID: r.ProviderID, At: at})
	if err != nil {
		return err
	}
	return tx.Publish(ctx, tx.Settled(row, string(sending.Accepted)))
}

// planAgain plans the words of a parked send as a new one that names it. Conditions of the old one do not bind a person.
func (s *Sender) planAgain(ctx context.Context, tx *store.Tx, row db.SendIntent) (*uuid.UUID, error) {
	content, err := s.Store.PlannedContent(row)
	if err != nil {
		return nil, err
	}
	id, err := s.insert(ctx, tx, Request{
		Workspace: row.WorkspaceID, Lead: row.LeadID, RequestID: uuid.NewSHA1(row.ID, []byte("send again")),
		Channel: sending.Channel(row.Channel), Content: content, Policy: sending.Policy(row.Policy), replaces: &row.ID,
		ReplyTo: row.ReplyTo, via: provider.Kind(row.Provider),
	})
	if err != nil {
		return nil, err
	}
	return &id, tx.Enqueue(ctx, work.ResumeSend{Workspace: row.WorkspaceID.String(), Intent: id.String()}, 0)
}
