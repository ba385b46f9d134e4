package push

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

// Config is what a Pusher is made of.
type Config struct {
	Store  *store.Store
	Client *ghl.Client
	// Account opens a workspace's connection; false when there is none that can be used.
	Account func(ctx context.Context, workspace uuid.UUID) (ghl.Account, bool, error)
	Logger  *slog.Logger
}

// Pusher pushes. It is safe for concurrent use, over replicas too: a push has one worker at a time, by a lease in its row.
type Pusher struct{ Config }

// New makes a Pusher.
func New(cfg Config) *Pusher { return &Pusher{Config: cfg} }

// dueBatch bounds the jobs that one sweep queues.
const dueBatch = 200

// Due queues the pushes whose time has come: retries, and those whose job was lost.
func (p *Pusher) Due(ctx context.Context) error {
	err := p.Store.System(ctx, func(tx *store.Tx) error {
		due, err := tx.DuePushes(ctx, db.DuePushesParams{Now: tx.Now, Most: dueBatch})
		if err != nil {
			return err
		}
		for _, row := range due {
			job := work.PushOptOut{Workspace: row.WorkspaceID.String(), OptOut: row.ID.String()}
			if err := tx.Enqueue(ctx, job, 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for due pushes: %w", err)
	}
	return nil
}

// task is one claimed push.
type task struct {
	db.ClaimPushRow
	workspace, id uuid.UUID
}

func (t task) channel() sending.Channel { return sending.Channel(t.Channel) }

// on is what the switch shall be.
func (t task) on() bool { return State(t.Push) == Pending }

// One makes an attempt at one push if it is due, and does nothing otherwise.
func (p *Pusher) One(ctx context.Context, workspace, id uuid.UUID) error {
	t := task{workspace: workspace, id: id}
	err := p.Store.Workspace(ctx, workspace, func(tx *store.Tx) (err error) {
		t.ClaimPushRow, err = tx.ClaimPush(ctx, db.ClaimPushParams{
			Lease: tx.Now.Add(store.PushLease), WorkspaceID: workspace, ID: id, Now: tx.Now,
		})
		return err
	})
	if postgres.IsNoRows(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("claim push: %w", err)
	}
	result, err := p.attempt(ctx, t)
	if err != nil {
		return err // the lease runs out, and the sweep finds it
	}
	return p.settle(ctx, t, result)
}

func (p *Pusher) attempt(ctx context.Context, t task) (Result, error) {
	if t.Contact == "" {
		return Result{State: State(t.Push), Error: NoContact}, nil
	}
	account, usable, err := p.Account(ctx, t.workspace)
	if err != nil {
		return Result{}, fmt.Errorf("open account: %w", err)
	}
	if !usable {
		return Result{State: State(t.Push), Error: NotConnected, Wait: slowWait}, nil
	}
	result, err := p.bring(ctx, t, account)
	var failed *provider.ReadError
	switch {
	case err == nil:
		return result, nil
	case !errors.As(err, &failed):
		return Result{}, fmt.Errorf("push opt-out: %w", err)
	case failed.Verdict.Class == classify.Suspended:
		if err := p.Store.SuspendConnection(ctx, t.workspace, account.Version, failed.Verdict.Refusal.Reason); err != nil {
			return Result{}, err
		}
	}
	judged := failure(State(t.Push), failed, int(t.PushAttempt), int(t.PushRefusals))
	judged.Pushed = result.Pushed
	return judged, nil
}

// bring makes the switch what it shall be: it reads, writes if that is needed, and reads again.
func (p *Pusher) bring(ctx context.Context, t task, account ghl.Account) (Result, error) {
	seen, err := p.Client.Switches(ctx, account, t.Contact)
	if err != nil {
		return Result{}, err
	}
	if done, ok := rest(t, seen); ok {
		return done, nil
	}
	change := ghl.SwitchChange{Channel: t.channel(), On: t.on(), Why: "the lead opted out"}
	if !t.on() {
		change.Why = "the opt-out was lifted"
	}
	if err := p.Client.SetSwitch(ctx, account, t.Contact, seen, change); err != nil {
		return Result{}, err
	}
	if seen, err = p.Client.Switches(ctx, account, t.Contact); err != nil {
		return Result{Pushed: true}, err
	}
	done, ok := rest(t, seen)
	if !ok {
		done = Result{State: State(t.Push), Error: NotConfirmed, Wait: Wait(int(t.PushAttempt))}
	}
	done.Pushed = true
	return done, nil
}

// rest tells whether nothing is left to do: the switch is on for an opt-out that stands; for one that was lifted it is off, or
// not ours.
func rest(t task, seen ghl.Switches) (Result, bool) {
	switch {
	case t.on():
		return Result{State: Verified, Confirmed: true}, seen.Blocked(t.channel())
	case !seen.Blocked(t.channel()):
		return Result{State: Withdrawn, Confirmed: true}, true
	default:
		return Result{State: Withdrawn, Error: Standing, Confirmed: true}, !seen.Ours(t.channel())
	}
}

func (p *Pusher) settle(ctx context.Context, t task, r Result) error {
	err := p.Store.Workspace(ctx, t.workspace, func(tx *store.Tx) error {
		row := db.SettlePushParams{
			Push: string(r.State), Error: r.Error, WorkspaceID: t.workspace, ID: t.id, Was: t.Push, Attempt: t.PushAttempt,
		}
		if r.Refused {
			row.Refusals = t.PushRefusals + 1
		}
		if r.Wait > 0 {
			next := tx.Now.Add(r.Wait)
			row.Next = &next
		}
		if r.Pushed {
			row.Pushed = &tx.Now
		}
		if r.Confirmed {
			row.Confirmed = &tx.Now
		}
		n, err := tx.SettlePush(ctx, row)
		if err != nil || n == 0 || r.State != Withdrawn || r.Error != "" {
			return err
		}
		return reopen(ctx, tx, t)
	})
	if err != nil {
		return fmt.Errorf("settle push: %w", err)
	}
	if r.State == Failed {
		p.Logger.WarnContext(ctx, "opt-out not pushed: nobody keeps the provider's own users from writing to the lead", "workspace", t.workspace.String(),
			"opt_out", t.id.String(), "error", r.Error)
	}
	return nil
}

// reopen opens the channel that the provider closed to us while our own switch was still on: the contact was just read, and
// it is off. An address that bounced stays closed.
func reopen(ctx context.Context, tx *store.Tx, t task) error {
	if _, err := tx.LockLead(ctx, db.LockLeadParams{WorkspaceID: t.workspace, ID: t.LeadID}); err != nil {
		return err
	}
	source, err := tx.FlagSource(ctx, t.workspace, t.LeadID, t.channel())
	if err != nil || source != refused {
		return err
	}
	changed, err := tx.SetFlag(ctx, store.Flag{
		Workspace: t.workspace, Lead: t.LeadID, Channel: t.channel(), Status: sending.Open, Source: "contact_read",
	})
	if err != nil || !changed {
		return err
	}
	return tx.Publish(ctx, store.Event{Type: store.EventDNDChanged, Workspace: t.workspace, Lead: t.LeadID, At: tx.Now, Channel: t.channel()})
}

// refused is the source of a flag that a refusal by the provider set.
const refused = "provider_refusal"
