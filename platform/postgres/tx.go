package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// InTx runs fn in a transaction that may see all workspaces: for work that is not one tenant's, such as claiming what is
// due. It commits when fn returns nil. Make no remote call inside.
func InTx(ctx context.Context, pool *pgxpool.Pool, fn func(pgx.Tx) error) error {
	return scoped(ctx, pool, [2]string{"relance.scope", "system"}, fn)
}

// InWorkspace runs fn in a transaction that sees one workspace (bare UUID) only, enforced by row-level security.
func InWorkspace(ctx context.Context, pool *pgxpool.Pool, workspace string, fn func(pgx.Tx) error) error {
	return scoped(ctx, pool, [2]string{"relance.workspace_id", workspace}, fn)
}

func scoped(ctx context.Context, pool *pgxpool.Pool, scope [2]string, fn func(pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT set_config($1, $2, true)`, scope[0], scope[1]); err != nil {
			return fmt.Errorf("set scope: %w", err)
		}
		return fn(tx)
	})
	if err != nil {
		return fmt.Errorf("transaction: %w", err)
	}
	return nil
}
