package ghl

import (
	"context"
	"net/url"
	"slices"
	"time"

	"github.com/relance/relance/services/sync/internal/lead"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/webhook"
)

// HistoryMessage is one message of the provider's history.
type HistoryMessage struct {
	ID      string
	Inbound bool
	Channel sending.Channel
	// Body is empty in lists for email, whose texts are read by EmailBody.
	Body   string
	Source string
	Status string
	At     time.Time
	// ConversationID is the provider's conversation, ContactID its contact.
	ConversationID, ContactID string
	// EmailIDs name the texts of an email.
	EmailIDs []string
}

// exportPage is how many messages a page of the export has: the most that the provider gives.
const exportPage = "500"

// HistoryQuery asks for a page of a contact's history.
type HistoryQuery struct {
	ContactID string
	Channel   sending.Channel
	// Cursor is the token of the page before, empty for the first.
	Cursor string
	// From and To bound the provider's times, both included; zero for no bound.
	From, To time.Time
}

// History reads one page, newest first, and the cursor of the next, empty on the last. Errors: ErrID, ReadError.
func (c *Client) History(ctx context.Context, who Account, q HistoryQuery) ([]HistoryMessage, string, error) {
	if !lead.ValidID(q.ContactID) || !lead.ValidID(who.Location) {
		return nil, "", ErrID
	}
	query := url.Values{
		"locationId": {who.Location}, "contactId": {q.ContactID}, "limit": {exportPage}, "sortBy": {"createdAt"}, "sortOrder": {"desc"},
		"channel": {map[sending.Channel]string{sending.SMS: "SMS", sending.Email: "Email"}[q.Channel]},
	}
	if q.Cursor != "" {
		query.Set("cursor", q.Cursor)
	}
	if !q.From.IsZero() {
		query.Set("startDate", q.From.UTC().Format(time.RFC3339Nano))
	}
	if !q.To.IsZero() {
		query.Set("endDate", q.To.UTC().Format(time.RFC3339Nano))
	}
	var answer exportAnswer
	err := c.get(ctx, call{path: "/conversations/messages/export", version: versionConversations, query: query, who: who}, &answer)
	if err != nil {
		return nil, "", err
	}
	if answer.Messages == nil {
		return nil, "", garbled() // an answer without a list says nothing about what is there
	}
	next := ""
	if answer.NextCursor != nil {
		next = *answer.NextCursor
	}
	return understood(*answer.Messages, q.Channel), next, nil
}

// understood keeps the messages of a channel that have an id and a direction.
func understood(rows []listed, channel sending.Channel) []HistoryMessage {
	out := make([]HistoryMessage, 0, len(rows))
	for _, m := range rows {
		of := channel
		if name, ok := m.MessageType.(string); ok {
			of = webhook.ChannelOf(name)
		}
		if m.ID == "" || of != channel || (m.Direction != "inbound" && m.Direction != "outbound") {
			continue
		}
		out = append(out, HistoryMessage{
			ID: m.ID, Inbound: m.Direction == "inbound", Channel: of, Body: m.Body, Source: m.Source, Status: m.Status,
			At: m.DateAdded, ConversationID: m.ConversationID, ContactID: m.ContactID, EmailIDs: m.Meta.Email.MessageIDs,
		})
	}
	return out
}

func garbled() error { return provider.Garbled() }

// Conversations lists the ids of a contact's conversations. Errors: ErrID, ReadError.
func (c *Client) Conversations(ctx context.Context, who Account, contact string) ([]string, error) {
	if !lead.ValidID(contact) || !lead.ValidID(who.Location) {
		return nil, ErrID
	}
	var answer struct {
		Conversations *[]struct {
			ID        string `json:"id"`
			ContactID string `json:"contactId"`
		} `json:"conversations"`
	}
	query := url.Values{"locationId": {who.Location}, "contactId": {contact}, "limit": {"100"}}
	err := c.get(ctx, call{path: "/conversations/search", version: versionConversations, query: query, who: who}, &answer)
	if err != nil {
		return nil, err
	}
	if answer.Conversations == nil {
		return nil, garbled()
	}
	var out []string
	for _, conversation := range *answer.Conversations {
		if conversation.ContactID == contact && lead.ValidID(conversation.ID) && !slices.Contains(out, conversation.ID) {
			out = append(out, conversation.ID)
		}
	}
	return out, nil
}

// ConversationQuery asks for a page of a conversation.
type ConversationQuery struct {
	// ID is the conversation.
	ID      string
	Channel sending.Channel
	// Cursor is the token of the page before, empty for the first.
	Cursor string
}

// Conversation reads one page of a conversation, newest first, and the cursor of the next, empty on the last. It is the
// second list beside History, with an index of its own. Errors: ErrID, ReadError.
func (c *Client) Conversation(ctx context.Context, who Account, q ConversationQuery) ([]HistoryMessage, string, error) {
	if !lead.ValidID(q.ID) {
		return nil, "", ErrID
	}
	query := url.Values{
		"limit": {"100"}, "type": {map[sending.Channel]string{sending.SMS: "TYPE_SMS", sending.Email: "TYPE_EMAIL"}[q.Channel]},
	}
	if q.Cursor != "" {
		query.Set("lastMessageId", q.Cursor)
	}
	var answer conversationAnswer
	in := call{path: "/conversations/" + q.ID + "/messages", version: versionConversations, query: query, who: who}
	if err := c.get(ctx, in, &answer); err != nil {
		return nil, "", err
	}
	if answer.Messages.Messages == nil {
		return nil, "", garbled()
	}
	next := ""
	if answer.Messages.NextPage {
		next = answer.Messages.LastMessageID
		if next == "" {
			return nil, "", garbled() // more is promised, and no way to it given
		}
	}
	return understood(*answer.Messages.Messages, q.Channel), next, nil
}

// EmailBody reads the HTML of one email by an id of HistoryMessage.EmailIDs. Errors: ErrID, ReadError.
func (c *Client) EmailBody(ctx context.Context, who Account, id string) (string, error) {
	_, body, err := c.Email(ctx, who, id)
	return body, err
}

// Email reads the subject and the HTML of one email. Errors: ErrID, ReadError.
func (c *Client) Email(ctx context.Context, who Account, id string) (subject, body string, err error) {
	if !lead.ValidID(id) {
		return "", "", ErrID
	}
	var answer struct {
		Subject string  `json:"subject"`
		Body    *string `json:"body"`
	}
	in := call{path: "/conversations/messages/email/" + id, version: versionConversations, who: who}
	if err := c.get(ctx, in, &answer); err != nil {
		return "", "", err
	}
	if answer.Body == nil {
		return "", "", garbled()
	}
	return answer.Subject, *answer.Body, nil
}

// MessageStatus reads the delivery status of one message. Errors: ErrID, ReadError.
func (c *Client) MessageStatus(ctx context.Context, who Account, id string) (string, error) {
	if !lead.ValidID(id) {
		return "", ErrID
	}
	var answer struct {
		ID     string `json:"id"`
		Status string `json:"status"`
	}
	in := call{path: "/conversations/messages/" + id, version: versionConversations, who: who}
	if err := c.get(ctx, in, &answer); err != nil {
		return "", err
	}
	if answer.ID == "" {
		return "", garbled()
	}
	return answer.Status, nil
}
