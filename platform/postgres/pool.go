// Package postgres opens pools, runs transactions with their tenancy scope, asks SQLSTATE questions and migrates. It
// knows no table.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config is what a pool needs.
type Config struct {
	// DSN is a PostgreSQL URL or keyword string, without schema. Required.
	DSN string
	// Schema is put first on the search path. Required.
	Schema string
	// AppName is shown in pg_stat_activity.
	AppName string
	// MaxConns bounds the pool. Default 10.
	MaxConns int32
}

// Open makes a pool. It succeeds while the database is away, and heals when it comes back. Connections of a role that
// row-level security does not bind are refused.
func Open(ctx context.Context, cfg Config) (*pgxpool.Pool, error) {
	pc, err := pgxpool.ParseConfig(cfg.DSN)
	if err != nil {
		// The parse error can quote the password.
		return nil, errors.New("open database: the DSN cannot be parsed")
	}
	pc.MaxConns = cfg.MaxConns
	if pc.MaxConns <= 0 {
		pc.MaxConns = 10
	}
	pc.MaxConnLifetimeJitter = time.Minute
	pc.HealthCheckPeriod = 5 * time.Second
	pc.ConnConfig.ConnectTimeout = 3 * time.Second
	pc.ConnConfig.RuntimeParams["search_path"] = cfg.Schema
	pc.ConnConfig.RuntimeParams["application_name"] = cfg.AppName
	pc.ConnConfig.RuntimeParams["timezone"] = "UTC"
	pc.ConnConfig.RuntimeParams["lock_timeout"] = "10s"
	pc.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "60s"
	pc.ConnConfig.Tracer = otelpgx.NewTracer()
	pc.AfterConnect = makeReady
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return pool, nil
}

func makeReady(ctx context.Context, conn *pgx.Conn) error {
	registerUUID(conn.TypeMap())
	return refuseUnbound(ctx, conn)
}

func refuseUnbound(ctx context.Context, conn *pgx.Conn) error {
	var unbound bool
	err := conn.QueryRow(ctx, `SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user`).Scan(&unbound)
	if err != nil {
		return fmt.Errorf("check role: %w", err)
	}
	if unbound {
		return errors.New("check role: services must connect as a role without SUPERUSER and BYPASSRLS; " +
			"`relance migrate` makes one per service, relance_<service>")
	}
	return nil
}

// CheckDurability fails unless an acknowledged commit survives a crash of the server, which the send protocol relies on
// (docs/send-protocol.md, assumption A4).
func CheckDurability(ctx context.Context, pool *pgxpool.Pool) error {
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		var value string
		if err := pool.QueryRow(ctx, `SELECT current_setting($1)`, setting).Scan(&value); err != nil {
			return fmt.Errorf("check durability: %w", err)
		}
		if value == "off" {
			return fmt.Errorf("check durability: PostgreSQL runs with %s=off, so a commit can be lost and a message "+
				"sent twice; turn it on", setting)
		}
	}
	return nil
}
