package simulator

import (
	"net/http"
	"strconv"
	"time"
)

// Lists of messages are what an import reads by the hundred thousand, on cores that it shares with what is measured. So they
// are written by hand, byte for byte as encode would write the objects: keys sorted, nothing escaped that need not be.

// list is a JSON body under construction.
type list struct{ out []byte }

// rowLength is about how long a message of a list is.
const rowLength = 420

// exportPage is an answer of the export.
func exportPage(page []*Message, now time.Time, next string, total int) answer {
	l := list{make([]byte, 0, (len(page)+1)*rowLength)}
	l.raw(`{"messages":`).rows(page, now).raw(`,"nextCursor":`)
	if next == "" {
		l.raw(`null`)
	} else {
		l.text(next)
	}
	l.raw(`,"total":`).number(total).raw(`,"traceId":`).text(newUUID()).raw(`}`)
	return answer{status: http.StatusOK, body: l.out}
}

// conversationPage is an answer of a conversation's messages, in the wrapper that the specification forgets.
func conversationPage(page []*Message, now time.Time, more bool) answer {
	l := list{make([]byte, 0, (len(page)+1)*rowLength)}
	lastID := ""
	if len(page) > 0 {
		lastID = page[len(page)-1].ID
	}
	l.raw(`{"messages":{"lastMessageId":`).text(lastID).raw(`,"messages":`).rows(page, now)
	l.raw(`,"nextPage":`).raw(strconv.FormatBool(more)).raw(`},"traceId":`).text(newUUID()).raw(`}`)
	return answer{status: http.StatusOK, body: l.out}
}

func (l *list) raw(json string) *list {
	l.out = append(l.out, json...)
	return l
}

func (l *list) number(n int) *list {
	l.out = strconv.AppendInt(l.out, int64(n), 10)
	return l
}

// text writes a string; what is not plain ASCII is left to encode.
func (l *list) text(s string) *list {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			l.out = append(l.out, encode(s)...)
			return l
		}
	}
	l.out = append(append(append(l.out, '"'), s...), '"')
	return l
}

func (l *list) rows(page []*Message, now time.Time) *list {
	l.raw(`[`)
	for i, m := range page {
		if i > 0 {
			l.raw(`,`)
		}
		l.row(m, now)
	}
	return l.raw(`]`)
}

// row is messageObject.
func (l *list) row(m *Message, now time.Time) {
	number, name := messageType(m.Channel)
	l.raw(`{"attachments":[]`)
	content := "text/html"
	if m.Channel != Email {
		l.raw(`,"body":`).text(m.Body)
		content = "text/plain"
	}
	l.raw(`,"contactId":`).text(m.Contact).raw(`,"contentType":`).text(content).raw(`,"conversationId":`).text(m.ConversationID)
	l.raw(`,"dateAdded":"`)
	l.out = m.DateAdded.UTC().AppendFormat(l.out, stampLayout)
	l.raw(`","direction":`).text(m.Direction).raw(`,"id":`).text(m.ID).raw(`,"locationId":`).text(m.Location)
	l.raw(`,"messageType":`).text(name)
	if m.Channel == Email {
		l.raw(`,"meta":{"email":{"messageIds":[`).text(m.EmailMessageID).raw(`]}}`)
	}
	if m.Source != "" {
		l.raw(`,"source":`).text(m.Source)
	}
	l.raw(`,"status":`).text(m.statusAt(now)).raw(`,"type":`).number(number).raw(`}`)
}
