// Package store keeps the sync service's rows in PostgreSQL: transactions with their tenancy scope, encryption of what
// people wrote, and the statements that more than one caller needs.
package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/platform/secretbox"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations is the schema "sync".
func Migrations() postgres.Migrations {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return postgres.Migrations{Service: "sync", FS: files, River: true}
}

// Store opens transactions.
type Store struct {
	pool  *pgxpool.Pool
	box   *secretbox.Box
	queue *work.Queue
	clock clock.Clock
	inbox func(workspace uuid.UUID)
}

// Config is what a store is made of.
type Config struct {
	Pool  *pgxpool.Pool
	Box   *secretbox.Box
	Queue *work.Queue
	// Clock is the business clock; rows carry its times.
	Clock clock.Clock
	// Inbox is called after a commit for each workspace whose webhooks it left waiting; nil for nobody. It must not block.
	Inbox func(workspace uuid.UUID)
}

// New makes a store.
func New(cfg Config) *Store {
	return &Store{pool: cfg.Pool, box: cfg.Box, queue: cfg.Queue, clock: cfg.Clock, inbox: cfg.Inbox}
}

// Tx is one transaction with its scope.
type Tx struct {
	*db.Queries
	// Now is the business time at which the transaction began.
	Now   time.Time
	raw   pgx.Tx
	store *Store
	end   atEnd
}

// attempts bounds how often a transaction is run again after a deadlock or a lost race of inserts.
const attempts = 5

// Workspace runs fn seeing one workspace only. Deadlocks and lost races of unique inserts run it again, so fn must not
// have effects outside the transaction.
func (s *Store) Workspace(ctx context.Context, workspace uuid.UUID, fn func(*Tx) error) error {
	return s.run(ctx, func(body func(pgx.Tx) error) error {
		return postgres.InWorkspace(ctx, s.pool, workspace.String(), body)
	}, fn)
}

// Batch is Workspace for statements on many rows by their keys, whose plans are kept (postgres.BatchWorkspace).
func (s *Store) Batch(ctx context.Context, workspace uuid.UUID, fn func(*Tx) error) error {
	return s.run(ctx, func(body func(pgx.Tx) error) error {
		return postgres.BatchWorkspace(ctx, s.pool, workspace.String(), body)
	}, fn)
}

// Page is Workspace for a page of a list (postgres.PageWorkspace).
func (s *Store) Page(ctx context.Context, workspace uuid.UUID, fn func(*Tx) error) error {
	return s.run(ctx, func(body func(pgx.Tx) error) error {
		return postgres.PageWorkspace(ctx, s.pool, workspace.String(), body)
	}, fn)
}

// System runs fn seeing all workspaces, like Workspace otherwise.
func (s *Store) System(ctx context.Context, fn func(*Tx) error) error {
	return s.run(ctx, func(body func(pgx.Tx) error) error { return postgres.InTx(ctx, s.pool, body) }, fn)
}

// BatchSystem is System as Batch is Workspace.
func (s *Store) BatchSystem(ctx context.Context, fn func(*Tx) error) error {
	return s.run(ctx, func(body func(pgx.Tx) error) error { return postgres.BatchTx(ctx, s.pool, body) }, fn)
}

// Look is System for a look at the head of a queue (postgres.LookTx).
func (s *Store) Look(ctx context.Context, fn func(*Tx) error) error {
	return s.run(ctx, func(body func(pgx.Tx) error) error { return postgres.LookTx(ctx, s.pool, body) }, fn)
}

// Snapshot runs fn seeing all workspaces at one moment, for counts that must add up.
func (s *Store) Snapshot(ctx context.Context, fn func(*Tx) error) error {
	moment := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, s.pool, moment, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT set_config('relance.scope', 'system', true)`); err != nil {
			return fmt.Errorf("set scope: %w", err)
		}
		return fn(&Tx{Queries: db.New(tx), Now: s.clock.Now().UTC(), raw: tx, store: s})
	})
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// Read runs fn seeing one workspace at one moment, and changing nothing.
func (s *Store) Read(ctx context.Context, workspace uuid.UUID, fn func(*Tx) error) error {
	return s.run(ctx, func(body func(pgx.Tx) error) error {
		return postgres.ReadWorkspace(ctx, s.pool, workspace.String(), body)
	}, fn)
}

func (s *Store) run(ctx context.Context, scope func(func(pgx.Tx) error) error, fn func(*Tx) error) error {
	var err error
	for range attempts {
		var end atEnd
		err = scope(func(tx pgx.Tx) error {
			return s.within(ctx, tx, &end, fn)
		})
		if err == nil {
			s.after(end)
		}
		if postgres.IsNoPartition(err) {
			// A month began for which nothing was made ahead.
			if _, err := s.MakeMonths(ctx); err != nil {
				return err
			}
			continue
		}
		if !postgres.IsRetryable(err) && !lostRace(err) {
			return err
		}
		if ctx.Err() != nil {
			return err
		}
	}
	return err
}

func lostRace(err error) bool {
	for _, index := range []string{"lead_contact", "lead_email", "lead_address_pkey", "lead_phone", "message_provider", "message_webhook"} {
		if postgres.IsUnique(err, index) {
			return true
		}
	}
	return false
}

// Once runs fn in one workspace exactly one time: for the claim, whose lost COMMIT must not be tried again. Plans are kept, as
// in Batch.
func (s *Store) Once(ctx context.Context, workspace uuid.UUID, fn func(*Tx) error) error {
	once := func() error {
		var end atEnd
		err := postgres.BatchWorkspace(ctx, s.pool, workspace.String(), func(tx pgx.Tx) error { return s.within(ctx, tx, &end, fn) })
		if err == nil {
			s.after(end)
		}
		return err
	}
	err := once()
	if !postgres.IsNoPartition(err) {
		return err
	}
	// A statement failed, so nothing was committed: the month is made and the transaction begins anew.
	if _, err := s.MakeMonths(ctx); err != nil {
		return err
	}
	return once()
}

// Connection lends a connection for work outside a transaction, such as a session lock.
func (s *Store) Connection(ctx context.Context, fn func(*db.Queries) error) error {
	err := s.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return fn(db.New(c)) })
	if err != nil {
		return fmt.Errorf("use connection: %w", err)
	}
	return nil
}

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}

// Enqueue adds a job to the transaction, to run after a real-time delay.
func (t *Tx) Enqueue(ctx context.Context, job river.JobArgs, delay time.Duration) error {
	return t.store.queue.Insert(ctx, t.raw, job, delay)
}

// Seal encrypts the value of a cell.
func (t *Tx) Seal(plain string, place secretbox.AD) ([]byte, error) {
	return t.store.Seal(plain, place)
}

// Seal encrypts the value of a cell.
func (s *Store) Seal(plain string, place secretbox.AD) ([]byte, error) {
	sealed, err := s.box.Seal([]byte(plain), place)
	if err != nil {
		return nil, fmt.Errorf("seal %s.%s: %w", place.Table, place.Column, err)
	}
	return sealed, nil
}

// Open decrypts the value of a cell; no value gives the empty string.
func (s *Store) Open(sealed []byte, place secretbox.AD) (string, error) {
	if sealed == nil {
		return "", nil
	}
	plain, err := s.box.Open(sealed, place)
	if err != nil {
		return "", fmt.Errorf("open %s.%s: %w", place.Table, place.Column, err)
	}
	return string(plain), nil
}
