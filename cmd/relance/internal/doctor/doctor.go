// Package doctor looks at an installation from outside and says, for whatever is not right, the remedy.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/relance/relance/cmd/relance/internal/late"
	"github.com/relance/relance/cmd/relance/internal/plain"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/redact"
	"github.com/relance/relance/platform/rpc"
)

// ErrUnhealthy says that at least one check failed.
var ErrUnhealthy = errors.New("doctor: something needs a remedy")

const (
	maxSkew     = 5 * time.Second
	expiryAlarm = 7 * 24 * time.Hour
)

// Options say what to look at; what is left empty is not looked at, and that is said.
type Options struct {
	// DatabaseURL is the database as the owner of its objects.
	DatabaseURL string
	// Gateway is the gateway's base URL, AdminSecret opens /v1.
	Gateway, AdminSecret string
	// Certificates are the files of the roles' identities.
	Certificates []rpc.IdentityFiles
	// Services are the schemas that must exist.
	Services []string
	// Now is the machine's clock.
	Now func() time.Time
}

// Finding is one check's result.
type Finding struct {
	// State is "ok", "warn", "skip" or "FAIL".
	State string
	// Check says what was looked at, Detail what was seen, Remedy what to do.
	Check, Detail, Remedy string
}

type examination struct {
	opts     Options
	findings []Finding
}

func (e *examination) add(state, check, detail, remedy string) {
	e.findings = append(e.findings, Finding{
		State: state, Check: plain.Line(check), Detail: plain.Line(redact.Text(detail)), Remedy: plain.Line(remedy),
	})
}

// Examine runs every check. A check that cannot run is a finding, not an error.
func Examine(ctx context.Context, opts Options) []Finding {
	e := &examination{opts: opts}
	e.database(ctx)
	e.certificates()
	e.gateway(ctx)
	return e.findings
}

// Print writes the findings as a table and answers ErrUnhealthy when one failed.
func Print(out io.Writer, findings []Finding) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	failed := false
	for _, f := range findings {
		failed = failed || f.State == "FAIL"
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", f.State, f.Check, f.Detail)
		if f.Remedy != "" {
			_, _ = fmt.Fprintf(w, "\t\t→ %s\n", f.Remedy)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print findings: %w", err)
	}
	if failed {
		return ErrUnhealthy
	}
	return nil
}

func (e *examination) database(ctx context.Context) {
	if e.opts.DatabaseURL == "" {
		e.add("skip", "database", "no --database-url given", "")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, e.opts.DatabaseURL)
	if err != nil {
		e.add("FAIL", "database", "cannot connect", "check that PostgreSQL runs and that the URL, user and password are right")
		return
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	e.version(ctx, conn)
	e.durability(ctx, conn)
	e.databaseClock(ctx, conn)
	for _, service := range e.opts.Services {
		e.schema(ctx, conn, service)
	}
	if slices.Contains(e.opts.Services, "sync") {
		e.lateness(ctx, conn)
	}
}

// lateness looks at what the send protocol assumes of the providers.
func (e *examination) lateness(ctx context.Context, conn *pgx.Conn) {
	const check = "providers in time"
	found, err := late.Providers(ctx, conn)
	switch {
	case err != nil:
		e.add("FAIL", check, err.Error(), "run `relance migrate`")
	case len(found) == 0:
		e.add("ok", check, "none was later than assumed in the last 7 days", "")
	}
	for _, p := range found {
		e.add("warn", check, p.String(), late.Remedy)
	}
}

func (e *examination) version(ctx context.Context, conn *pgx.Conn) {
	var number int
	if err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int`).Scan(&number); err != nil {
		e.add("FAIL", "database version", err.Error(), "")
		return
	}
	if number < 150000 {
		e.add("FAIL", "database version", fmt.Sprintf("PostgreSQL %d", number/10000), "use PostgreSQL 15 or newer")
		return
	}
	e.add("ok", "database version", fmt.Sprintf("PostgreSQL %d", number/10000), "")
}

func (e *examination) durability(ctx context.Context, conn *pgx.Conn) {
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		var value string
		err := conn.QueryRow(ctx, `SELECT current_setting($1)`, setting).Scan(&value)
		if err != nil || value == "off" {
			e.add("FAIL", "database durability", setting+" = "+value, "turn it on: a lost commit can send a message twice")
			return
		}
	}
	e.add("ok", "database durability", "fsync, full_page_writes, synchronous_commit are on", "")
}

func (e *examination) databaseClock(ctx context.Context, conn *pgx.Conn) {
	before := e.opts.Now()
	var theirs time.Time
	if err := conn.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&theirs); err != nil {
		e.add("FAIL", "database clock", err.Error(), "")
		return
	}
	skew := theirs.Sub(before.Add(e.opts.Now().Sub(before) / 2)).Abs().Round(time.Millisecond)
	if skew > maxSkew {
		e.add("FAIL", "database clock", fmt.Sprintf("differs by %s from this machine's", skew), "run NTP on both machines")
		return
	}
	e.add("ok", "database clock", fmt.Sprintf("within %s of this machine's", skew), "")
}

func (e *examination) schema(ctx context.Context, conn *pgx.Conn, service string) {
	var migrated, unbound bool
	err := conn.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL,
       EXISTS (SELECT FROM pg_roles WHERE rolname = $2 AND (rolsuper OR rolbypassrls))`,
		service+".goose_db_version", postgres.Role(service)).Scan(&migrated, &unbound)
	switch {
	case err != nil:
		e.add("FAIL", "schema "+service, err.Error(), "")
	case !migrated:
		e.add("FAIL", "schema "+service, "missing", "run `relance migrate`")
	case unbound:
		e.add("FAIL", "schema "+service, "its role is exempt from row-level security", "ALTER ROLE "+postgres.Role(service)+" NOSUPERUSER NOBYPASSRLS")
	default:
		e.add("ok", "schema "+service, "migrated; its role is bound by row-level security", "")
	}
}

func (e *examination) certificates() {
	if len(e.opts.Certificates) == 0 {
		e.add("skip", "certificates", "none given", "")
	}
	for _, files := range e.opts.Certificates {
		expiry, name, err := certificate(files)
		switch left := expiry.Sub(e.opts.Now()); {
		case err != nil:
			e.add("FAIL", "certificate "+files.Cert, err.Error(), "mount the files of cert, key and authority; the key must be Ed25519")
		case left <= 0:
			e.add("FAIL", "certificate "+name, "expired "+expiry.Format(time.RFC3339), "renew it; roles read the new files by themselves")
		case left < expiryAlarm:
			e.add("warn", "certificate "+name, "ends "+expiry.Format(time.RFC3339), "renew it; roles read the new files by themselves")
		default:
			e.add("ok", "certificate "+name, "ends "+expiry.Format(time.RFC3339), "")
		}
	}
}
