package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
)

const (
	claimEach  = 4
	claimBatch = 16
	parallel   = 4
	// oneWalk bounds one conversation, below the lease of two minutes.
	oneWalk = 90 * time.Second

	provenAgain  = 6 * time.Hour
	differsAgain = 30 * time.Minute
	absentAgain  = 6 * time.Hour
	firstRetry   = time.Minute
	lastRetry    = 6 * time.Hour
)

// goesOn is the reason of a conversation that is too long for one run: the next goes on with it.
const goesOn = "WALK_GOES_ON"

// Outcomes of a conversation in a run.
const (
	proven   = "proven"
	unproven = "unproven"
	deferred = "deferred"
	failed   = "failed"
)

// Due is what one run may do.
type Due struct {
	// Budget is the time after which nothing more is begun.
	Budget time.Duration
	// Workspace bounds the run to one; uuid.Nil for all.
	Workspace uuid.UUID
}

// RunDue compares the conversations that are due, some of each workspace in turn. Runs at the same time share the work:
// each conversation is leased. What its process left behind is due again when the lease ends.
func (m *Mirror) RunDue(ctx context.Context, in Due) (db.SyncRun, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return db.SyncRun{}, fmt.Errorf("start sync run: %w", err)
	}
	err = m.Store.System(ctx, func(tx *store.Tx) error {
		if err := tx.PurgeWalks(ctx, db.PurgeWalksParams{Before: tx.Now.Add(-oldestTrail), Page: trailPurge}); err != nil {
			return err
		}
		return tx.StartSyncRun(ctx, db.StartSyncRunParams{ID: id, Now: tx.Now})
	})
	if err != nil {
		return db.SyncRun{}, fmt.Errorf("start sync run: %w", err)
	}
	bound, cancel := context.WithTimeout(ctx, in.Budget)
	defer cancel()
	finished, err := m.rounds(bound, id, in.Workspace)
	if err != nil && bound.Err() == nil {
		return db.SyncRun{}, err
	}
	var run db.SyncRun
	err = m.Store.System(context.WithoutCancel(ctx), func(tx *store.Tx) (err error) {
		run, err = tx.EndSyncRun(ctx, db.EndSyncRunParams{Finished: finished, Now: tx.Now, ID: id})
		return err
	})
	if err != nil {
		return db.SyncRun{}, fmt.Errorf("end sync run: %w", err)
	}
	return run, nil
}

// rounds claims and works until nothing is due or the time ends.
func (m *Mirror) rounds(ctx context.Context, run, workspace uuid.UUID) (finished bool, err error) {
	claim := db.ClaimConversationsParams{Each: claimEach, Batch: claimBatch, AfterWorkspace: uuid.New()} // somebody is first
	if workspace != uuid.Nil {
		claim.OnlyWorkspace, claim.Each = &workspace, claimBatch
	}
	for ctx.Err() == nil {
		due, err := m.claim(ctx, &claim)
		if err != nil {
			return false, err
		}
		if len(due) == 0 {
			return true, nil
		}
		if err := m.round(ctx, run, due); err != nil {
			return false, err
		}
	}
	return false, nil
}

// claim leases what is due, and remembers in the parameters which workspace was served last.
func (m *Mirror) claim(ctx context.Context, p *db.ClaimConversationsParams) (due []db.ClaimConversationsRow, err error) {
	err = m.Store.System(ctx, func(tx *store.Tx) (err error) {
		p.Now = tx.Now
		due, err = tx.ClaimConversations(ctx, *p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim conversations: %w", err)
	}
	served := make([]uuid.UUID, len(due))
	for i, c := range due {
		served[i] = c.WorkspaceID
	}
	p.AfterWorkspace = lastServed(p.AfterWorkspace, served)
	return due, nil
}

// lastServed is the last of workspaces that are served in the order of their ids from the one after on, and around.
func lastServed(after uuid.UUID, served []uuid.UUID) uuid.UUID {
	order := func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }
	around := slices.DeleteFunc(slices.Clone(served), func(id uuid.UUID) bool { return order(id, after) > 0 })
	switch {
	case len(around) > 0:
		return slices.MaxFunc(around, order)
	case len(served) > 0:
		return slices.MaxFunc(served, order)
	default:
		return after
	}
}

// round works a claim. What the time does not suffice for is given back as it was.
func (m *Mirror) round(ctx context.Context, run uuid.UUID, due []db.ClaimConversationsRow) error {
	var group errgroup.Group
	group.SetLimit(parallel)
	var waits limits
	for _, c := range due {
		group.Go(func() error { return m.one(ctx, run, c, &waits) })
	}
	return group.Wait() //nolint:wrapcheck // one wraps
}

// limits remembers for one round which workspaces' budgets are used up, or whose provider does not answer.
type limits struct {
	mu    sync.Mutex
	until map[uuid.UUID]error
}

func (l *limits) of(workspace uuid.UUID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until[workspace]
}

func (l *limits) set(workspace uuid.UUID, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until == nil {
		l.until = map[uuid.UUID]error{}
	}
	l.until[workspace] = err
}

func (m *Mirror) one(ctx context.Context, run uuid.UUID, c db.ClaimConversationsRow, waits *limits) error {
	thread := store.Thread{Workspace: c.WorkspaceID, Lead: c.LeadID, Channel: sending.Channel(c.Channel)}
	var receipt Receipt
	err := waits.of(c.WorkspaceID)
	if err == nil && ctx.Err() == nil {
		bound, cancel := context.WithTimeout(ctx, oneWalk)
		receipt, err = m.Sync(bound, thread, false)
		cancel()
	}
	if ctx.Err() != nil && (err != nil || receipt.Pages == 0) {
		return m.release(context.WithoutCancel(ctx), thread)
	}
	_, limited := ghl.RateLimited(err)
	if _, held := provider.HeldBack(err); held || limited {
		waits.set(c.WorkspaceID, err)
	}
	o := judge(receipt, err, c.Failures)
	err = m.Store.System(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		next := db.ScheduleConversationParams{
			NextTime: tx.Now.Add(o.again), Failures: o.failures, Reason: o.reason, WorkspaceID: c.WorkspaceID, LeadID: c.LeadID, Channel: c.Channel,
		}
		if err := tx.ScheduleConversation(ctx, next); err != nil {
			return err
		}
		return tx.CountSync(ctx, db.CountSyncParams{
			Outcome: o.outcome, Imported: int32(receipt.Imported), Healed: int32(receipt.Healed), ID: run, // #nosec G115 -- bounded by maxPages
		})
	})
	if err != nil {
		return fmt.Errorf("record comparison: %w", err)
	}
	return nil
}

// release gives a conversation back that there was no time for: it stays due.
func (m *Mirror) release(ctx context.Context, thread store.Thread) error {
	err := m.Store.Workspace(ctx, thread.Workspace, func(tx *store.Tx) error {
		return tx.ReleaseConversation(ctx, db.ReleaseConversationParams{
			WorkspaceID: thread.Workspace, LeadID: thread.Lead, Channel: string(thread.Channel),
		})
	})
	if err != nil {
		return fmt.Errorf("release conversation: %w", err)
	}
	return nil
}

// result is what follows from one comparison.
type result struct {
	outcome, reason string
	again           time.Duration
	failures        int32
}

// judge tells what a comparison was and when the next is: not now always has a when and a reason.
func judge(receipt Receipt, err error, failures int32) result {
	var read *ghl.ReadError
	verdict, limited := ghl.RateLimited(err)
	wait, held := provider.HeldBack(err)
	switch {
	case err == nil && receipt.Conversation.ProvenRevision != nil:
		return result{outcome: proven, again: provenAgain}
	case err == nil:
		return result{outcome: unproven, again: differsAgain}
	case receipt.Kept && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrTooLong)):
		return result{outcome: deferred, reason: goesOn, again: firstRetry}
	case errors.Is(err, ErrNoContact), errors.Is(err, ErrNoLead):
		return result{outcome: deferred, reason: string(sending.ContactNotFound), again: absentAgain}
	case errors.Is(err, ErrNotConnected):
		return result{outcome: deferred, reason: string(sending.ProviderNotConnected), again: time.Hour}
	case limited:
		return result{outcome: deferred, reason: string(sending.ProviderRateLimited), again: verdict.Wait, failures: failures}
	case held:
		return result{outcome: deferred, reason: string(sending.ProviderUnavailable), again: wait, failures: failures}
	case errors.As(err, &read) && read.Verdict.Class == classify.Suspended:
		return result{outcome: deferred, reason: string(read.Verdict.Refusal.Reason), again: time.Hour}
	case errors.As(err, &read) && read.NotFound():
		return result{outcome: deferred, reason: string(sending.ContactNotFound), again: absentAgain}
	default:
		return result{
			outcome: failed, reason: string(sending.ProviderUnavailable), failures: failures + 1,
			again: min(firstRetry<<min(failures, 12), lastRetry),
		}
	}
}
