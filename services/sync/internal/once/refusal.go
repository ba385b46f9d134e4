package once

import (
	"encoding/json"
	"fmt"

	"github.com/relance/relance/services/sync/internal/sending"
)

// Stored is a refusal as its row has it: the reason, empty for none, and its metadata in JSON.
func Stored(r *sending.Refusal) (reason string, meta []byte, err error) {
	if r == nil {
		return "", []byte("{}"), nil
	}
	if r.Meta == nil {
		return string(r.Reason), []byte("{}"), nil
	}
	if meta, err = json.Marshal(r.Meta); err != nil {
		return "", nil, fmt.Errorf("write reason: %w", err)
	}
	return string(r.Reason), meta, nil
}

// Refusal is what Stored wrote. Its metadata is never nil.
func Refusal(reason string, meta []byte) *sending.Refusal {
	r := &sending.Refusal{Reason: sending.Reason(reason), Meta: map[string]string{}}
	_ = json.Unmarshal(meta, &r.Meta) // our own column; without it the reason still stands
	return r
}
