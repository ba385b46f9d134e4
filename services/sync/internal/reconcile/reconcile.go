// Package reconcile settles sends whose outcome is unknown (docs/send-protocol.md, §3.4): it looks for them in the
// provider's lists, takes evidence from webhooks, and decides by the rules of package sending. It never calls the send
// endpoint: what is to be sent again goes through the sender.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/clock"
	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/crashpoint"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/lateness"
	"github.com/relance/relance/services/sync/internal/planted"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

const (
	// batch is how many looks one tick takes, perWorkspace how many of them may be one workspace's.
	batch, perWorkspace = 100, 20
	// callsPerLease is for how many calls of the longest duration a look is reserved.
	callsPerLease = 6
)

// Config is what a Reconciler is made of.
type Config struct {
	Store  *store.Store
	Client *ghl.Client
	// Mail are the providers that answer emails.
	Mail map[provider.Kind]provider.Mail
	// Account gives a workspace's credentials at a provider, and false when there are none that can be used.
	Account func(ctx context.Context, workspace uuid.UUID, kind provider.Kind) (ghl.Account, bool, error)
	// Budget is the share of the provider's quota that looks may use; nil when the client limits its reads itself.
	Budget Budget
	// Clock is the business clock.
	Clock clock.Clock
	// Assumed are the protocol's constants; those configured must pass their Check.
	Assumed *lateness.Book
	Logger  *slog.Logger
}

// Reconciler settles unknown outcomes. It is safe for concurrent use, also by several processes.
type Reconciler struct {
	Looker
	account func(context.Context, uuid.UUID, provider.Kind) (ghl.Account, bool, error)
	clock   clock.Clock
	logger  *slog.Logger
	metrics metrics
	told    sync.Map // what Watch has logged, by invariant
	// spared is how many more times Watch does not count all sends.
	spared atomic.Int64
}

// New makes a Reconciler.
func New(cfg Config) *Reconciler {
	return &Reconciler{
		Looker:  Looker{Store: cfg.Store, Client: cfg.Client, Mail: cfg.Mail, Budget: cfg.Budget, Assumed: cfg.Assumed},
		account: cfg.Account, clock: cfg.Clock, logger: cfg.Logger, metrics: newMetrics(),
	}
}

// Tick is T10, then one look for every send whose look is due. It tells how many looks it took.
func (r *Reconciler) Tick(ctx context.Context) (int, error) {
	if err := r.ExpireLeases(ctx); err != nil {
		return 0, err
	}
	return r.looks(ctx, nil)
}

// One looks for one send if its look is due.
func (r *Reconciler) One(ctx context.Context, intent uuid.UUID) error {
	_, err := r.looks(ctx, &intent)
	return err
}

// ExpireLeases is T10: claims whose holder is gone become UNKNOWN, by the database's clock.
func (r *Reconciler) ExpireLeases(ctx context.Context) error {
	err := r.Store.System(ctx, func(tx *store.Tx) error {
		expired, err := tx.ExpireLeases(ctx, db.ExpireLeasesParams{
			Now: tx.Now, LookSeconds: r.Assumed.Configured().Looks()[0].Seconds(), Sources: sending.Sources(sending.Unknown, sending.T10),
		})
		if err != nil {
			return err
		}
		for _, e := range expired {
			r.logger.WarnContext(ctx, "send outcome unknown: its lease ran out", "intent", e.ID.String(), "attempt", e.Attempt)
			if err := r.show(ctx, tx, e); err != nil {
				return err
			}
			if err := tx.Enqueue(ctx, work.Reconcile{Intent: e.ID.String()}, 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("expire leases: %w", err)
	}
	return nil
}

// show makes the timeline's row of a send whose lease ran out, if it has none. One that cannot be read holds up no other.
func (r *Reconciler) show(ctx context.Context, tx *store.Tx, row db.SendIntent) error {
	err := tx.Show(ctx, row)
	if errors.Is(err, store.ErrUnreadable) {
		r.logger.ErrorContext(ctx, "send not shown in the timeline", "intent", row.ID.String(), "error", err)
		return nil
	}
	return err
}

func (r *Reconciler) looks(ctx context.Context, only *uuid.UUID) (int, error) {
	var due []db.ClaimLooksRow
	err := r.Store.System(ctx, func(tx *store.Tx) (err error) {
		// How long absence may be awaited is decided by what all processes saw until now.
		if err := r.Assumed.Load(ctx, tx); err != nil {
			return err
		}
		due, err = tx.ClaimLooks(ctx, db.ClaimLooksParams{
			ID: only, PerWorkspace: perWorkspace, Page: batch, LeaseSeconds: (callsPerLease * r.Assumed.Configured().Call).Seconds(),
		})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("claim looks: %w", err)
	}
	var failed error
	for _, row := range due {
		if ctx.Err() != nil {
			break // what is left is looked at again when its lease ends
		}
		age := time.Duration(row.AgeSeconds * float64(time.Second))
		if err := r.look(ctx, row.SendIntent, age); err != nil {
			failed = errors.Join(failed, fmt.Errorf("reconcile %s: %w", row.SendIntent.ID, err))
		}
	}
	return len(due), failed
}

func (r *Reconciler) look(ctx context.Context, row db.SendIntent, age time.Duration) error {
	timing := r.Assumed.Timing(row.Provider)
	seen, err := r.see(ctx, row)
	wait, limited := usedUp(err)
	var read *ghl.ReadError
	switch {
	case limited && len(seen.Matches) == 0 && age < timing.Settle+timing.Grace():
		return r.postpone(ctx, row, wait)
	case errors.As(err, &read), limited, errors.Is(err, ErrPartial), errors.Is(err, ghl.ErrID), errors.Is(err, errNoConnection):
		seen.Complete = planted.On(planted.FailedReadAbsent)
	case err != nil:
		return err
	}
	expired := row.ExpireTime != nil && !r.clock.Now().Before(*row.ExpireTime)
	d := sending.Settle(timing, sending.Unresolved{
		Age: age, Looks: int(row.Looks), Failed: int(row.FailedLooks), Hold: sending.Policy(row.Policy) == sending.Hold, Resends: int(row.Ambiguous), Expired: expired,
	}, seen)
	err = r.apply(ctx, outcome{row: row, age: age, source: "list", seen: seen, settlement: d})
	if postgres.IsUnique(err, "one_claim") || postgres.IsUnique(err, "message_provider") {
		// Another send got the message between the look and this commit; the next look will not count it.
		return r.postpone(ctx, row, 0)
	}
	return err
}

// errNoConnection: without a usable connection the provider cannot be read.
var errNoConnection = errors.New("no usable connection")

func (r *Reconciler) see(ctx context.Context, row db.SendIntent) (sending.Sighting, error) {
	account, usable, err := r.account(ctx, row.WorkspaceID, provider.Kind(row.Provider))
	if err != nil {
		return sending.Sighting{}, err
	}
	if !usable {
		return sending.Sighting{}, errNoConnection
	}
	crashpoint.At(crashpoint.C11)
	return r.Look(ctx, row, account)
}

// postpone makes no look of it: the row is due again after a wait.
func (r *Reconciler) postpone(ctx context.Context, row db.SendIntent, wait time.Duration) error {
	err := r.Store.Workspace(ctx, row.WorkspaceID, func(tx *store.Tx) error {
		err := tx.PostponeLook(ctx, db.PostponeLookParams{
			WaitSeconds: wait.Seconds(), WorkspaceID: row.WorkspaceID, ID: row.ID, Attempt: row.Attempt,
		})
		if err != nil {
			return err
		}
		return tx.Enqueue(ctx, work.Reconcile{Intent: row.ID.String()}, wait)
	})
	if err != nil {
		return fmt.Errorf("postpone look: %w", err)
	}
	return nil
}
