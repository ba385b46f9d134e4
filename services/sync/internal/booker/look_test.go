package booker

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/provider"
)

// TestNotAsked: a look that did not reach the provider is no failed one. So many of those park a booking that is there.
func TestNotAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		wait time.Duration // 0 for a look that was made
	}{
		"breaker":   {provider.Held(provider.GHL, 7*time.Second), 7 * time.Second},
		"budget":    {&provider.ReadError{Verdict: classify.Limited("burst", 5*time.Second)}, 5 * time.Second},
		"429":       {provider.ReadFailed(classify.Evidence{Status: http.StatusTooManyRequests, RetryAfter: "30", RateLimited: true}), 30 * time.Second},
		"503":       {provider.ReadFailed(classify.Evidence{Status: http.StatusServiceUnavailable}), 0},
		"no answer": {provider.ReadFailed(classify.Evidence{Failed: true}), 0},
		"ours":      {errors.New("database"), 0},
		"none":      {nil, 0},
	} {
		wait, unasked := notAsked(c.err)
		if unasked != (c.wait > 0) || wait < c.wait || wait > 2*c.wait {
			t.Errorf("%s: waits %s, %t; want %s", name, wait, unasked, c.wait)
		}
	}
}
