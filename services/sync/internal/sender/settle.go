package sender

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/relance/relance/platform/postgres"
	"github.com/relance/relance/services/sync/internal/classify"
	"github.com/relance/relance/services/sync/internal/crashpoint"
	"github.com/relance/relance/services/sync/internal/ghl"
	"github.com/relance/relance/services/sync/internal/planted"
	"github.com/relance/relance/services/sync/internal/provider"
	"github.com/relance/relance/services/sync/internal/sending"
	"github.com/relance/relance/services/sync/internal/store"
	"github.com/relance/relance/services/sync/internal/store/db"
	"github.com/relance/relance/services/sync/internal/work"
)

// settleTimeout bounds the commit of an outcome, repeats included. After it the lease runs out and the outcome is UNKNOWN.
const settleTimeout = 8 * time.Second

// slowWait is how long a send waits for a connection to be mended.
const slowWait = 15 * time.Minute

// move is what an outcome does to the intent.
type move struct {
	state sending.State
	// from is the state that the send had, once it was moved.
	from    sending.State
	refusal *sending.Refusal
	failed  int32
	wait    time.Duration
	verdict classify.Verdict
	result  ghl.Result
	// renew asks for a new access token before the next try.
	renew bool
	// duplicate is true when the provider shows more than one message of this send.
	duplicate bool
}

// settle is T4 to T9: the outcome of the one call is committed, or left to the lease.
func (s *Sender) settle(ctx context.Context, c claim, result ghl.Result) (Outcome, error) {
	m := s.judge(c, result)
	if out := s.acceptSoon(ctx, c, m); out != nil {
		return *out, nil
	}
	return s.conclude(ctx, c, m)
}

// conclude commits a move, or leaves the claim to its lease.
func (s *Sender) conclude(ctx context.Context, c claim, m move) (Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	var out Outcome
	err := s.commit(ctx, c, m, &out)
	if postgres.IsUnique(err, "one_claim") || postgres.IsUnique(err, "message_provider") {
		// The provider gave an id that another message of ours already has: nobody can tell what that means.
		m = move{state: sending.Unknown, verdict: classify.Verdict{Code: "id_already_claimed"}, result: m.result}
		err = s.commit(ctx, c, m, &out)
	}
	if err != nil {
		s.Logger.ErrorContext(ctx, "send outcome not stored; it becomes unknown when its lease ends",
			"intent", c.row.ID.String(), "error", err)
		return Outcome{Message: c.row.ID, State: sending.Sending}, nil
	}
	if m.refusal != nil && m.refusal.Reason == sending.RefusedUnclassified {
		s.Logger.WarnContext(ctx, "provider refusal not classified", "intent", c.row.ID.String(),
			"provider_status", m.result.Evidence.Status, "trace", m.verdict.TraceID)
	}
	return out, nil
}

// unwritten is the outcome of a claim whose call was not made: not accepted, and no failure.
func unwritten(d sending.Decision) move {
	return move{
		state: sending.Retryable, refusal: d.Refusal, wait: d.Retry,
		verdict: classify.Verdict{Class: classify.Retryable, Refusal: *d.Refusal, Code: "not_written"},
	}
}

func (s *Sender) judge(c claim, result ghl.Result) move {
	v := classify.Classify(result.Evidence)
	m := move{verdict: v, result: result}
	if v.Refusal.Reason != "" {
		m.refusal = &v.Refusal
	}
	switch v.Class {
	case classify.Accepted:
		m.state = sending.Accepted
	case classify.Refused:
		m.state = sending.Refused
		if planted.On(planted.RetryRefused) {
			m.state, m.refusal = sending.Retryable, nil
		}
	case classify.Suspended:
		m.state, m.wait = sending.Retryable, slowWait
		if s.renewable(c, v) {
			m.renew, m.wait, m.refusal = true, time.Second, notReady().Refusal
		}
	case classify.Retryable:
		m.state, m.failed = sending.Retryable, 1
		if int(c.row.Failures)+1 >= s.MaxFailures {
			m.state, m.refusal = sending.Parked, sending.Exhausted(int(c.attempt))
			break
		}
		limit := s.Timing.Backoff(int(c.row.Failures) + 1)
		m.wait = max(v.Wait, time.Duration(rand.Int64N(int64(limit)))+time.Second)
	default:
		m.state = sending.Unknown
		if planted.On(planted.RetryUnknown) {
			m.state = sending.Retryable
		}
	}
	return m
}

// commit stores the outcome, trying again while the database is away.
func (s *Sender) commit(ctx context.Context, c claim, m move, out *Outcome) error {
	for {
		err := s.Store.Workspace(ctx, c.row.WorkspaceID, func(tx *store.Tx) error {
			err := s.apply(ctx, tx, c, m, out)
			crashpoint.At(crashpoint.C9)
			return err
		})
		if err == nil || !postgres.IsUnavailable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (s *Sender) apply(ctx context.Context, tx *store.Tx, c claim, m move, out *Outcome) error {
	// The lead first: every writer takes lead and intent in this order.
	if _, err := tx.LockLead(ctx, db.LockLeadParams{WorkspaceID: c.row.WorkspaceID, ID: c.row.LeadID}); err != nil {
		return err
	}
	if c.own != nil {
		// The short way shows its send with the outcome.
		if err := tx.Show(ctx, c.row); err != nil {
			return err
		}
	}
	var err error
	if m.from, err = s.moveIntent(ctx, tx, c, m); err != nil {
		return err
	}
	if m.from == "" {
		// The fence is gone or an earlier try of this commit had succeeded; what is stored stands.
		row, err := tx.Intent(ctx, db.IntentParams{WorkspaceID: c.row.WorkspaceID, ID: c.row.ID})
		if err != nil {
			return err
		}
		*out = outcomeOf(row, tx.Now)
		m.duplicate = m.state == sending.Accepted && store.Deref(row.ProviderMessageID) != m.verdict.MessageID
		return s.suspect(ctx, tx, c, m)
	}
	if err := s.suspect(ctx, tx, c, m); err != nil {
		return err
	}
	if err := closeAttempt(ctx, tx, c, m); err != nil {
		return err
	}
	if err := s.effects(ctx, tx, c, m); err != nil {
		return err
	}
	if err := s.report(ctx, tx, c, m); err != nil {
		return err
	}
	*out = Outcome{Message: c.row.ID, State: m.state, Refusal: m.refusal, RetryAfter: m.wait}
	return nil
}

// suspect marks a send of which the provider took more than one message. It is promised never to happen, and must be seen
// if it does.
func (s *Sender) suspect(ctx context.Context, tx *store.Tx, c claim, m move) error {
	if !m.duplicate {
		return nil
	}
	s.Logger.ErrorContext(ctx, "duplicate suspected: the provider took more than one message of this send", "intent", c.row.ID.String())
	return tx.SuspectDuplicate(ctx, db.SuspectDuplicateParams{Now: tx.Now, WorkspaceID: c.row.WorkspaceID, ID: c.row.ID})
}

// moveIntent moves the send and gives the state that it had; empty when it was not moved.
func (s *Sender) moveIntent(ctx context.Context, tx *store.Tx, c claim, m move) (sending.State, error) {
	p := db.MoveIntentParams{
		State: string(m.state), ReasonMeta: []byte("{}"), NextTime: tx.Now.Add(m.wait), Failed: m.failed, Now: tx.Now,
		WorkspaceID: c.row.WorkspaceID, ID: c.row.ID, Attempt: c.attempt, Sources: m.sources(), LookSeconds: s.Timing.Looks()[0].Seconds(),
	}
	if m.refusal != nil {
		p.Reason = string(m.refusal.Reason)
		if m.refusal.Meta != nil {
			meta, err := json.Marshal(m.refusal.Meta)
			if err != nil {
				return "", err
			}
			p.ReasonMeta = meta
		}
	}
	if m.state == sending.Accepted {
		p.ProviderMessageID = &m.verdict.MessageID
		if m.verdict.ConversationID != "" {
			p.ConversationID = &m.verdict.ConversationID
		}
	}
	was, err := tx.MoveIntent(ctx, p)
	if err != nil || len(was) == 0 {
		return "", err
	}
	return sending.State(was[0]), nil
}

// sources are the states from which the outcome of a call may move its send. A late acceptance settles also what had been
// given up meanwhile, as evidence does, while the fence is still ours.
func (m move) sources() []string {
	if m.state == sending.Accepted {
		return sending.Sources(sending.Accepted, sending.T4, sending.T11, sending.T16)
	}
	return sending.Sources(m.state, sending.T5, sending.T6, sending.T7, sending.T8, sending.T9)
}

// evidence is what an attempt's row keeps. Codes only: the provider's words name phones and addresses.
func (m move) evidence() ([]byte, error) {
	raw, err := json.Marshal(map[string]string{"code": m.verdict.Code, "class": string(m.verdict.Class)})
	if err != nil {
		return nil, fmt.Errorf("write evidence: %w", err)
	}
	return raw, nil
}

func closeAttempt(ctx context.Context, tx *store.Tx, c claim, m move) error {
	status, latency := int32(m.result.Evidence.Status), m.result.Latency.Milliseconds()
	evidence, err := m.evidence()
	if err != nil {
		return err
	}
	outcome := string(m.state)
	return tx.CloseAttempt(ctx, db.CloseAttemptParams{
		Outcome: &outcome, HttpStatus: &status, Wrote: &m.result.Wrote, TraceID: &m.verdict.TraceID, LatencyMs: &latency,
		Evidence: evidence, WorkspaceID: c.row.WorkspaceID, IntentID: c.row.ID, Attempt: c.attempt,
	})
}

func (s *Sender) effects(ctx context.Context, tx *store.Tx, c claim, m move) error {
	var err error
	switch m.state {
	case sending.Accepted:
		err = accepted(ctx, tx, c, m)
	case sending.Refused:
		err = refused(ctx, tx, c, m)
	case sending.Retryable:
		err = s.retry(ctx, tx, c, m)
	case sending.Unknown:
		err = tx.Enqueue(ctx, work.Reconcile{Intent: c.row.ID.String()}, s.Timing.Looks()[0])
	}
	// A caller that waits for this call learns the outcome from its answer. Once the lease ran out, others may have been told
	// that nobody knows, and wait for the event, as after a look that finds the message.
	waited := !c.byJob && m.from == sending.Sending
	if err != nil || waited || m.state.Claimable() || m.state == sending.Unknown {
		return err
	}
	outcome := string(sending.Accepted)
	if m.refusal != nil {
		outcome = string(m.refusal.Reason)
	}
	return tx.Publish(ctx, tx.Settled(c.row, outcome))
}

func accepted(ctx context.Context, tx *store.Tx, c claim, m move) error {
	if err := tx.Accepted(ctx, store.Acceptance{Intent: c.row, ProviderID: m.verdict.MessageID, At: tx.Now}); err != nil {
		return err
	}
	return tx.TouchConnectionSuccess(ctx, db.TouchConnectionSuccessParams{
		Now: &tx.Now, WorkspaceID: c.row.WorkspaceID, Provider: c.row.Provider,
	})
}

func refused(ctx context.Context, tx *store.Tx, c claim, m move) error {
	if m.refusal != nil && m.refusal.Reason == sending.ContactNotFound && c.row.Provider == string(provider.GHL) {
		return tx.Enqueue(ctx, work.ContactGone{Workspace: c.row.WorkspaceID.String(), Lead: c.row.LeadID.String(), Contact: c.message.ContactID}, 0)
	}
	if m.verdict.Flag == "" {
		return nil
	}
	changed, err := tx.SetFlag(ctx, store.Flag{
		Workspace: c.row.WorkspaceID, Lead: c.row.LeadID, Channel: sending.Channel(c.row.Channel), Status: m.verdict.Flag, Source: "provider_refusal",
	})
	if err != nil || !changed || m.verdict.Flag != sending.Opted {
		return err
	}
	return tx.Publish(ctx, store.Event{Type: store.EventOptedOut, Workspace: c.row.WorkspaceID, Lead: c.row.LeadID, At: tx.Now})
}

// renewable reports whether a refresh may heal the refusal: an OAuth token that the provider calls expired, and that was not
// refreshed just now.
func (s *Sender) renewable(c claim, v classify.Verdict) bool {
	const fresh = time.Minute
	return v.TokenExpired && c.connection.Auth != "TOKEN" &&
		s.machine.Now().Sub(store.Deref(c.connection.RefreshTime)) > fresh
}

func (s *Sender) retry(ctx context.Context, tx *store.Tx, c claim, m move) error {
	if m.renew {
		_, err := tx.ExpireAccess(ctx, db.ExpireAccessParams{
			WorkspaceID: c.row.WorkspaceID, Provider: c.connection.Provider, TokenVersion: c.connection.TokenVersion,
		})
		if err != nil {
			return err
		}
	} else if m.verdict.Class == classify.Suspended {
		state := sending.AuthRevoked
		if m.refusal.Reason == sending.LocationInactive {
			state = sending.Inactive
		}
		n, err := tx.SetConnectionState(ctx, db.SetConnectionStateParams{
			State: string(state), Now: tx.Now, WorkspaceID: c.row.WorkspaceID, Provider: c.row.Provider, TokenVersion: &c.connection.TokenVersion,
		})
		if err != nil {
			return err
		}
		if n > 0 {
			s.Logger.WarnContext(ctx, "provider connection suspended", "workspace", c.row.WorkspaceID.String(), "state", string(state))
		}
	}
	return tx.Enqueue(ctx, work.ResumeSend{Workspace: c.row.WorkspaceID.String(), Intent: c.row.ID.String()}, m.wait)
}

func (s *Sender) reread(ctx context.Context, row db.SendIntent) (Outcome, error) {
	var out Outcome
	err := s.Store.Workspace(ctx, row.WorkspaceID, func(tx *store.Tx) error {
		now, err := tx.Intent(ctx, db.IntentParams{WorkspaceID: row.WorkspaceID, ID: row.ID})
		out = outcomeOf(now, tx.Now)
		return err
	})
	if err != nil {
		return Outcome{}, fmt.Errorf("read send: %w", err)
	}
	return out, nil
}
