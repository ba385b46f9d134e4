package simulator

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// messageObject is a message as lists and reads show it; lists write theirs by list.row. E-mail bodies are not in it:
// they need a second call, to messages/email/{id}.
func (s *Simulator) messageObject(m *Message) object {
	number, name := messageType(m.Channel)
	out := object{
		"id": m.ID, "type": number, "messageType": name, "locationId": m.Location, "contactId": m.Contact,
		"conversationId": m.ConversationID, "dateAdded": stamp(m.DateAdded), "direction": m.Direction,
		"status": m.statusAt(s.now()), "contentType": "text/plain", "attachments": []string{},
	}
	if m.Channel == Email {
		out["contentType"] = "text/html"
		out["meta"] = object{"email": object{"messageIds": []string{m.EmailMessageID}}}
	} else {
		out["body"] = m.Body
	}
	if m.Source != "" {
		out["source"] = m.Source
	}
	return out
}

// message is GET /conversations/messages/{id}.
func (s *Simulator) message(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.world.messages[c.params["id"]]
	if m == nil || m.Location != c.location || !m.visible(s.now(), "") {
		return refuse(http.StatusBadRequest, "Message does not exist with id "+c.params["id"])
	}
	c.contact, c.channel = m.Contact, m.Channel
	return reply(http.StatusOK, s.messageObject(m))
}

// emailMessage is GET /conversations/messages/email/{id}.
func (s *Simulator) emailMessage(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.world.messages[c.params["id"]]
	if m == nil || m.Channel != Email || m.Location != c.location || !m.visible(s.now(), "") {
		return refuse(http.StatusBadRequest, "Email message does not exist with id "+c.params["id"])
	}
	c.contact, c.channel = m.Contact, m.Channel
	address := ""
	if contact := s.world.contacts[m.Contact]; contact != nil {
		address = contact.Email
	}
	from, to := "team@example.com", address
	if m.Direction == Inbound {
		from, to = to, from
	}
	return reply(http.StatusOK, object{
		"id": m.EmailMessageID, "altId": m.ID, "threadId": m.EmailMessageID, "locationId": m.Location,
		"contactId": m.Contact, "conversationId": m.ConversationID, "dateAdded": stamp(m.DateAdded),
		"subject": m.Subject, "body": m.Body, "direction": m.Direction, "status": m.statusAt(s.now()),
		"contentType": "text/html", "attachments": []string{}, "provider": "Leadconnector Gmail",
		"from": from, "to": []string{to}, "cc": []string{}, "bcc": []string{}, "source": m.Source,
	})
}

// conversationMessages is GET /conversations/{id}/messages, newest first.
func (s *Simulator) conversationMessages(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	conv := s.world.conversations[c.params["id"]]
	if conv == nil || conv.location != c.location {
		return refuse(http.StatusBadRequest, "Conversation with id "+c.params["id"]+" not found")
	}
	c.contact = conv.contact
	limit, err := numberIn(c.query.Get("limit"), bounds{least: 1, most: 100, fallback: 20})
	if err != nil {
		return invalid("limit " + err.Error())
	}
	rows := s.visibleMessages(conv, c.query.Get("type"))
	if last := c.query.Get("lastMessageId"); last != "" {
		at := slices.IndexFunc(rows, func(m *Message) bool { return m.ID == last })
		if at < 0 {
			return refuse(http.StatusBadRequest, "Message does not exist with id "+last)
		}
		rows = rows[at+1:]
	}
	page := rows[:min(limit, len(rows))]
	return conversationPage(page, s.now(), len(rows) > len(page))
}

// visibleMessages are a conversation's messages, newest first, of the comma-separated
// types asked for ("" means all).
func (s *Simulator) visibleMessages(conv *conversation, types string) []*Message {
	now, wanted := s.now(), strings.Split(types, ",")
	out := make([]*Message, 0, len(conv.messages))
	for _, m := range slices.Backward(conv.messages) {
		_, name := messageType(m.Channel)
		if m.visible(now, ConversationList) && (types == "" || slices.Contains(wanted, name)) {
			out = append(out, m)
		}
	}
	newestFirst := func(a, b *Message) int { return b.DateAdded.Compare(a.DateAdded) }
	if !slices.IsSortedFunc(out, newestFirst) {
		slices.SortStableFunc(out, newestFirst)
	}
	return out
}

// conversation is GET /conversations/{id}; its type is a number here.
func (s *Simulator) conversation(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	conv := s.world.conversations[c.params["id"]]
	if conv == nil || conv.location != c.location {
		return refuse(http.StatusBadRequest, "Conversation with id "+c.params["id"]+" not found")
	}
	c.contact = conv.contact
	return reply(http.StatusOK, object{
		"id": conv.id, "contactId": conv.contact, "locationId": conv.location, "type": 1,
		"unreadCount": conv.unread, "deleted": false, "inbox": true,
	})
}

// searchConversations is GET /conversations/search.
func (s *Simulator) searchConversations(c *call) answer {
	if c.query.Get("locationId") == "" {
		return invalid("locationId can't be undefined", "locationId must be a string")
	}
	limit, err := numberIn(c.query.Get("limit"), bounds{least: 1, most: 100, fallback: 20})
	if err != nil {
		return invalid("limit " + err.Error())
	}
	before, err := numberIn(c.query.Get("startAfterDate"), bounds{most: maxMillis, fallback: maxMillis})
	if err != nil {
		return invalid("startAfterDate " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []object
	for _, conv := range s.world.conversations {
		if conv.location != c.location || (c.contact != "" && conv.contact != c.contact) {
			continue
		}
		if id := c.query.Get("id"); id != "" && id != conv.id {
			continue
		}
		if row := s.conversationRow(conv); row != nil {
			rows = append(rows, row)
		}
	}
	sortRows(rows, "lastMessageDate", c.query.Get("sort") != "asc")
	total := len(rows)
	if c.query.Get("sort") != "asc" {
		rows = slices.DeleteFunc(rows, func(r object) bool { return r["lastMessageDate"].(int64) >= int64(before) })
	}
	rows = rows[:min(limit, len(rows))]
	return reply(http.StatusOK, object{"conversations": append([]object{}, rows...), "total": total})
}

// maxMillis is a moment after every other, in epoch milliseconds.
const maxMillis = 1 << 53

// conversationRow is a conversation in a search; nil when it shows no message. email
// and phone are absent when the contact has none, although the specification requires them.
func (s *Simulator) conversationRow(conv *conversation) object {
	messages := s.visibleMessages(conv, "")
	contact := s.world.contacts[conv.contact]
	if len(messages) == 0 || contact == nil {
		return nil
	}
	last := messages[0]
	_, name := messageType(last.Channel)
	row := object{
		"id": conv.id, "contactId": conv.contact, "locationId": conv.location, "type": "TYPE_PHONE",
		"unreadCount": conv.unread, "lastMessageBody": last.Body, "lastMessageType": name,
		"lastMessageDate": last.DateAdded.UnixMilli(), "lastMessageDirection": last.Direction,
		"dateAdded": messages[len(messages)-1].DateAdded.UnixMilli(), "dateUpdated": last.DateAdded.UnixMilli(),
		"sort": []int64{last.DateAdded.UnixMilli()}, "fullName": contact.fullName(), "contactName": contact.fullName(),
	}
	if contact.Email != "" {
		row["email"] = contact.Email
	}
	if contact.Phone != "" {
		row["phone"] = contact.Phone
	}
	return row
}

// sortRows orders rows by an int64 key, then by id so that pages are stable.
func sortRows(rows []object, key string, descending bool) {
	slices.SortFunc(rows, func(a, b object) int {
		x, y := a[key].(int64), b[key].(int64)
		if descending {
			x, y = y, x
		}
		if x != y {
			return int(min(max(x-y, -1), 1))
		}
		return strings.Compare(a["id"].(string), b["id"].(string))
	})
}

// bounds of a number in a query.
type bounds struct{ least, most, fallback int }

type boundsError string

func (e boundsError) Error() string { return string(e) }

// numberIn reads a whole number; the error is the end of the validator's sentence.
func numberIn(raw string, b bounds) (int, error) {
	if raw == "" {
		return b.fallback, nil
	}
	n, err := strconv.Atoi(raw)
	switch {
	case err != nil:
		return 0, boundsError("must be a number conforming to the specified constraints")
	case n < b.least:
		return 0, boundsError("must not be less than " + strconv.Itoa(b.least))
	case n > b.most:
		return 0, boundsError("must not be greater than " + strconv.Itoa(b.most))
	}
	return n, nil
}
