package ghl

import (
	"encoding/json"
	"time"
)

// listed is a message as the provider's lists show it.
type listed struct {
	ID             string     `json:"id"`
	Direction      string     `json:"direction"`
	MessageType    any        `json:"messageType"`
	Body           string     `json:"body"`
	Source         string     `json:"source"`
	Status         string     `json:"status"`
	DateAdded      time.Time  `json:"dateAdded"`
	ConversationID string     `json:"conversationId"`
	ContactID      string     `json:"contactId"`
	Meta           listedMeta `json:"meta"`
}

type listedMeta struct {
	Email struct {
		MessageIDs []string `json:"messageIds"`
	} `json:"email"`
}

// exportAnswer is a page of the export.
type exportAnswer struct {
	Messages   *[]listed `json:"messages"`
	NextCursor *string   `json:"nextCursor"`
}

// conversationAnswer is a page of a conversation.
type conversationAnswer struct {
	Messages conversationPage `json:"messages"`
}

type conversationPage struct {
	LastMessageID string    `json:"lastMessageId"`
	NextPage      bool      `json:"nextPage"`
	Messages      *[]listed `json:"messages"`
}

// A quick answer reads its usual form by itself and reports whether it did; then it holds what encoding/json would have made of
// it. Whatever is unusual, wrong included, it leaves alone. Histories are read by the hundred thousand messages, each twice, and
// encoding/json was a quarter of what an import cost.
type quick interface{ quick(raw []byte) bool }

// decode reads an answer's body into what is wanted.
func decode(raw []byte, into any) error {
	if q, ok := into.(quick); ok && q.quick(raw) {
		return nil
	}
	return json.Unmarshal(raw, into) //nolint:wrapcheck // the caller only asks whether
}

func (a *exportAnswer) quick(raw []byte) bool {
	s := scanner{in: raw}
	var out exportAnswer
	s.object(exportKeys, func(key int) {
		switch key {
		case 0:
			out.Messages = s.rows()
		case 1:
			if !s.null() {
				next := s.text("")
				out.NextCursor = &next
			}
		}
	})
	if s.end() {
		*a = out
	}
	return !s.lost
}

func (a *conversationAnswer) quick(raw []byte) bool {
	s := scanner{in: raw}
	var out conversationAnswer
	s.object(conversationKeys, func(int) {
		s.object(conversationPageKeys, func(key int) {
			switch key {
			case 0:
				out.Messages.LastMessageID = s.optional("")
			case 1:
				out.Messages.NextPage = s.truth()
			case 2:
				out.Messages.Messages = s.rows()
			}
		})
	})
	if s.end() {
		*a = out
	}
	return !s.lost
}

var (
	exportKeys           = []string{"messages", "nextCursor"}
	conversationKeys     = []string{"messages"}
	conversationPageKeys = []string{"lastMessageId", "nextPage", "messages"}
	metaKeys             = []string{"email"}
	emailKeys            = []string{"messageIds"}
	listedKeys           = []string{"id", "direction", "messageType", "body", "source", "status", "dateAdded", "conversationId", "contactId", "meta"}
)

// rows reads a list of messages.
func (s *scanner) rows() *[]listed {
	out := make([]listed, 0, 100)
	var last listed // Most of what messages say besides their texts is the same, and is kept once.
	s.array(func() {
		out = append(out, s.row(&last))
		last = out[len(out)-1]
	})
	return &out
}

func (s *scanner) row(last *listed) (m listed) {
	s.object(listedKeys, func(key int) {
		switch key {
		case 0:
			m.ID = s.optional("")
		case 1:
			m.Direction = s.optional(last.Direction)
		case 2:
			m.MessageType = s.kind(last.MessageType)
		case 3:
			m.Body = s.optional("")
		case 4:
			m.Source = s.optional(last.Source)
		case 5:
			m.Status = s.optional(last.Status)
		case 6:
			if m.DateAdded.UnmarshalJSON(s.raw()) != nil {
				s.lost = true
			}
		case 7:
			m.ConversationID = s.optional(last.ConversationID)
		case 8:
			m.ContactID = s.optional(last.ContactID)
		case 9:
			s.meta(&m.Meta)
		}
	})
	return m
}

// meta reads the ids of an email's texts.
func (s *scanner) meta(into *listedMeta) {
	if s.null() {
		return
	}
	s.object(metaKeys, func(int) {
		s.object(emailKeys, func(int) {
			into.Email.MessageIDs = []string{}
			s.array(func() { into.Email.MessageIDs = append(into.Email.MessageIDs, s.text("")) })
		})
	})
}

// kind reads a type, which is text or a number.
func (s *scanner) kind(last any) any {
	if s.peek() != '"' {
		s.lost = true
		return nil
	}
	known, ok := last.(string)
	if text := s.text(known); !ok || text != known {
		return text
	}
	return last
}
