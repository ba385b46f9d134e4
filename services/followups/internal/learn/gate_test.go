package learn

import (
	"testing"

	"github.com/google/uuid"

	"github.com/relance/relance/services/followups/internal/followup"
)

func TestSpansKeepToTheBoundAndNameNoLeadTwice(t *testing.T) {
	t.Parallel()
	lead := uuid.New()
	group := func(lead uuid.UUID, n int) []followup.Ask {
		out := make([]followup.Ask, n)
		for i := range out {
			out[i].Lead = lead
		}
		return out
	}
	groups := [][]followup.Ask{
		group(lead, 10), group(uuid.New(), 480), nil, group(uuid.New(), 11), group(lead, 1), group(lead, 1), group(uuid.New(), 500), nil,
	}
	covered := 0
	for _, s := range spans(groups) {
		size, seen := 0, map[uuid.UUID]bool{}
		for _, group := range groups[s.from:s.to] {
			if size += len(group); len(group) > 0 && seen[group[0].Lead] {
				t.Errorf("%+v names a lead twice", s)
			} else if len(group) > 0 {
				seen[group[0].Lead] = true
			}
		}
		if s.from != covered || size == 0 || size > checksPerCall {
			t.Errorf("%+v asks %d", s, size)
		}
		covered = s.to
	}
	if covered != len(groups) || len(spans(nil)) != 0 {
		t.Errorf("covered %d of %d", covered, len(groups))
	}
}
