// Package statements runs a service's SQL files on a database full of rows and tells what each statement reads, for tests only. A
// statement must cost what it returns, however large the tenant: a test goes over all of them, and one that is written tomorrow is
// held to it too.
package statements

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Statement is one query of a service's SQL files.
type Statement struct {
	// Name is the name by which Go calls it.
	Name string
	// SQL is PostgreSQL's.
	SQL string
	// Args are the names of its parameters, $1 first; Optional are those that may be null.
	Args, Optional []string
}

var (
	heading   = regexp.MustCompile(`(?m)^-- name: (\w+) .*$`)
	remark    = regexp.MustCompile(`(?m)--.*$`)
	parameter = regexp.MustCompile(`sqlc\.(n?)arg\('?(\w+)'?\)|@(\w+)`)
	embedded  = regexp.MustCompile(`sqlc\.embed\((\w+)\)`)
)

// Read gives the statements of the SQL files in dir.
func Read(dir string) ([]Statement, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.sql"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("read statements: none in %s: %w", dir, err)
	}
	var all []Statement
	for _, file := range files {
		text, err := os.ReadFile(file) //nolint:gosec // a test names its own directory
		if err != nil {
			return nil, fmt.Errorf("read statements: %w", err)
		}
		heads := heading.FindAllSubmatchIndex(text, -1)
		for i, head := range heads {
			end := len(text)
			if i+1 < len(heads) {
				end = heads[i+1][0]
			}
			all = append(all, parse(string(text[head[2]:head[3]]), string(text[head[1]:end])))
		}
	}
	return all, nil
}

func parse(name, body string) Statement {
	s := Statement{Name: name}
	body = embedded.ReplaceAllString(strings.TrimSpace(remark.ReplaceAllString(body, "")), "$1.*")
	s.SQL = parameter.ReplaceAllStringFunc(body, func(found string) string {
		match := parameter.FindStringSubmatch(found)
		arg := match[2] + match[3]
		if match[1] == "n" {
			s.Optional = append(s.Optional, arg)
		}
		at := slices.Index(s.Args, arg)
		if at < 0 {
			at, s.Args = len(s.Args), append(s.Args, arg)
		}
		return fmt.Sprintf("$%d", at+1)
	})
	return s
}

// Stores reports whether the statement only stores the row that it is given.
func (s Statement) Stores() bool {
	return strings.HasPrefix(s.SQL, "INSERT") && !strings.Contains(s.SQL, "SELECT")
}

// Cost is what a run of a statement read and gave.
type Cost struct {
	// Read is how many rows of tables were read, whether they were of use or not.
	Read int
	// Returned is how many rows the statement returned.
	Returned int
	// Worst is the scan that read most.
	Worst string
	most  int
}

// Run runs the statement once in tx and undoes it. Values are text, by the name of the argument. One that may be null is so without
// a value or with an empty one; any other is the zero value of its type.
func (s Statement) Run(ctx context.Context, tx pgx.Tx, values map[string]string) (Cost, error) {
	nested, err := tx.Begin(ctx)
	if err != nil {
		return Cost{}, fmt.Errorf("%s: %w", s.Name, err)
	}
	defer func() { _ = nested.Rollback(ctx) }()
	types, err := s.prepare(ctx, nested)
	if err != nil {
		return Cost{}, fmt.Errorf("prepare %s: %w", s.Name, err)
	}
	call := "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE scale_" + s.Name
	if len(s.Args) > 0 {
		call += "(" + strings.Join(s.literals(types, values), ", ") + ")"
	}
	var text []byte
	var plan []struct{ Plan node }
	if err = nested.QueryRow(ctx, call, pgx.QueryExecModeSimpleProtocol).Scan(&text); err == nil {
		err = json.Unmarshal(text, &plan)
	}
	if err != nil {
		return Cost{}, fmt.Errorf("run %s: %w", s.Name, err)
	}
	cost := Cost{Returned: int(plan[0].Plan.Rows)}
	plan[0].Plan.count(&cost)
	return cost, nil
}

// prepare makes the statement, and tells the types of its parameters. A connection keeps it, as it does in the service.
func (s Statement) prepare(ctx context.Context, tx pgx.Tx) (types []string, err error) {
	const ask = `SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = lower($1)`
	name := "scale_" + s.Name
	if err = tx.QueryRow(ctx, ask, name).Scan(&types); err == nil {
		return types, nil
	}
	if _, err = tx.Exec(ctx, "PREPARE "+name+" AS "+s.SQL, pgx.QueryExecModeSimpleProtocol); err != nil {
		return nil, err
	}
	return types, tx.QueryRow(ctx, ask, name).Scan(&types)
}

func (s Statement) literals(types []string, values map[string]string) []string {
	out := make([]string, len(s.Args))
	for i, name := range s.Args {
		value, ok := values[name]
		switch {
		case value == "" && slices.Contains(s.Optional, name):
			out[i] = "NULL"
			continue
		case !ok || !fits(types[i], value):
			value = zero(types[i])
		}
		out[i] = "'" + strings.ReplaceAll(value, "'", "''") + "'"
	}
	return out
}

// fits reports whether a value can be one of the type: the same name may be an id here and a time there.
func fits(of, value string) bool {
	_, notID := uuid.Parse(value)
	_, notNumber := strconv.ParseFloat(value, 64)
	switch {
	case of == "uuid":
		return notID == nil
	case strings.HasPrefix(of, "timestamp") || of == "date":
		return notID != nil && notNumber != nil && value != ""
	case slices.Contains([]string{"smallint", "integer", "bigint", "double precision", "numeric"}, of):
		return notNumber == nil
	default:
		return strings.HasSuffix(of, "[]") == (strings.HasPrefix(value, "{") && of != "jsonb")
	}
}

func zero(of string) string {
	switch {
	case strings.HasSuffix(of, "[]") || of == "jsonb":
		return "{}"
	case of == "uuid":
		return "00000000-0000-0000-0000-000000000000"
	case strings.HasPrefix(of, "timestamp") || of == "date":
		return "2026-01-01"
	case of == "text" || of == "bytea":
		return ""
	default: // numbers, booleans, intervals
		return "0"
	}
}

// node is what EXPLAIN tells of a step of a plan.
type node struct {
	Type      string  `json:"Node Type"`
	Relation  string  `json:"Relation Name"`
	Index     string  `json:"Index Name"`
	Condition string  `json:"Index Cond"`
	Rows      float64 `json:"Actual Rows"`
	Filtered  float64 `json:"Rows Removed by Filter"`
	Rechecked float64 `json:"Rows Removed by Index Recheck"`
	Loops     float64 `json:"Actual Loops"`
	Plans     []node
}

// count adds up what the scans of a plan read. Their rows are those of an average loop.
func (n node) count(cost *Cost) {
	if strings.HasSuffix(n.Type, "Scan") && n.Relation != "" {
		read := int((n.Rows + n.Filtered + n.Rechecked) * n.Loops)
		cost.Read += read
		if read > cost.most {
			cost.most, cost.Worst = read, strings.TrimSpace(strings.Join([]string{n.Type, n.Relation, n.Index, n.Condition}, " "))
		}
	}
	for _, child := range n.Plans {
		child.count(cost)
	}
}
