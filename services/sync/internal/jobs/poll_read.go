package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/poll"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/webhook"
)

const (
	// Bounds of one poll: pages of each channel's list, texts of emails, conversations read one by one.
	pollPages         = 10
	pollEmails        = 50
	pollConversations = 20
)

// errTooMuch says that a window holds more than one poll may read.
var errTooMuch = errors.New("the window holds more than one poll may read")

// read compares a window with what is stored: by the list of messages, and, since that lags behind, by the conversations
// whose newest message is not there yet.
func (p *polling) read(ctx context.Context, w poll.Window) error {
	emails := 0
	for _, channel := range []sending.Channel{sending.SMS, sending.Email} {
		cursor := ""
		for page := 0; ; page++ {
			if page == pollPages {
				return errTooMuch
			}
			q := ghl.RecentQuery{Channel: channel, From: w.From, To: w.To, Cursor: cursor}
			found, next, err := p.Client.Recent(ctx, p.account, q)
			if err = p.counted(err); err != nil {
				return err
			}
			if emails, err = p.take(ctx, w, found, emails); err != nil {
				return err
			}
			if cursor = next; cursor == "" {
				break
			}
		}
	}
	return p.lagging(ctx, w, emails)
}

// counted counts a read for the breaker. A used-up budget says nothing about the provider, nor does a read that was held back.
func (p *polling) counted(err error) error {
	if _, budget := ghl.RateLimited(err); budget {
		return err
	}
	if _, held := provider.HeldBack(err); held {
		return err
	}
	p.reads++
	if err != nil {
		p.failed++
	}
	return err
}

// lagging reads the conversations whose newest message is in the window and is not stored.
func (p *polling) lagging(ctx context.Context, w poll.Window, emails int) error {
	heads, err := p.Client.RecentConversations(ctx, p.account)
	if err = p.counted(err); err != nil {
		return err
	}
	quiet, err := p.quiet(ctx, w, heads)
	if err != nil {
		return err
	}
	for i, head := range quiet {
		if i == pollConversations {
			return errTooMuch
		}
		q := ghl.ConversationQuery{ID: head.ID, Channel: head.Channel}
		found, _, err := p.Client.Conversation(ctx, p.account, q)
		if err = p.counted(err); err != nil {
			return err
		}
		for j := range found {
			found[j].ContactID = head.ContactID
		}
		if emails, err = p.take(ctx, w, found, emails); err != nil {
			return err
		}
	}
	return nil
}

// quiet are the conversations of the window that show a message newer than what is stored of their contact.
func (p *polling) quiet(ctx context.Context, w poll.Window, heads []ghl.ConversationHead) ([]ghl.ConversationHead, error) {
	var contacts []string
	for _, h := range heads {
		if h.Channel != "" && h.At.After(w.From) && !h.At.After(w.To) {
			contacts = append(contacts, h.ContactID)
		}
	}
	if len(contacts) == 0 {
		return nil, nil
	}
	newest := map[string]time.Time{}
	err := p.Store.Workspace(ctx, p.workspace, func(tx *store.Tx) error {
		rows, err := tx.NewestOfContacts(ctx, db.NewestOfContactsParams{WorkspaceID: p.workspace, Contacts: contacts})
		for _, r := range rows {
			newest[r.ContactID] = r.MessageTime
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for newest messages: %w", err)
	}
	var out []ghl.ConversationHead
	for _, h := range heads {
		// Times of conversations are whole milliseconds.
		if h.Channel != "" && h.At.After(w.From) && !h.At.After(w.To) && newest[h.ContactID].Before(h.At.Add(-time.Second)) {
			out = append(out, h)
		}
	}
	return out, nil
}

// take puts what is not stored into the inbox. It answers how many emails' texts have been read so far.
func (p *polling) take(ctx context.Context, w poll.Window, listed []ghl.HistoryMessage, emails int) (int, error) {
	missing, err := p.missing(ctx, w, listed)
	if err != nil {
		return emails, err
	}
	var found []webhook.Found
	for _, m := range missing {
		text := m.Body
		if m.Channel == sending.Email && text == "" && len(m.EmailIDs) > 0 {
			if emails++; emails > pollEmails {
				return emails, errTooMuch
			}
			if text, err = p.Client.EmailBody(ctx, p.account, m.EmailIDs[len(m.EmailIDs)-1]); p.counted(err) != nil {
				return emails, err
			}
		}
		found = append(found, webhook.Found{
			Location: p.location, Contact: m.ContactID, Conversation: m.ConversationID, ID: m.ID, Inbound: m.Inbound, Channel: m.Channel,
			Text: text, Source: m.Source, Status: m.Status, At: m.At,
		})
	}
	return emails, p.put(ctx, found)
}

// missing are the listed messages of the window that are not stored.
func (p *polling) missing(ctx context.Context, w poll.Window, listed []ghl.HistoryMessage) ([]ghl.HistoryMessage, error) {
	var ids []string
	for _, m := range listed {
		ids = append(ids, m.ID)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	known := map[string]bool{}
	err := p.Store.Workspace(ctx, p.workspace, func(tx *store.Tx) error {
		rows, err := tx.KnownMessages(ctx, db.KnownMessagesParams{WorkspaceID: p.workspace, Ids: ids})
		for _, id := range rows {
			known[id] = true
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for known messages: %w", err)
	}
	var out []ghl.HistoryMessage
	for _, m := range listed {
		if !known[m.ID] && lead.ValidID(m.ContactID) && m.At.After(w.From) && !m.At.After(w.To) {
			out = append(out, m)
			known[m.ID] = true
		}
	}
	return out, nil
}

// put stores found messages as webhooks that came now. One that was found before is left alone.
func (p *polling) put(ctx context.Context, found []webhook.Found) error {
	if len(found) == 0 {
		return nil
	}
	fresh := 0
	err := p.Store.Workspace(ctx, p.workspace, func(tx *store.Tx) error {
		fresh = 0
		for _, f := range found {
			n, err := p.putOne(ctx, tx, f)
			if err != nil {
				return err
			}
			fresh += n
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store found messages: %w", err)
	}
	p.found += fresh
	p.ingestion().found.Add(ctx, int64(fresh))
	return nil
}

func (p *polling) putOne(ctx context.Context, tx *store.Tx, f webhook.Found) (int, error) {
	body, err := f.Body()
	if err != nil {
		return 0, err
	}
	event, err := webhook.Parse(webhook.Delivery{Source: webhook.Poller, Body: body, Workspace: p.workspace.String(), Received: tx.Now})
	if errors.Is(err, webhook.ErrBody) {
		return 0, nil // Longer than any webhook may be, or with an id that is none: no webhook could have brought it either.
	}
	if err != nil {
		return 0, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return 0, err
	}
	sealed, err := tx.Seal(string(body), BodyPlace(id))
	if err != nil {
		return 0, err
	}
	n, err := tx.InsertInbox(ctx, db.InsertInboxParams{
		ID: id, WorkspaceID: &p.workspace, Source: string(webhook.Poller), WebhookID: event.WebhookID, EventType: event.Type,
		Location: p.location, BodyEnc: sealed, State: "PENDING", Now: tx.Now,
	})
	if err != nil || n == 0 {
		return 0, err
	}
	tx.Waiting(p.workspace)
	return 1, nil
}
