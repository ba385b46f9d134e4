// Package late reads which providers were later than the send protocol assumes (docs/send-protocol.md), by SQL of its own.
package late

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Provider is a provider that was late. While it counts, its sends of unknown outcome wait longer before absence counts.
type Provider struct {
	Name string
	// Assumption is A1 (a call that was given up was processed later than D) or A2 (a list showed a message later than V).
	Assumption string
	// Seen is the longest, Last when it was last seen, Times how often.
	Seen  time.Duration
	Last  time.Time
	Times int64
}

// String is one line for a person.
func (p Provider) String() string {
	what := "took a message %s after its call was given up"
	if p.Assumption == "A2" {
		what = "did not list a message for %s"
	}
	return fmt.Sprintf("%s "+what+" (%s; %d times, last %s)", p.Name, p.Seen.Round(time.Second), p.Assumption, p.Times, p.Last.UTC().Format(time.RFC3339))
}

// Remedy says what a person can do about it.
const Remedy = "sends of unknown outcome wait longer by themselves, for a week; if it stays, raise RELANCE_SYNC_SEND_DELAY (A1) or _VISIBLE (A2) and _SETTLE"

// Querier is a connection, a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Providers lists those whose lateness counts now.
func Providers(ctx context.Context, q Querier) ([]Provider, error) {
	rows, err := q.Query(ctx, `SELECT provider, assumption, seen_ms, seen_time, sightings FROM sync.provider_lateness
		WHERE seen_time > now() - interval '7 days' ORDER BY provider, assumption`)
	if err != nil {
		return nil, fmt.Errorf("read late providers: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Provider, err error) {
		var ms int64
		err = row.Scan(&p.Name, &p.Assumption, &ms, &p.Last, &p.Times)
		p.Seen = time.Duration(ms) * time.Millisecond
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("read late providers: %w", err)
	}
	return out, nil
}
