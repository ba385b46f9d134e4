package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/secretbox"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Reply names an email that can be answered.
type Reply struct {
	// Message is ours.
	Message uuid.UUID
	// Provider brought it and takes the answer.
	Provider string
}

func targetPlace(message uuid.UUID) secretbox.AD {
	return secretbox.AD{Table: "reply_target", Column: "target", ID: message.String()}
}

// KeepTarget stores what it takes to answer a message, once.
func (t *Tx) KeepTarget(ctx context.Context, workspace uuid.UUID, of Reply, target sending.Target) error {
	raw, err := json.Marshal(target)
	if err != nil {
		return fmt.Errorf("keep reply target: %w", err)
	}
	sealed, err := t.Seal(string(raw), targetPlace(of.Message))
	if err != nil {
		return err
	}
	err = t.InsertReplyTarget(ctx, db.InsertReplyTargetParams{
		WorkspaceID: workspace, MessageID: of.Message, Provider: of.Provider, TargetEnc: sealed, Now: t.Now,
	})
	if err != nil {
		return fmt.Errorf("keep reply target: %w", err)
	}
	return nil
}

// Target gives what it takes to answer the message that a send answers, and false when there is nothing.
func (t *Tx) Target(ctx context.Context, row db.SendIntent) (target sending.Target, ok bool, err error) {
	if row.ReplyTo == nil {
		return target, false, nil
	}
	found, err := t.ReplyTarget(ctx, db.ReplyTargetParams{WorkspaceID: row.WorkspaceID, MessageID: *row.ReplyTo, LeadID: row.LeadID})
	if postgres.IsNoRows(err) {
		return target, false, nil
	}
	if err != nil {
		return target, false, fmt.Errorf("read reply target: %w", err)
	}
	raw, err := t.store.Open(found.TargetEnc, targetPlace(found.MessageID))
	if err != nil {
		return target, false, err
	}
	if err := json.Unmarshal([]byte(raw), &target); err != nil {
		return target, false, fmt.Errorf("read reply target: %w", err)
	}
	return target, target.Usable(row.Provider), nil
}

// Emails tells what of a lead's emails can be answered: whether the newest one it wrote can, by whom, and the newest that
// can at all. Both are nil when nothing can.
func (t *Tx) Emails(ctx context.Context, workspace, lead uuid.UUID) (newest, other *Reply, err error) {
	rows, err := t.NewestEmails(ctx, db.NewestEmailsParams{WorkspaceID: workspace, LeadID: lead})
	if err != nil {
		return nil, nil, fmt.Errorf("read newest emails: %w", err)
	}
	var wrote uuid.UUID
	for _, r := range rows {
		if r.Provider == "" {
			wrote = r.ID
			continue
		}
		other = &Reply{Message: r.ID, Provider: r.Provider}
	}
	if other != nil && other.Message == wrote {
		newest = other
	}
	return newest, other, nil
}
