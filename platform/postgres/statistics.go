package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// grownTables is the function by which a service has its tables analyzed: only an owner may, and the service's role owns none.
//
// A plan is kept until the statistics of a table change. One that was made while a table had a few rows takes any index that begins
// with the workspace, since all of them seem to lead to one row, and reads every row of the workspace from then on. Autovacuum
// looks once a minute, which is thousands of leads in an import, on each new installation and in each new month. So a table is
// analyzed as soon as it has twice the rows that its plans know of, which also makes every connection plan anew. It is done about
// ten times in a table's life: from 20,000 rows on the plans are settled, and autovacuum keeps up. Rows are counted as they live,
// so that a queue through which much passes is not one that grows.
const grownTables = `CREATE OR REPLACE FUNCTION {schema}.analyze_grown() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    grown regclass;
    n integer := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('{schema}.analyze_grown', 0)) THEN
        RETURN 0; -- another replica is at it
    END IF;
    FOR grown IN SELECT c.oid FROM pg_class c WHERE c.relnamespace = '{schema}'::regnamespace AND c.relkind = 'r'
        AND c.reltuples < 20000 AND pg_stat_get_live_tuples(c.oid) >= 2 * greatest(c.reltuples, 25)
    LOOP
        EXECUTE format('ANALYZE (SKIP_LOCKED) %s', grown);
        n := n + 1;
    END LOOP;
    RETURN n;
END $$`

func makeGrownTables(ctx context.Context, conn *pgxpool.Conn, service string) error {
	schema := pgx.Identifier{service}.Sanitize()
	for _, statement := range []string{
		strings.ReplaceAll(grownTables, "{schema}", schema),
		`REVOKE ALL ON FUNCTION ` + schema + `.analyze_grown() FROM PUBLIC`,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("statistics of new tables: %w", err)
		}
	}
	return nil
}

// lookAtTables is how often tables are looked at for growth. A look reads the catalog only.
const lookAtTables = time.Second

// AnalyzeGrown analyzes the tables of the pool's schema that have at least doubled since they were analyzed, up to 20,000 rows,
// and tells how many those were.
func AnalyzeGrown(ctx context.Context, pool *pgxpool.Pool) (int, error) {
	var n int
	if err := pool.QueryRow(ctx, `SELECT analyze_grown()`).Scan(&n); err != nil {
		return 0, fmt.Errorf("analyze tables that grew: %w", err)
	}
	return n, nil
}

// KeepAnalyzed runs AnalyzeGrown each second until ctx ends, so that no plan is older than its tables' growth. What fails is tried
// again; a failure that stays is logged once.
func KeepAnalyzed(ctx context.Context, pool *pgxpool.Pool, logger *slog.Logger) error {
	tick := time.NewTicker(lookAtTables)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		_, err := AnalyzeGrown(ctx, pool)
		if err != nil && !failing && ctx.Err() == nil {
			logger.WarnContext(ctx, "statistics of new tables wait for autovacuum", "error", err)
		}
		failing = err != nil
	}
}
