package simulator

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// exportQuery is the query of an export, checked.
type exportQuery struct {
	limit, offset int
	from, to      time.Time
	channel       string
	conversation  string
	ascending     bool
}

// exportChannels maps the parameter's values to the channels of messages.
var exportChannels = map[string]string{"Call": Call, "SMS": SMS, "Email": Email, "WhatsApp": WhatsApp, "Instagram": IG, "Facebook": FB}

// exportMessages is GET /conversations/messages/export: the only list by contact and
// time. Without a channel it leaves e-mail out, as documented.
func (s *Simulator) exportMessages(c *call) answer {
	if c.query.Get("locationId") == "" {
		return invalid("locationId can't be undefined", "locationId must be a string")
	}
	q, bad := parseExport(c)
	if bad != nil {
		return *bad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := s.exportRows(c, q)
	total := len(rows)
	rows = rows[min(q.offset, len(rows)):]
	page := rows[:min(q.limit, len(rows))]
	next := ""
	if len(rows) > len(page) {
		next = encodeCursor(q.offset + len(page))
	}
	return exportPage(page, s.now(), next, total)
}

func parseExport(c *call) (exportQuery, *answer) {
	q := exportQuery{conversation: c.query.Get("conversationId"), ascending: c.query.Get("sortOrder") == "asc"}
	var err error
	if q.limit, err = numberIn(c.query.Get("limit"), bounds{least: 10, most: 500, fallback: 100}); err != nil {
		bad := invalid("limit " + err.Error())
		return q, &bad
	}
	if raw := c.query.Get("channel"); raw != "" {
		channel, known := exportChannels[raw]
		if !known {
			bad := invalid("channel must be one of the following values: Call, SMS, Email, WhatsApp, Instagram, Facebook")
			return q, &bad
		}
		q.channel = channel
	}
	var bad *answer
	if q.from, bad = exportDate(c, "startDate", "START"); bad != nil {
		return q, bad
	}
	if q.to, bad = exportDate(c, "endDate", "END"); bad != nil {
		return q, bad
	}
	if raw := c.query.Get("cursor"); raw != "" {
		offset, ok := decodeCursor(raw)
		if !ok {
			no := refuse(http.StatusBadRequest, "Invalid cursor")
			return q, &no
		}
		q.offset = offset
	}
	return q, nil
}

// exportDate wants ISO 8601, where the search wants epoch milliseconds.
func exportDate(c *call, name, code string) (time.Time, *answer) {
	raw := c.query.Get(name)
	if raw == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateOnly} {
		if at, err := time.Parse(layout, raw); err == nil {
			return at, nil
		}
	}
	bad := refuseCode(http.StatusBadRequest, "CONVERSATIONS_MSG_INVALID_"+code+"_DATE_FORMAT", name+" must be a valid ISO 8601 date string")
	return time.Time{}, &bad
}

// exportRows are all matching messages in the order asked for; default newest first.
func (s *Simulator) exportRows(c *call, q exportQuery) []*Message {
	var rows []*Message
	now, among := s.now(), maps.Values(s.world.conversations)
	if c.contact != "" {
		among = slices.Values([]*conversation{s.world.byContact[c.contact]})
	}
	for conv := range among {
		if conv == nil || conv.location != c.location || (q.conversation != "" && conv.id != q.conversation) {
			continue
		}
		rows = slices.Grow(rows, len(conv.messages))
		for _, m := range conv.messages {
			if m.visible(now, ExportList) && q.wants(m) {
				rows = append(rows, m)
			}
		}
	}
	slices.SortFunc(rows, func(a, b *Message) int {
		if !q.ascending {
			a, b = b, a
		}
		if order := a.DateAdded.Compare(b.DateAdded); order != 0 {
			return order
		}
		return strings.Compare(a.ID, b.ID)
	})
	return rows
}

func (q exportQuery) wants(m *Message) bool {
	if q.channel == "" && m.Channel == Email || q.channel != "" && q.channel != m.Channel {
		return false
	}
	return (q.from.IsZero() || !m.DateAdded.Before(q.from)) && (q.to.IsZero() || !m.DateAdded.After(q.to))
}

// A cursor is opaque to clients; here it is an offset.
func encodeCursor(offset int) string {
	return base64.URLEncoding.EncodeToString([]byte("offset:" + strconv.Itoa(offset)))
}

func decodeCursor(raw string) (int, bool) {
	decoded, err := base64.URLEncoding.DecodeString(raw)
	if err != nil {
		return 0, false
	}
	number, ok := strings.CutPrefix(string(decoded), "offset:")
	offset, err := strconv.Atoi(number)
	return offset, ok && err == nil && offset >= 0
}
