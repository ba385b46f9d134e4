// Package once is what every call has that is claimed, made once and read back, as bookings and links of contacts are: the account
// and the lead that it needs, its permit, the check right before it, and the commit of what came of it. What is called, what an answer
// means and what is looked for is its user's.
package once

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/crashpoint"
	"github.com/relance/relance/services/sync/internal/lateness"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

// Budget gives the permits that calls need.
type Budget interface {
	Take(ctx context.Context, key budget.Key, class budget.Class) (*budget.Permit, error)
}

// Accounts opens the credentials of a workspace.
type Accounts interface {
	// AccountOf gives a token that can be used now, refreshing it where that is needed.
	AccountOf(ctx context.Context, workspace uuid.UUID, kind provider.Kind) (provider.Account, sending.ConnectionState, error)
}

// Config is what calls need; all are required.
type Config struct {
	Store    *store.Store
	Accounts Accounts
	Budget   Budget
	// Assumed are the send protocol's constants, since every call waits for the same providers: what was seen of one that is late makes
	// absence count later for all of them. Who settles by absence loads it in the transaction that takes the look.
	Assumed *lateness.Book
	// Clock is the business clock.
	Clock clock.Clock
	// Stopped is true once nothing may begin.
	Stopped func() bool
	Logger  *slog.Logger
}

// Frame is the part of a call that does not depend on what is called. It is safe for concurrent use.
type Frame struct {
	Config
	// Timing are the constants as configured.
	Timing  sending.Timing
	machine clock.Clock // measures the time from claim to call; not business time
}

// New makes a Frame.
func New(cfg Config) Frame {
	return Frame{Config: cfg, Timing: cfg.Assumed.Configured(), machine: clock.System()}
}

// Subject is whom a call is about, and who is called.
type Subject struct {
	Workspace, Lead uuid.UUID
	Provider        provider.Kind
}

// Begin is the moment before a claim, for MayCall.
func (f Frame) Begin() time.Time { return f.machine.Now() }

// MayCall is the check between claim and call: less than W has passed by both clocks, and no drain has begun. Where it is false nothing
// may be called: the lease runs out, and the outcome is looked for.
func (f Frame) MayCall(began time.Time) bool {
	return f.Timing.MayWrite(began, f.machine.Now()) && !f.Stopped()
}

// Claim runs fn in one transaction, exactly one time: only an acknowledged commit lets the call be made. Every error is sending.ErrClaimUnknown.
func (f Frame) Claim(ctx context.Context, of Subject, fn func(*store.Tx, db.Lead) error) error {
	if err := f.Store.Once(ctx, of.Workspace, locked(ctx, of, fn)); err != nil {
		return fmt.Errorf("%w: %w", sending.ErrClaimUnknown, err)
	}
	return nil
}

// commitRetry is the rest between two tries to store an outcome.
const commitRetry = 200 * time.Millisecond

// Commit stores an outcome, trying again for the length of a lease while the database is away.
func (f Frame) Commit(ctx context.Context, of Subject, fn func(*store.Tx) error) error {
	until := f.machine.Now().Add(f.Timing.Lease())
	for {
		err := f.Store.Workspace(ctx, of.Workspace, locked(ctx, of, func(tx *store.Tx, _ db.Lead) error {
			err := fn(tx)
			crashpoint.At(crashpoint.C9)
			return err
		}))
		if err == nil {
			return nil
		}
		err = fmt.Errorf("store outcome: %w", err)
		if !postgres.IsUnavailable(err) || f.machine.Now().After(until) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(commitRetry):
		}
	}
}

// locked holds the lead's row first: every writer takes the lead and then what is about it.
func locked(ctx context.Context, of Subject, fn func(*store.Tx, db.Lead) error) func(*store.Tx) error {
	return func(tx *store.Tx) error {
		who, err := tx.LockLead(ctx, db.LockLeadParams{WorkspaceID: of.Workspace, ID: of.Lead})
		if err != nil {
			return err
		}
		return fn(tx, who)
	}
}
