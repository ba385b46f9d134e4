package rest

import (
	"encoding/json"
	"time"
)

// Time is a moment in any of the forms in which email senders write one; zero when it is in none of them, so that a
// message without a readable time is not lost.
type Time struct{ time.Time }

// UnmarshalJSON reads a moment; what cannot be read is zero.
func (t *Time) UnmarshalJSON(raw []byte) error {
	t.Time = time.Time{}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return nil //nolint:nilerr // another form is no readable time
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateTime} {
		if at, err := time.Parse(layout, text); err == nil {
			t.Time = at
			return nil
		}
	}
	return nil
}
