package push

import (
	"testing"
	"time"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/provider"
)

func TestWaitGrowsToAnHour(t *testing.T) {
	t.Parallel()
	for _, n := range []int{-1, 0, 1, 2, 8, 9, 100, 1 << 30} {
		most := lastWait
		if n < 9 {
			most = min(firstWait<<(max(n, 1)-1), lastWait)
		}
		for range 100 {
			if got := Wait(n); got < most/2 || got > most || got > time.Hour {
				t.Fatalf("Wait(%d) = %s, want %s to %s", n, got, most/2, most)
			}
		}
	}
}

func TestFailure(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		evidence classify.Evidence
		refusals int
		state    State
		err      string
		rests    bool
	}{
		"timeout":                        {classify.Evidence{Failed: true}, 0, Pending, Unreachable, false},
		"not sent":                       {classify.Evidence{NotSent: true}, 0, Pending, Unreachable, false},
		"500 for ever":                   {classify.Evidence{Status: 500}, 99, Pending, Unreachable, false},
		"429":                            {classify.Evidence{Status: 429, RetryAfter: "7", RateLimited: true}, 99, Pending, "PROVIDER_RATE_LIMITED", false},
		"401":                            {classify.Evidence{Status: 401}, 99, Pending, "PROVIDER_AUTH_REVOKED", false},
		"gone":                           {classify.Evidence{Status: 404, Body: []byte(`{"message":"Not Found"}`)}, 0, Failed, ContactGone, true},
		"gone, GHL's way":                {classify.Evidence{Status: 400, Body: []byte(`{"message":"Contact not found for id:x"}`)}, 0, Failed, ContactGone, true},
		"refused":                        {classify.Evidence{Status: 422, Body: []byte(`{"message":"no"}`)}, 0, Pending, "REFUSED_UNCLASSIFIED", false},
		"refused once again":             {classify.Evidence{Status: 422, Body: []byte(`{"message":"no"}`)}, 4, Failed, "REFUSED_UNCLASSIFIED", true},
		"a server that names no contact": {classify.Evidence{Status: 500, Body: []byte(`{"message":"host not found"}`)}, 0, Pending, Unreachable, false},
	} {
		got := failure(Pending, provider.ReadFailed(c.evidence), 1, c.refusals)
		if got.State != c.state || got.Error != c.err || (got.Wait == 0) != c.rests || got.Confirmed || got.Pushed {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := failure(Withdrawing, provider.ReadFailed(classify.Evidence{Status: 429, RetryAfter: "1800", RateLimited: true}), 1, 0); got.State != Withdrawing || got.Wait < 30*time.Minute {
		t.Errorf("withdrawing: %+v", got)
	}
}
