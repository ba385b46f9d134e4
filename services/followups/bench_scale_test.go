package followups_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/followups/internal/run"
	"github.com/relance/relance/services/followups/internal/store"
)

// due enrolls n leads at their first step, due one after another within the last hour.
func (b *bench) due(sequence string, n int) {
	b.enrollMany(sequence, n, `$3::timestamptz - make_interval(secs => 3600.0 * n / $4)`)
}

// idle enrolls n leads whose first step is due in a year.
func (b *bench) idle(sequence string, n int) {
	b.enrollMany(sequence, n, `$3::timestamptz + interval '1 year' + make_interval(secs => n)`)
}

func (b *bench) enrollMany(sequence string, n int, when string) {
	b.t.Helper()
	workspace, _, _ := strings.Cut(strings.TrimPrefix(sequence, "workspaces/"), "/")
	err := postgres.InTx(b.t.Context(), b.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(b.t.Context(), `INSERT INTO enrollment (workspace_id, id, lead_id, sequence_id, sequence_version, state, position,
				base_time, due_time, next_time, start_time, replied_since, create_time, update_time)
			SELECT $1, gen_random_uuid(), gen_random_uuid(), $2, 1, 'active', 1, t, t, t, t, t, t, t
			FROM (SELECT `+when+` AS t FROM generate_series(1, $4::int) AS n) AS rows`,
			workspace, sequence[len(sequence)-36:], b.clock.Now(), n)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if n >= settleFrom {
		b.settle()
	}
}

const settleFrom = 1000

// settle does what autovacuum does in a table's life, so that a figure is not that of the minute after a bulk load.
func (b *bench) settle() {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.db.AdminDSN)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(b.t.Context())) }()
	if _, err := conn.Exec(b.t.Context(), `VACUUM ANALYZE followups.enrollment`); err != nil {
		b.t.Fatal(err)
	}
}

func benchClaim(t *testing.T) {
	const due, batch, rounds = 1000, 50, 5
	var costs []float64
	for _, rows := range []int{10_000, benchSize(2_000_000)} {
		b := benchWorld(t)
		sequence := b.sequence(sms("Hi", 0, 0))
		b.idle(sequence, rows-due)
		b.due(sequence, due)
		best := time.Duration(1 << 62)
		for range rounds { // the least of some, since what disturbs only adds
			best = min(best, b.claimAll(due, batch))
			b.exec(`UPDATE enrollment SET lease_until = NULL, lease_token = NULL WHERE lease_token IS NOT NULL`)
			b.settle()
		}
		cost := best.Seconds() * 1000 / (due / batch)
		costs = append(costs, cost)
		figure("claim_of_"+strconv.Itoa(rows), cost, "ms/batch", due*rounds)
	}
	figure("claim_ratio", costs[1]/costs[0], "ratio", due*rounds)
}

// claimAll leases what is due and tells how long that took.
func (b *bench) claimAll(due, batch int) time.Duration {
	b.t.Helper()
	began, claimed := time.Now(), 0
	for claimed < due {
		got, err := store.New(b.pool).Claim(b.t.Context(), store.Claim{Now: b.clock.Now(), Size: batch, Lease: time.Hour})
		if err != nil || len(got.Items) == 0 {
			b.t.Fatalf("%d of %d claimed: %v", claimed, due, err)
		}
		claimed += len(got.Items)
	}
	return time.Since(began)
}

// benchFairness tells how much longer ten steps of one workspace take because another one has 100,000 due. They fall due
// while the other's are under way: once the other's messages are as quick as their own, once they take a second each.
func benchFairness(t *testing.T) {
	for name, slow := range map[string]time.Duration{"quick": 0, "slow": time.Second} {
		alone := fairness(t, 0, slow)
		beside := fairness(t, benchSize(100_000), slow)
		figure("fairness_alone", float64(alone.Milliseconds()), "ms", 10)
		figure("fairness_delay_beside_"+name, float64((beside - alone).Milliseconds()), "ms", 10)
	}
}

// fairness gives how long ten steps take from when they are due to when sync has the last, beside big steps of another
// workspace whose messages take that long.
func fairness(t *testing.T, big int, slow time.Duration) time.Duration {
	const small = 10
	b := benchWorld(t)
	own, other := uuid.NewString(), uuid.NewString()
	sequence := func(id string) string {
		b.workspace = "workspaces/" + id
		return b.sequence(sms("Hi", 0, 0))
	}
	large, little := sequence(other), sequence(own)
	busy, done := make(chan struct{}), make(chan struct{})
	var ofOwn, ofOther atomic.Int32
	b.other.slow = map[string]time.Duration{other: slow}
	b.other.took = func(workspace string) {
		switch {
		case workspace == other && ofOther.Add(1) == 40:
			close(busy)
		case workspace == own && ofOwn.Add(1) == small:
			close(done)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var runs sync.WaitGroup
	defer runs.Wait()
	if big > 0 {
		b.due(large, big)
		runs.Go(func() { _, _ = run.New(b.cfg).Run(ctx, run.Request{Budget: run.MaxBudget}) }) // is stopped in the middle
		<-busy
	}
	began := time.Now()
	b.due(little, small)
	if big == 0 {
		runs.Go(func() { _, _ = run.New(b.cfg).Run(ctx, run.Request{}) })
	}
	<-done
	took := time.Since(began)
	stop()
	return took
}
