package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// InTx runs fn in a transaction that may see all workspaces: for work that is not one tenant's, such as claiming what is
// due. It commits when fn returns nil. Make no remote call inside.
func InTx(ctx context.Context, pool *pgxpool.Pool, fn func(pgx.Tx) error) error {
	return scoped(ctx, pool, "begin", [2]string{"relance.scope", "system"}, fn)
}

// InWorkspace runs fn in a transaction that sees one workspace (bare UUID) only, enforced by row-level security.
func InWorkspace(ctx context.Context, pool *pgxpool.Pool, workspace string, fn func(pgx.Tx) error) error {
	return scoped(ctx, pool, "begin", [2]string{"relance.workspace_id", workspace}, fn)
}

// keepPlans makes a connection keep the plans of a transaction's statements.
const keepPlans = "; set local plan_cache_mode = force_generic_plan"

// byIndex makes a transaction read by the order of indexes. What is turned off counts as costly, and what is costly would be
// compiled first, which takes longer.
const byIndex = "; set local enable_seqscan = off; set local enable_bitmapscan = off; set local enable_sort = off; set local jit = off"

// BatchTx runs fn as InTx does, with kept plans; see BatchWorkspace.
func BatchTx(ctx context.Context, pool *pgxpool.Pool, fn func(pgx.Tx) error) error {
	return scoped(ctx, pool, "begin"+keepPlans, [2]string{"relance.scope", "system"}, fn)
}

// LookTx runs fn as BatchTx does, going by indexes: for a look at a queue, which reads the head of an index however much is in
// the table. Row-level security hides from the planner how few rows that is, and new tables have no statistics, so that it reads
// all rows if it may.
func LookTx(ctx context.Context, pool *pgxpool.Pool, fn func(pgx.Tx) error) error {
	return scoped(ctx, pool, "begin"+keepPlans+byIndex, [2]string{"relance.scope", "system"}, fn)
}

// PageWorkspace runs fn as InWorkspace does, going by the order of an index and planning for the values of each statement: for a
// page of a list with optional conditions. Row-level security lets the planner expect fewer rows than a page has in a table of up
// to some ten thousand; it would read and sort all of them, and one plan for all values would not use a condition's index.
func PageWorkspace(ctx context.Context, pool *pgxpool.Pool, workspace string, fn func(pgx.Tx) error) error {
	return scoped(ctx, pool, "begin; set local plan_cache_mode = force_custom_plan"+byIndex, [2]string{"relance.workspace_id", workspace}, fn)
}

// BatchWorkspace runs fn as InWorkspace does, with plans that a connection makes once and keeps. It is for statements whose
// every table is reached by a key, so that one plan is right for all values. PostgreSQL guesses ten elements for an array that
// it does not know: a statement on a shorter one seems cheaper when it is planned for its values, and would be planned anew
// each time, which takes longer than its work.
func BatchWorkspace(ctx context.Context, pool *pgxpool.Pool, workspace string, fn func(pgx.Tx) error) error {
	return scoped(ctx, pool, "begin"+keepPlans, [2]string{"relance.workspace_id", workspace}, fn)
}

// ReadWorkspace runs fn as InWorkspace does, seeing one moment in all its statements, and refusing changes.
func ReadWorkspace(ctx context.Context, pool *pgxpool.Pool, workspace string, fn func(pgx.Tx) error) error {
	return scoped(ctx, pool, "begin isolation level repeatable read, read only", [2]string{"relance.workspace_id", workspace}, fn)
}

// scoped begins and sets the scope in one round trip: every transaction pays for it.
func scoped(ctx context.Context, pool *pgxpool.Pool, begin string, scope [2]string, fn func(pgx.Tx) error) error {
	if strings.ContainsFunc(scope[1], notWord) {
		return fmt.Errorf("transaction: scope %s is not an id", scope[0])
	}
	begin += "; select set_config('" + scope[0] + "', '" + scope[1] + "', true)"
	if err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{BeginQuery: begin}, fn); err != nil {
		return fmt.Errorf("transaction: %w", err)
	}
	return nil
}

// notWord finds what an id or the word "system" does not have; only such text is put between quotes.
func notWord(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-'
}
