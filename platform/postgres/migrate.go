package postgres

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// minVersion is PostgreSQL 15.
const minVersion = 150000

// Migrations is what a service's database needs.
type Migrations struct {
	// Service names the schema; the service's login role is relance_<service>.
	Service string
	// FS holds goose files NNNN_name.sql at its root.
	FS fs.FS
	// River adds the job tables to the schema.
	River bool
}

// Role is the login role of a service.
func Role(service string) string { return "relance_" + service }

// Migrate brings a service's schema up to date: role, schema, tables, job tables, grants, in one run under an advisory
// lock. Running it again, or from several places at once, is harmless. adminDSN is the owner of the objects; the
// service itself connects with RoleDSN.
func Migrate(ctx context.Context, adminDSN string, m Migrations) error {
	cfg, err := pgxpool.ParseConfig(adminDSN)
	if err != nil {
		return errors.New("migrate: the DSN cannot be parsed")
	}
	schema := pgx.Identifier{m.Service}.Sanitize()
	cfg.MaxConns = 4
	cfg.ConnConfig.RuntimeParams["search_path"] = schema
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("migrate %s: %w", m.Service, err)
	}
	defer pool.Close()
	err = pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		// One lock for all services: roles are objects of the whole cluster.
		if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(hashtext('relance.migrate'))`); err != nil {
			return err
		}
		defer func() {
			_, _ = conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock(hashtext('relance.migrate'))`)
		}()
		return migrateLocked(ctx, pool, conn, m)
	})
	if err != nil {
		return fmt.Errorf("migrate %s: %w", m.Service, err)
	}
	return nil
}

func migrateLocked(ctx context.Context, pool *pgxpool.Pool, conn *pgxpool.Conn, m Migrations) error {
	var version int
	if err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int`).Scan(&version); err != nil {
		return err
	}
	if version < minVersion {
		return fmt.Errorf("PostgreSQL 15 or newer is needed, this is %d", version/10000)
	}
	if err := prepare(ctx, conn, m.Service, pool.Config().ConnConfig.Password); err != nil {
		return err
	}
	if err := gooseUp(ctx, pool, m.FS); err != nil {
		return err
	}
	if m.River {
		migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{
			Schema: m.Service, Logger: slog.New(slog.DiscardHandler), // its default writes to stdout
		})
		if err != nil {
			return fmt.Errorf("job tables: %w", err)
		}
		if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return fmt.Errorf("job tables: %w", err)
		}
	}
	if err := makeGrownTables(ctx, conn, m.Service); err != nil {
		return err
	}
	return grant(ctx, conn, m.Service)
}

func prepare(ctx context.Context, conn *pgxpool.Conn, service, adminPassword string) error {
	role, schema := pgx.Identifier{Role(service)}.Sanitize(), pgx.Identifier{service}.Sanitize()
	var exists bool
	err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, Role(service)).Scan(&exists)
	if err != nil {
		return err
	}
	if !exists {
		_, err = conn.Exec(ctx, `CREATE ROLE `+role+` LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE`)
		// Another database of the same cluster can have made it meanwhile.
		if err != nil && !IsUnique(err, "") && !breaks(err, "42710", "") {
			return fmt.Errorf("make role: %w", err)
		}
	}
	if adminPassword != "" {
		if err := setPassword(ctx, conn, role, rolePassword(adminPassword, service)); err != nil {
			return err
		}
	}
	_, err = conn.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS `+schema)
	return err
}

// setPassword sets a password that is hexadecimal and so needs no quoting; ALTER ROLE takes no parameters. A role belongs
// to the cluster and our lock to one database, so another database's migration may be changing it at this moment.
func setPassword(ctx context.Context, conn *pgxpool.Conn, role, password string) error {
	var err error
	for range 10 {
		_, err = conn.Exec(ctx, `ALTER ROLE `+role+` PASSWORD '`+password+`'`)
		if err == nil {
			return nil
		}
		if !breaks(err, "XX000", "") { // "tuple concurrently updated"
			break
		}
	}
	return fmt.Errorf("set role password: %w", err)
}

func gooseUp(ctx context.Context, pool *pgxpool.Pool, files fs.FS) error {
	db := stdlib.OpenDBFromPool(pool)
	defer func(db *sql.DB) { _ = db.Close() }(db)
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("tables: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("tables: %w", err)
	}
	return nil
}

func grant(ctx context.Context, conn *pgxpool.Conn, service string) error {
	role, schema := pgx.Identifier{Role(service)}.Sanitize(), pgx.Identifier{service}.Sanitize()
	for _, statement := range []string{
		`GRANT USAGE ON SCHEMA ` + schema + ` TO ` + role,
		`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ` + schema + ` TO ` + role,
		`GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA ` + schema + ` TO ` + role,
		`GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ` + schema + ` TO ` + role,
		// Tables made between migrations, such as a month's partition.
		`ALTER DEFAULT PRIVILEGES IN SCHEMA ` + schema + ` GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ` + role,
		`ALTER DEFAULT PRIVILEGES IN SCHEMA ` + schema + ` GRANT USAGE, SELECT ON SEQUENCES TO ` + role,
		// What has been migrated is not the service's to change.
		`REVOKE INSERT, UPDATE, DELETE ON ` + schema + `.goose_db_version FROM ` + role,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("grant: %w", err)
		}
	}
	return nil
}

// RoleDSN is the DSN of a service's login role on the same server. Where the admin DSN carries a password, the role's is
// derived from it (HMAC-SHA256), so that one secret configures all; set a DSN per service to use others.
func RoleDSN(adminDSN, service string) string {
	if u, err := url.Parse(adminDSN); err == nil && strings.HasPrefix(u.Scheme, "postgres") {
		query := u.Query()
		query.Del("user")
		query.Del("password")
		u.RawQuery = query.Encode()
		u.User = url.User(Role(service))
		if cfg, err := pgx.ParseConfig(adminDSN); err == nil && cfg.Password != "" {
			u.User = url.UserPassword(Role(service), rolePassword(cfg.Password, service))
		}
		return u.String()
	}
	dsn := adminDSN + " user=" + Role(service)
	if cfg, err := pgx.ParseConfig(adminDSN); err == nil && cfg.Password != "" {
		dsn += " password=" + rolePassword(cfg.Password, service)
	}
	return dsn
}

func rolePassword(adminPassword, service string) string {
	mac := hmac.New(sha256.New, []byte(adminPassword))
	mac.Write([]byte(Role(service)))
	return hex.EncodeToString(mac.Sum(nil))
}
