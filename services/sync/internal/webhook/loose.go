package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// loose is a value that senders write as text or as a number.
type loose string

// UnmarshalJSON takes a string, a number or null.
func (l *loose) UnmarshalJSON(raw []byte) error {
	switch raw[0] {
	case '"':
		return text(raw, (*string)(l))
	case 'n':
		return nil
	case '{', '[', 't', 'f':
		return errors.New("neither text nor a number")
	default:
		*l = loose(raw)
		return nil
	}
}

// lax is a detail without which an event can still be acted on: text, a number as text, and empty for whatever else a sender writes
// there. A sender takes a refusal as final, so that a name of another type would cost the reply that it came with.
type lax string

// UnmarshalJSON takes any value.
func (l *lax) UnmarshalJSON(raw []byte) error {
	var text loose
	_ = text.UnmarshalJSON(raw) // another form is no text
	*l = lax(text)
	return nil
}

// first gives the first value that is not empty.
func first[T ~string](values ...T) string {
	for _, v := range values {
		if v != "" {
			return string(v)
		}
	}
	return ""
}

func moment(raw json.RawMessage) (time.Time, error) {
	text := strings.Trim(string(raw), `"`)
	if text == "" || text == "null" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 && n < 1<<43 {
		if n < 1e11 { // seconds until the year 5138, milliseconds since 1973
			return time.Unix(n, 0), nil
		}
		return time.UnixMilli(n), nil
	}
	return time.Time{}, fmt.Errorf("%w: timestamp is not a time", ErrBody)
}

// parseTime reads a time that a sender wrote; one that cannot be is zero.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() < 2000 || t.Year() > 2200 {
		return time.Time{}
	}
	return t
}
