package ghl

import (
	"context"
	"net/url"
	"time"

	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/webhook"
)

// RecentQuery asks for a page of a location's messages.
type RecentQuery struct {
	Channel sending.Channel
	// From and To bound the provider's times, both included.
	From, To time.Time
	// Cursor is the token of the page before, empty for the first.
	Cursor string
}

// Recent reads one page of a location's messages of a span of time, newest change first, since the provider cuts long lists
// off at their end, and the cursor of the next page, empty on the last. Errors: ErrID, ReadError.
func (c *Client) Recent(ctx context.Context, who Account, q RecentQuery) ([]HistoryMessage, string, error) {
	if !lead.ValidID(who.Location) {
		return nil, "", ErrID
	}
	query := url.Values{
		"locationId": {who.Location}, "limit": {exportPage}, "sortBy": {"updatedAt"}, "sortOrder": {"desc"},
		"channel":   {map[sending.Channel]string{sending.SMS: "SMS", sending.Email: "Email"}[q.Channel]},
		"startDate": {q.From.UTC().Format(time.RFC3339Nano)}, "endDate": {q.To.UTC().Format(time.RFC3339Nano)},
	}
	if q.Cursor != "" {
		query.Set("cursor", q.Cursor)
	}
	var answer exportAnswer
	err := c.get(ctx, call{path: "/conversations/messages/export", version: versionConversations, query: query, who: who}, &answer)
	if err != nil {
		return nil, "", err
	}
	if answer.Messages == nil {
		return nil, "", garbled()
	}
	next := ""
	if answer.NextCursor != nil && *answer.NextCursor != q.Cursor {
		next = *answer.NextCursor
	}
	return understood(*answer.Messages, q.Channel), next, nil
}

// ConversationHead is a conversation as the search shows it.
type ConversationHead struct {
	ID, ContactID string
	// Channel is that of the newest message, empty for one that is not followed.
	Channel sending.Channel
	// At is when the newest message was written.
	At time.Time
}

// RecentConversations lists up to 100 conversations of a location, newest message first. Errors: ErrID, ReadError.
func (c *Client) RecentConversations(ctx context.Context, who Account) ([]ConversationHead, error) {
	if !lead.ValidID(who.Location) {
		return nil, ErrID
	}
	query := url.Values{
		"locationId": {who.Location}, "limit": {"100"}, "sortBy": {"last_message_date"}, "sort": {"desc"}, "status": {"all"},
	}
	var answer struct {
		Conversations *[]struct {
			ID          string  `json:"id"`
			ContactID   string  `json:"contactId"`
			LastType    string  `json:"lastMessageType"`
			LastMessage float64 `json:"lastMessageDate"`
		} `json:"conversations"`
	}
	err := c.get(ctx, call{path: "/conversations/search", version: versionConversations, query: query, who: who}, &answer)
	if err != nil {
		return nil, err
	}
	if answer.Conversations == nil {
		return nil, garbled()
	}
	var out []ConversationHead
	for _, h := range *answer.Conversations {
		if !lead.ValidID(h.ID) || !lead.ValidID(h.ContactID) || h.LastMessage <= 0 || h.LastMessage > 1<<43 {
			continue
		}
		out = append(out, ConversationHead{
			ID: h.ID, ContactID: h.ContactID, Channel: webhook.ChannelOf(h.LastType), At: time.UnixMilli(int64(h.LastMessage)),
		})
	}
	return out, nil
}
