package sender

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/budget"
	"github.com/relance/relance/services/sync/internal/crashpoint"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/legal"
	"github.com/relance/relance/services/sync/internal/planted"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

// claim is a send that this process may write once.
type claim struct {
	row        db.SendIntent
	attempt    int32
	connection db.Connection
	account    ghl.Account
	message    ghl.Message
	byJob      bool
	early      *ghl.Result // of a planted bug only
	// own is the message's row in the timeline and at the time of the claim by the database's clock, where they are known.
	own *db.Message
	at  time.Time
}

func (s *Sender) advance(ctx context.Context, row db.SendIntent, byJob bool) (Outcome, error) {
	if !sending.State(row.State).Claimable() {
		return outcomeOf(row, s.Clock.Now()), nil
	}
	if s.Stopped() {
		// Nothing is begun; the job planned with the send goes on elsewhere.
		return s.reread(ctx, row)
	}
	if row.NextTime.After(s.Clock.Now()) {
		return s.reread(ctx, row)
	}
	permit, wait, err := s.admit(ctx, row, byJob)
	if err != nil {
		return Outcome{}, err
	}
	if wait != nil {
		return s.postpone(ctx, row, *wait)
	}
	began := s.machine.Now()
	c, out, err := s.claim(ctx, row, byJob)
	if err != nil || c == nil {
		if permit != nil {
			permit.Release()
		}
		return out, err
	}
	crashpoint.At(crashpoint.C4)
	if c.row.Ambiguous > 0 {
		// It may have left once before: the lists are read again under the claim, when no other send of ours is on its way.
		if done, out, err := s.lastLook(ctx, *c, began); done || err != nil {
			if permit != nil {
				permit.Release()
			}
			return out, err
		}
	}
	return s.write(ctx, c, permit, began)
}

// write makes the one call of a claim.
func (s *Sender) write(ctx context.Context, c *claim, permit *budget.Permit, began time.Time) (Outcome, error) {
	wait, err := s.spend(ctx, permit, c.account, c.byJob)
	if err == nil && wait != nil {
		// Nothing was written: the claim is given back, no failure counted.
		return s.conclude(context.WithoutCancel(ctx), *c, unwritten(*wait))
	}
	if err != nil || !s.mayWrite(began) {
		// Pre-write check failed: stop silently. The lease runs out and T10 makes it UNKNOWN.
		s.Logger.WarnContext(ctx, "send stopped before its call", "intent", c.row.ID.String(), "error", err)
		return s.reread(ctx, c.row)
	}
	crashpoint.At(crashpoint.C5)
	result := c.early
	if result == nil {
		sent := s.Client.Send(ctx, c.account, c.message)
		result = &sent
	}
	crashpoint.At(crashpoint.C8)
	out, err := s.settle(context.WithoutCancel(ctx), *c, *result)
	crashpoint.At(crashpoint.C10)
	return out, err
}

// mayWrite is the check in memory between the claim and the call: less than W has passed by both clocks, and no drain has begun.
func (s *Sender) mayWrite(began time.Time) bool {
	return planted.On(planted.NoCheck) || s.Timing.MayWrite(began, s.machine.Now()) && !s.Stopped()
}

// claim is T1 and T2. Only an acknowledged commit gives a claim.
func (s *Sender) claim(ctx context.Context, row db.SendIntent, byJob bool) (*claim, Outcome, error) {
	var c *claim
	var out Outcome
	err := s.Store.Once(ctx, row.WorkspaceID, func(tx *store.Tx) error {
		var err error
		c, out, err = s.tryClaim(ctx, tx, row)
		if err == nil && byJob && out.closed {
			err = tx.Publish(ctx, tx.Settled(row, string(out.Refusal.Reason))) // its caller has gone, and learns it no other way
		}
		if c != nil && planted.On(planted.NoIntent) {
			early := s.Client.Send(ctx, c.account, c.message)
			c.early = &early
		}
		crashpoint.At(crashpoint.C2)
		return err
	})
	switch {
	case postgres.IsUnique(err, "one_live"):
		return nil, Outcome{Message: row.ID, State: sending.State(row.State), Refusal: previous(row.WorkspaceID, uuid.Nil), RetryAfter: s.Timing.Turn()}, nil
	case err != nil:
		return nil, Outcome{}, fmt.Errorf("%w: %w", sending.ErrClaimUnknown, err)
	case c != nil:
		c.byJob = byJob
	}
	return c, out, nil
}

func (s *Sender) tryClaim(ctx context.Context, tx *store.Tx, plan db.SendIntent) (*claim, Outcome, error) {
	who, err := tx.LockLead(ctx, db.LockLeadParams{WorkspaceID: plan.WorkspaceID, ID: plan.LeadID})
	if err != nil {
		return nil, Outcome{}, err
	}
	row, err := tx.LockIntent(ctx, db.LockIntentParams{WorkspaceID: plan.WorkspaceID, ID: plan.ID})
	if err != nil {
		return nil, Outcome{}, err
	}
	if !sending.State(row.State).Claimable() || row.NextTime.After(tx.Now) {
		return nil, outcomeOf(row, tx.Now), nil
	}
	setup, err := readSetup(ctx, tx, row.WorkspaceID, provider.Kind(row.Provider))
	if err != nil {
		return nil, Outcome{}, err
	}
	content, err := s.Store.Content(row)
	if err != nil {
		return nil, Outcome{}, err
	}
	facts, err := s.gateFacts(ctx, tx, subject{row, who, setup})
	if err != nil {
		return nil, Outcome{}, err
	}
	facts.Content = content
	target, ok, err := tx.Target(ctx, row)
	if err != nil {
		return nil, Outcome{}, err
	}
	facts.Target = ok
	decision := sending.Gate(facts)
	if decision.Refusal == nil {
		if decision, err = s.liveGate(ctx, tx, row); err != nil {
			return nil, Outcome{}, err
		}
	}
	if decision.Refusal == nil {
		if decision, err = s.enter(ctx, tx, setup.connection); err != nil {
			return nil, Outcome{}, err
		}
	}
	if decision.Refusal != nil {
		out, err := closeUnsent(ctx, tx, row, decision)
		return nil, out, err
	}
	return s.take(ctx, tx, row, takeInput{contact: facts.ContactID, content: content, target: target, setup: setup})
}

type takeInput struct {
	contact string
	content sending.Content
	target  sending.Target
	setup   setup
}

func (s *Sender) take(ctx context.Context, tx *store.Tx, row db.SendIntent, in takeInput) (*claim, Outcome, error) {
	account, err := s.Accounts.Open(in.setup.connection)
	if err != nil {
		return nil, Outcome{}, err
	}
	if account.Kind == provider.GHL {
		s.keys.Store(row.WorkspaceID, account.Budget())
	}
	attempt, err := tx.ClaimIntent(ctx, db.ClaimIntentParams{
		LeaseSeconds: s.Timing.Lease().Seconds(), Now: tx.Now, WorkspaceID: row.WorkspaceID, ID: row.ID,
		Sources: sending.Sources(sending.Sending, sending.T2),
	})
	if err != nil {
		return nil, Outcome{}, err
	}
	err = tx.InsertAttempt(ctx, db.InsertAttemptParams{WorkspaceID: row.WorkspaceID, IntentID: row.ID, Attempt: attempt})
	if err != nil {
		return nil, Outcome{}, err
	}
	return &claim{
		row: row, attempt: attempt, account: account, connection: in.setup.connection,
		message: ghl.Message{Channel: sending.Channel(row.Channel), ContactID: in.contact, Content: in.content, Target: in.target},
	}, Outcome{Message: row.ID, State: sending.Sending}, nil
}

func (s *Sender) gateFacts(ctx context.Context, tx *store.Tx, on subject) (sending.Facts, error) {
	flag, err := tx.Flag(ctx, on.row.WorkspaceID, on.row.LeadID, sending.Channel(on.row.Channel))
	if err != nil {
		return sending.Facts{}, err
	}
	law, err := s.legalCase(ctx, tx, on)
	if err != nil {
		return sending.Facts{}, err
	}
	facts := factsOf(on, law)
	facts.Flag = flag
	return facts, withoutContact(ctx, tx, on, &facts)
}

// factsOf are the gate's facts of a subject, but for the channel's flag and the content.
func factsOf(on subject, law legal.Case) sending.Facts {
	row, who, set := on.row, on.who, on.set
	return sending.Facts{
		Legal: law, Connection: set.state, SendingDisabled: set.disabled, Provider: row.Provider, Target: row.ReplyTo != nil,
		Channel: sending.Channel(row.Channel), ContactID: store.Deref(who.GhlContactID), Phone: store.Deref(who.Phone), Email: store.Deref(who.Email),
		Blocked: who.Blocked, LastInbound: store.Deref(who.LastInboundTime), RepliedSince: store.Deref(row.RepliedSince),
		Expire: store.Deref(row.ExpireTime), Now: law.Now,
	}
}

// liveGate keeps one send per lead and channel on its way. The index one_live holds it too; asking first spares the
// transaction.
func (s *Sender) liveGate(ctx context.Context, tx *store.Tx, row db.SendIntent) (sending.Decision, error) {
	live, err := tx.LiveIntent(ctx, db.LiveIntentParams{
		WorkspaceID: row.WorkspaceID, LeadID: row.LeadID, Channel: row.Channel, RequestID: row.RequestID,
	})
	if postgres.IsNoRows(err) || planted.On(planted.NoOneLive) {
		return sending.Decision{}, nil
	}
	if err != nil {
		return sending.Decision{}, err
	}
	return sending.Decision{Refusal: previous(row.WorkspaceID, live), Retry: s.Timing.Turn()}, nil
}

func closeUnsent(ctx context.Context, tx *store.Tx, row db.SendIntent, d sending.Decision) (Outcome, error) {
	state, next := d.To, row.NextTime
	if state == "" {
		state, next = sending.State(row.State), tx.Now.Add(d.Retry)
	}
	meta, err := json.Marshal(d.Refusal.Meta)
	if err != nil {
		return Outcome{}, err
	}
	if d.Refusal.Meta == nil {
		meta = []byte("{}")
	}
	_, err = tx.CloseUnsent(ctx, db.CloseUnsentParams{
		State: string(state), Reason: string(d.Refusal.Reason), ReasonMeta: meta, NextTime: next, Now: tx.Now,
		WorkspaceID: row.WorkspaceID, ID: row.ID, Sources: []string{string(sending.Planned), string(sending.Retryable)},
	})
	if err != nil {
		return Outcome{}, err
	}
	if state.Claimable() {
		err = tx.Enqueue(ctx, work.ResumeSend{Workspace: row.WorkspaceID.String(), Intent: row.ID.String()}, d.Retry)
	}
	return Outcome{Message: row.ID, State: state, Refusal: d.Refusal, RetryAfter: d.Retry, closed: state.Terminal()}, err
}

// setup is the workspace's side of the gate.
type setup struct {
	state      sending.ConnectionState
	connection db.Connection
	disabled   bool
	workspace  db.OneWorkspaceRow
}

func readSetup(ctx context.Context, tx *store.Tx, workspace uuid.UUID, via provider.Kind) (setup, error) {
	w, err := tx.OneWorkspace(ctx, workspace)
	if err != nil {
		return setup{}, fmt.Errorf("read workspace: %w", err)
	}
	c, err := tx.ConnectionOf(ctx, db.ConnectionOfParams{WorkspaceID: workspace, Provider: string(via)})
	if postgres.IsNoRows(err) {
		return setup{disabled: w.SendingDisabled, workspace: w}, nil
	}
	if err != nil {
		return setup{}, fmt.Errorf("read connection: %w", err)
	}
	return setup{state: sending.ConnectionState(c.State), connection: c, disabled: w.SendingDisabled, workspace: w}, nil
}
