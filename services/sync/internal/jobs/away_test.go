package jobs

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/token"
	"github.com/relance/relance/services/sync/internal/webhook"
)

// TestWhatPassesParksNothing: a webhook is parked for what is wrong with it, not for what happens to be away.
func TestWhatPassesParksNothing(t *testing.T) {
	t.Parallel()
	read := func(status int) error {
		return fmt.Errorf("read: %w", provider.ReadFailed(classify.Evidence{Status: status}))
	}
	for _, c := range []struct {
		what string
		err  error
		want bool
	}{
		{"no answer", read(0), true},
		{"rate limit", read(429), true},
		{"provider in trouble", read(502), true},
		{"no token to be had", fmt.Errorf("open: %w", token.ErrNotReady), true},
		{"database restarts", &pgconn.PgError{Code: "57P01"}, true},
		{"deadlock", &pgconn.PgError{Code: "40P01"}, true},
		{"contended lead", store.ErrContended, true},
		{"refused", read(400), false},
		{"constraint", &pgconn.PgError{Code: "23514"}, false},
		{"a bug", errors.New("a bug"), false},
		{"absent", errMessageAbsent, false},
	} {
		if got := away(c.err); got != c.want {
			t.Errorf("%s: away = %t, want %t", c.what, got, c.want)
		}
	}
}

// TestAMessageDoesNotWaitForItsWriter: an opt-out must not wait for the end of an outage.
func TestAMessageDoesNotWaitForItsWriter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind   webhook.Kind
		source webhook.Source
		age    time.Duration
		want   bool
	}{
		{webhook.Message, webhook.Marketplace, 2 * truthWait, true},
		{webhook.Message, webhook.Marketplace, truthWait / 2, false},
		{webhook.Message, webhook.Workflow, 2 * truthWait, false},
		{webhook.DND, webhook.Marketplace, 2 * truthWait, false},
	} {
		in := delivery{event: webhook.Event{Kind: c.kind}, inbox: db.WebhookInbox{Source: string(c.source)}, age: c.age}
		proceed, err := in.without(token.ErrNotReady)
		if proceed != c.want || (err == nil) != c.want {
			t.Errorf("%s of %s after %s: %t, %v", c.kind, c.source, c.age, proceed, err)
		}
	}
}
