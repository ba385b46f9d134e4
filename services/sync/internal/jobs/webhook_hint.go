package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
)

// hintSpan is how far from a hint's arrival its message is looked for.
const hintSpan = 15 * time.Minute

// findHinted reads the message that a workflow told of back from the provider. What the workflow said is not signed and has
// no id; what is stored is the provider's word only. All messages of the time that are not stored are taken, so that two of
// one text are two.
func (d Deps) findHinted(ctx context.Context, in *delivery, account ghl.Account) error {
	ids, err := d.Client.Conversations(ctx, account, in.event.Lead.ContactID)
	if err != nil {
		return fmt.Errorf("look for conversations: %w", err)
	}
	want, seen := sending.TextHash(in.event.Text), false
	var near []ghl.HistoryMessage
	for _, id := range ids {
		page, _, err := d.Client.Conversation(ctx, account, ghl.ConversationQuery{ID: id, Channel: in.event.Channel})
		if err != nil {
			return fmt.Errorf("look for message: %w", err)
		}
		for _, m := range page {
			if !m.Inbound || m.At.Sub(in.inbox.CreateTime).Abs() > hintSpan {
				continue
			}
			near = append(near, m)
			// The list shows no text of emails; one of the time is taken as the one that was meant.
			seen = seen || in.event.Channel == sending.Email || string(sending.TextHash(m.Body)) == string(want)
		}
	}
	if !seen {
		return errMessageAbsent
	}
	return d.takeHinted(ctx, in, account, near)
}

// takeHinted keeps the messages that are not stored, as the provider tells them.
func (d Deps) takeHinted(ctx context.Context, in *delivery, account ghl.Account, near []ghl.HistoryMessage) error {
	var ids []string
	for _, m := range near {
		ids = append(ids, m.ID)
	}
	told := map[string]bool{}
	err := d.Store.Workspace(ctx, in.workspace, func(tx *store.Tx) error {
		rows, err := tx.AnnouncedMessages(ctx, db.AnnouncedMessagesParams{WorkspaceID: in.workspace, Ids: ids})
		for _, id := range rows {
			told[id] = true
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("look for known messages: %w", err)
	}
	for _, m := range near {
		if told[m.ID] {
			continue
		}
		if m.Channel == sending.Email && m.Body == "" && len(m.EmailIDs) > 0 {
			if m.Body, err = d.Client.EmailBody(ctx, account, m.EmailIDs[len(m.EmailIDs)-1]); err != nil {
				return fmt.Errorf("read email: %w", err)
			}
		}
		in.found = append(in.found, m)
	}
	return nil
}

// contactOnly applies what a hint says of the contact while its message does not show yet.
func (d Deps) contactOnly(ctx context.Context, in delivery) error {
	in.event.Kind = webhook.Contact
	err := d.Store.Workspace(ctx, in.workspace, func(tx *store.Tx) error {
		row, err := tx.LockInbox(ctx, in.inbox.ID)
		if err != nil || row.State != "PENDING" {
			return err
		}
		return d.effects(ctx, tx, in)
	})
	if err != nil {
		return fmt.Errorf("apply webhook: %w", err)
	}
	return nil
}

// hinted applies the messages that were found for a hint.
func (d Deps) hinted(ctx context.Context, tx *store.Tx, who person, in delivery) error {
	for _, m := range in.found {
		one := in
		one.event.MessageID, one.event.Text, one.event.Subject = m.ID, m.Body, ""
		one.event.MessageTime, one.event.ConversationID = m.At, m.ConversationID
		one.event.Source, one.event.Status = m.Source, m.Status
		if err := d.message(ctx, tx, who, one); err != nil {
			return err
		}
	}
	return nil
}
