package statements

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/relance/relance/platform/postgres"
)

// Check holds every statement of a service to what it returns.
type Check struct {
	// Dir has the SQL files.
	Dir string
	// Values are what arguments are, by their names; Own those of one statement, by its name. A statement is run once for each of its
	// Own, told apart by what follows a slash: "ListLeads/far".
	Values map[string]string
	Own    map[string]map[string]string
	// ByValue are statements whose optional conditions make them another statement for other values. They are to be planned each time:
	// PostgreSQL decides that by itself, which is checked too, since a plan for all values costs more.
	ByValue []string
	// Stored are statements that only store what they are given, and are not run. Of an INSERT whose made-up rows a constraint refuses
	// nothing is said either.
	Stored []string
	// ByIndex are statements that the service runs in postgres.LookTx, or that are made to go by indexes alike; Pages those that it
	// runs in postgres.PageWorkspace, of the workspace that is the value of workspace_id.
	ByIndex, Pages []string
	// May says of a statement why it reads more.
	May map[string]string
}

// Slack is how many rows a statement may read beside three for each that it returns: the others of a lead, a page that it sorts.
const Slack = 120

// Run reports the statements that read more than they may.
func (c Check) Run(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	found, err := c.Find(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range found {
		t.Error(line)
	}
}

// Find tells of each statement that reads more than it may, that does not run, or that is named and is not there.
func (c Check) Find(ctx context.Context, pool *pgxpool.Pool) (found []string, err error) {
	all, err := Read(c.Dir)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, s := range all {
		known[s.Name] = true
		for _, r := range c.runs(s) {
			cost, err := r.run(ctx, pool)
			switch {
			case err != nil:
				found = append(found, err.Error())
			case cost.Read > 3*cost.Returned+Slack && c.May[s.Name] == "":
				found = append(found, fmt.Sprintf("%s read %d rows to return %d: %s", r.name, cost.Read, cost.Returned, cost.Worst))
			}
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(c.Own)), slices.Collect(maps.Keys(c.May)), c.ByValue, c.ByIndex, c.Pages, c.Stored) {
		if base, _, _ := strings.Cut(name, "/"); !known[base] {
			found = append(found, "there is no statement "+name)
		}
	}
	return found, nil
}

// run is a statement with values, and the transaction that it is run in.
type run struct {
	name      string
	statement Statement
	values    map[string]string
	byValue   bool
	in        func(context.Context, *pgxpool.Pool, func(pgx.Tx) error) error
}

// runs are the runs of a statement: one for each of its own values, none of one that only stores.
func (c Check) runs(s Statement) (out []run) {
	if s.Stores() || slices.Contains(c.Stored, s.Name) {
		return nil
	}
	r := run{name: s.Name, statement: s, values: c.Values, byValue: slices.Contains(c.ByValue, s.Name), in: postgres.BatchTx}
	if slices.Contains(c.ByIndex, s.Name) {
		r.in = postgres.LookTx
	}
	if slices.Contains(c.Pages, s.Name) {
		r.in = func(ctx context.Context, pool *pgxpool.Pool, fn func(pgx.Tx) error) error {
			return postgres.PageWorkspace(ctx, pool, c.Values["workspace_id"], fn)
		}
	}
	for name, own := range c.Own {
		if base, _, _ := strings.Cut(name, "/"); base == s.Name {
			v := r
			v.name, v.values = name, maps.Clone(c.Values)
			maps.Copy(v.values, own)
			out = append(out, v)
		}
	}
	if out == nil {
		return []run{r}
	}
	return out
}

func (r run) run(ctx context.Context, pool *pgxpool.Pool) (cost Cost, err error) {
	err = r.in(ctx, pool, func(tx pgx.Tx) error {
		again := 1
		if r.byValue {
			if _, err := tx.Exec(ctx, `SET LOCAL plan_cache_mode = auto`); err != nil {
				return err
			}
			again = 7 // the sixth is where PostgreSQL may take a plan for all values
		}
		for range again {
			if cost, err = r.statement.Run(ctx, tx, r.values); err != nil {
				return err
			}
		}
		return nil
	})
	if strings.HasPrefix(r.statement.SQL, "INSERT") && violates(err) {
		return Cost{}, nil // made-up rows are not accepted: it got as far as storing them
	}
	if err != nil {
		return Cost{}, fmt.Errorf("%s does not run; give it values in Own, or name it in Stored: %w", r.name, err)
	}
	return cost, nil
}

// violates reports whether a constraint refused the rows.
func violates(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && strings.HasPrefix(refused.Code, "23")
}
