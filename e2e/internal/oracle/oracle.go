// Package oracle judges a run of sends by the provider's ledger and the database, by the invariants of
// docs/reliability.md. Every text sent carries a mark, and the request id is derived from the mark, so a POST is joined to
// its intent without any help of the code under test.
package oracle

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/relance/relance/simulator"
)

var markPattern = regexp.MustCompile(`mark-[0-9]{7}`)

// Mark is the mark of the nth send.
func Mark(n int) string { return fmt.Sprintf("mark-%07d", n) }

// MarkOf finds the mark in a text; "" when there is none.
func MarkOf(text string) string { return markPattern.FindString(text) }

// RequestID is the request id of the send with a mark.
func RequestID(mark string) uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceURL, []byte(mark)) }

// Invariant is a rule of docs/reliability.md.
type Invariant string

// The invariants that are judged here.
const (
	I1 Invariant = "I1" // one acceptance per intent at most
	I2 Invariant = "I2" // a committed attempt before every POST, one POST per attempt at most
	I3 Invariant = "I3" // the recorded outcome is what the provider did
	I4 Invariant = "I4" // one send per lead and channel under way at most
	I5 Invariant = "I5" // no POST after a final outcome was committed
	I6 Invariant = "I6" // final states absorb
	I7 Invariant = "I7" // one intent per request
	I8 Invariant = "I8" // nothing rests
	I9 Invariant = "I9" // the states add up
)

// Invariants lists them.
func Invariants() []Invariant { return []Invariant{I1, I2, I3, I4, I5, I6, I7, I8, I9} }

// Oracle watches a run. Make it before the simulator, whose OnReceive is its Observe.
type Oracle struct {
	pool atomic.Pointer[pgxpool.Pool]

	mu       sync.Mutex
	found    map[Invariant][]string
	posts    map[string]int
	final    map[uuid.UUID]string
	observed int
	samples  int
}

// New makes an oracle.
func New() *Oracle {
	return &Oracle{found: map[Invariant][]string{}, posts: map[string]int{}, final: map[uuid.UUID]string{}}
}

// Use gives the oracle a superuser's pool on the database.
func (o *Oracle) Use(pool *pgxpool.Pool) { o.pool.Store(pool) }

// Violations are what was found against an invariant so far.
func (o *Oracle) Violations(i Invariant) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.found[i])
}

// Any reports whether anything was found so far.
func (o *Oracle) Any() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.found) > 0
}

func (o *Oracle) add(i Invariant, format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.found[i] = append(o.found[i], fmt.Sprintf(format, args...))
}

const lookTimeout = 20 * time.Second

// Observe judges a POST at its receipt, by what is committed at that moment (I1 by order, I2, I5).
func (o *Oracle) Observe(e simulator.Entry) {
	mark, pool := MarkOf(e.Text()), o.pool.Load()
	if mark == "" || pool == nil {
		return
	}
	o.mu.Lock()
	o.observed++
	o.posts[mark]++
	posts := o.posts[mark]
	o.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	var state string
	var attempts int
	err := pool.QueryRow(ctx, `SELECT i.state, (SELECT count(*) FROM sync.send_attempt a
		WHERE a.workspace_id = i.workspace_id AND a.intent_id = i.id) FROM sync.send_intent i WHERE i.request_id = $1`,
		RequestID(mark)).Scan(&state, &attempts)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		o.add(I2, "%s: POST %d without a committed intent", mark, posts)
	case err != nil:
		// The database may be away in this run; what it would have said is then judged at the end.
		return
	case attempts < posts:
		o.add(I2, "%s: POST %d with %d committed attempts", mark, posts, attempts)
	case state != "SENDING" && state != "UNKNOWN":
		o.add(I5, "%s: POST %d while the intent is %s", mark, posts, state)
	}
}

// Posts counts the POSTs with a mark so far.
func (o *Oracle) Posts() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.observed
}

// Watch samples the database until ctx ends (I4, I6).
func (o *Oracle) Watch(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			o.Sample(ctx)
		}
	}
}

// Sample looks once at what must hold at every moment.
func (o *Oracle) Sample(ctx context.Context) {
	pool := o.pool.Load()
	rows, err := pool.Query(ctx, `SELECT lead_id::text || ' ' || channel FROM sync.send_intent WHERE state IN ('SENDING', 'UNKNOWN')
		GROUP BY workspace_id, lead_id, channel HAVING count(*) > 1`)
	if err != nil {
		return // away; the next sample looks again
	}
	live, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return
	}
	for _, l := range live {
		o.add(I4, "two sends under way to %s", l)
	}
	o.absorb(ctx, pool)
}

func (o *Oracle) absorb(ctx context.Context, pool *pgxpool.Pool) {
	var id uuid.UUID
	var state string
	rows, err := pool.Query(ctx, `SELECT id, state FROM sync.send_intent
		WHERE state IN ('ACCEPTED', 'DELIVERED', 'FAILED_AFTER_ACCEPT', 'REFUSED', 'SKIPPED', 'EXPIRED', 'PARKED')`)
	if err != nil {
		return
	}
	now := map[uuid.UUID]string{}
	if _, err = pgx.ForEachRow(rows, []any{&id, &state}, func() error { now[id] = state; return nil }); err != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.samples++
	for id, was := range o.final {
		is, still := now[id]
		if !still || (is != was && !mayBecome(was, is)) {
			o.found[I6] = append(o.found[I6], fmt.Sprintf("%s: %s became %q", id, was, is))
		}
	}
	o.final = now
}

// mayBecome tells which terminal states may still move: what was accepted is reported on, and what was parked can be
// found after all.
func mayBecome(was, is string) bool {
	reported := is == "DELIVERED" || is == "FAILED_AFTER_ACCEPT"
	return was == "ACCEPTED" && reported || was == "PARKED" && (is == "ACCEPTED" || reported)
}
