package sender

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relance/relance/platform/gather"
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
)

// This file is the short way of a send: planned and claimed in one commit (T0 and T2), which it shares with the other sends
// of its workspace that come at the same time. It is for new sends against which nothing speaks. Whatever there is to weigh,
// to wait for or to refuse takes the long way (plan, then claim), which decides alone: the short way only ever says yes, on
// the same facts, under the same locks.

type (
	claimGatherer  = gather.Gatherer[uuid.UUID, Request, handed]
	acceptGatherer = gather.Gatherer[uuid.UUID, settled, *Outcome]
)

// handed is what a send gets of its batch: a claim, or nil when it has to take the long way.
type handed struct {
	claim *claim
	// began is the machine's time before the claim's transaction.
	began time.Time
}

// together sends the short way. It reports false when nothing was done and the long way is to be taken.
func (s *Sender) together(ctx context.Context, r Request) (Outcome, bool, error) {
	key, ok := s.keyOf(r)
	if !ok || s.Stopped() {
		return Outcome{}, false, nil
	}
	underWay := s.trafficOf(r.Workspace)
	underWay.enter(s.machine.Now())
	defer underWay.leave()
	permit, err := s.Budget.Take(ctx, key, classOf(ctx, false))
	var exceeded *budget.ExceededError
	if errors.As(err, &exceeded) {
		out, err := s.putOff(ctx, r, *limited(exceeded))
		return out, true, err
	}
	if err != nil {
		return Outcome{}, true, fmt.Errorf("take permit: %w", err)
	}
	got, err := s.claims.Do(ctx, r.Workspace, r)
	if err != nil || got.claim == nil {
		permit.Release()
	}
	if err != nil {
		return Outcome{}, true, fmt.Errorf("%w: %w", sending.ErrClaimUnknown, err)
	}
	if got.claim == nil {
		return Outcome{}, false, nil
	}
	crashpoint.At(crashpoint.C4)
	underWay.claim(1)
	defer underWay.claim(-1)
	out, err := s.write(ctx, got.claim, permit, got.began)
	return out, true, err
}

// keyOf is the budget that a new send needs a permit of, as of the workspace's newest claim. When the connection is another
// by now, the permit does not cover the call and a new one is taken then (spend). The planted bugs live on the long way.
func (s *Sender) keyOf(r Request) (budget.Key, bool) {
	if r.ReplyTo != nil || r.replaces != nil || r.Content.Empty(r.Channel) || planted.On(planted.NoIntent) || planted.On(planted.NoOneLive) {
		return budget.Key{}, false
	}
	key, ok := s.keys.Load(r.Workspace)
	if !ok {
		return budget.Key{}, false
	}
	return key.(budget.Key), true //nolint:forcetypeassert // nothing else is kept there
}

// putOff plans a send that has no budget now.
func (s *Sender) putOff(ctx context.Context, r Request, d sending.Decision) (Outcome, error) {
	row, out, err := s.plan(ctx, r)
	if err != nil || out != nil {
		return deref(out), err
	}
	if !sending.State(row.State).Claimable() {
		return outcomeOf(row, s.Clock.Now()), nil
	}
	return s.postpone(ctx, row, d)
}

// claimTogether runs a batch. An error means that nobody can tell whether the commit happened.
func (s *Sender) claimTogether(ctx context.Context, workspace uuid.UUID, requests []Request) ([]handed, error) {
	began := s.machine.Now()
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Write) // a later claim could not be written
	defer cancel()
	var claims []*claim
	err := s.Store.Once(ctx, workspace, func(tx *store.Tx) error {
		var err error
		claims, err = s.claimAll(ctx, tx, requests)
		crashpoint.At(crashpoint.C2)
		return err
	})
	out := make([]handed, len(requests))
	switch {
	case postgres.IsUnique(err, "one_live"), postgres.IsUnique(err, "send_intent_request"), postgres.IsRetryable(err):
		return out, nil // A statement failed, so nothing was committed: each goes the long way.
	case err != nil:
		return nil, err
	}
	for i, c := range claims {
		out[i] = handed{claim: c, began: began}
	}
	return out, nil
}

// claimAll claims what it can of requests to one workspace; the others have a nil claim.
func (s *Sender) claimAll(ctx context.Context, tx *store.Tx, requests []Request) ([]*claim, error) {
	claims := make([]*claim, len(requests))
	set, account, err := s.ready(ctx, tx, requests[0].Workspace)
	if err != nil || account == nil {
		return claims, err
	}
	b := claimBatch{sender: s, tx: tx, set: set, account: *account, busy: map[threadKey]bool{}}
	if b.leads, b.facts, err = sendFacts(ctx, tx, requests); err != nil {
		return nil, err
	}
	var plans []store.Plan
	for i, r := range requests {
		if claims[i], err = b.weigh(r); err != nil {
			return nil, err
		}
		if c := claims[i]; c != nil {
			plans = append(plans, store.Plan{Intent: c.row, Message: *c.own})
		}
	}
	if len(plans) == 0 {
		return claims, nil
	}
	return claims, tx.Claimed(ctx, requests[0].Workspace, s.Timing.Lease(), plans)
}

// claimBatch is what a batch knows.
type claimBatch struct {
	sender  *Sender
	tx      *store.Tx
	set     setup
	account ghl.Account
	leads   map[uuid.UUID]db.Lead
	facts   map[uuid.UUID]db.SendFactsRow
	busy    map[threadKey]bool // leads and channels that the batch sends to
}

// weigh drafts the claim of a request, or gives nil when anything speaks against it.
func (b *claimBatch) weigh(r Request) (*claim, error) {
	who, locked := b.leads[r.Lead]
	known, thread := b.facts[r.RequestID], threadKey{r.Lead, r.Channel}
	if !locked || known.Hindered || b.busy[thread] {
		return nil, nil
	}
	row := newRow(r, b.set.workspace.UnknownPolicy)
	law, err := b.sender.lawOf(subject{row, who, b.set}, b.tx.Now)
	if err != nil {
		return nil, err
	}
	law.Sent = known.Sent
	gate := factsOf(subject{row, who, b.set}, law)
	gate.Content = r.Content
	if sending.Gate(gate).Refusal != nil {
		return nil, nil
	}
	plan, err := b.tx.Draft(row, r.Content)
	if err != nil {
		return nil, err
	}
	b.busy[thread] = true
	return &claim{
		row: plan.Intent, attempt: plan.Intent.Attempt, connection: b.set.connection, account: b.account, own: &plan.Message, at: known.At,
		message: ghl.Message{
			Channel: r.Channel, ContactID: gate.ContactID, Content: r.Content.Marked(r.Channel, plan.Intent.ID.String()),
		},
	}, nil
}

// ready reads the workspace's side. Without an account nothing is claimed the short way: the connection is not there or is
// not to be used as it is.
func (s *Sender) ready(ctx context.Context, tx *store.Tx, workspace uuid.UUID) (setup, *ghl.Account, error) {
	row, err := tx.SendSetup(ctx, workspace)
	if postgres.IsNoRows(err) {
		return setup{}, nil, nil
	}
	if err != nil {
		return setup{}, nil, fmt.Errorf("read workspace and connection: %w", err)
	}
	c, w := row.Connection, row.Workspace
	set := setup{state: sending.ConnectionState(c.State), connection: c, disabled: w.SendingDisabled}
	set.workspace = db.OneWorkspaceRow{ID: w.ID, TimeZone: w.TimeZone, ContactPolicy: w.ContactPolicy, UnknownPolicy: w.UnknownPolicy}
	if set.disabled || set.state != sending.Connected || row.Stale || c.BreakerUntil != nil {
		return setup{}, nil, nil
	}
	account, err := s.Accounts.Open(c)
	if err != nil {
		return setup{}, nil, fmt.Errorf("open account: %w", err)
	}
	s.keys.Store(workspace, account.Budget())
	return set, &account, nil
}

// sendFacts locks the leads that are free and reads what the gate has to know of each request.
func sendFacts(ctx context.Context, tx *store.Tx, requests []Request) (map[uuid.UUID]db.Lead, map[uuid.UUID]db.SendFactsRow, error) {
	ids := make([]uuid.UUID, len(requests))
	for i, r := range requests {
		ids[i] = r.Lead
	}
	workspace := requests[0].Workspace
	rows, err := tx.LockFreeLeads(ctx, db.LockFreeLeadsParams{WorkspaceID: workspace, Ids: ids})
	if err != nil {
		return nil, nil, fmt.Errorf("lock leads: %w", err)
	}
	leads := make(map[uuid.UUID]db.Lead, len(rows))
	for _, l := range rows {
		leads[l.ID] = l
	}
	in := db.SendFactsParams{WorkspaceID: workspace, Since: tx.Now.Add(-capWindow)}
	for _, r := range requests {
		who, locked := leads[r.Lead]
		if !locked {
			continue
		}
		in.RequestIds, in.LeadIds, in.Channels = append(in.RequestIds, r.RequestID), append(in.LeadIds, r.Lead), append(in.Channels, string(r.Channel))
		in.Phones, in.Emails = append(in.Phones, store.Deref(who.Phone)), append(in.Emails, store.Deref(who.Email))
	}
	found, err := tx.SendFacts(ctx, in)
	if err != nil {
		return nil, nil, fmt.Errorf("read facts of sends: %w", err)
	}
	facts := make(map[uuid.UUID]db.SendFactsRow, len(found))
	for _, f := range found {
		facts[f.RequestID] = f
	}
	return leads, facts, nil
}

// newRow is the row of a new send that is claimed at once, but for what Draft and the database fill in.
func newRow(r Request, policy string) db.SendIntent {
	return db.SendIntent{
		WorkspaceID: r.Workspace, LeadID: r.Lead, Channel: string(r.Channel), RequestID: r.RequestID, Policy: cmp.Or(string(r.Policy), policy),
		RepliedSince: r.RepliedSince, ExpireTime: r.Expire, Purpose: string(cmp.Or(r.Purpose, legal.FollowUp)),
		Provider: string(provider.GHL), State: string(sending.Sending), Attempt: 1,
	}
}
